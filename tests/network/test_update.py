"""The update block computes RAFT's equations on concatenated inputs, however they are split and reordered."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowface_jax.network.update import LOG_STD_LIMIT, UpdateBlock
from tests.network.compiling import quick_jit
from tests.network.random_weights import random_leaves

BATCH, SIDE, HIDDEN, CONTEXT, MOTION, PLANES = 2, 6, 8, 7, 9, 20
VARIANTS = [("convolved", "log"), ("convolved", "value"), ("appended", "log"), ("none", "log")]


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _convolve(images, layer):
    """A literal convolution in float64, zeros outside."""
    kernel, bias = np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64)
    rows, columns = kernel.shape[0] // 2, kernel.shape[1] // 2
    padded = np.pad(np.asarray(images, np.float64), ((0, 0), (rows, rows), (columns, columns), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))
    return np.einsum("bhwcij,ijcd->bhwd", windows, kernel, optimize=True) + bias


def _relu(values):
    return np.maximum(values, 0)


def _motion(params, correlations, flow, uncertainty, uncertainty_input):
    seen = _relu(_convolve(_relu(_convolve(correlations, params["correlation_1"])), params["correlation_2"]))
    both = np.concatenate([flow, uncertainty], axis=-1)
    moved = _relu(_convolve(both if uncertainty_input == "convolved" else flow, params["flow_1"]))
    moved = _relu(_convolve(moved, params["flow_2"]))
    combined = _relu(_convolve(np.concatenate([seen, moved], axis=-1), params["combine"]))
    return np.concatenate([combined, both if uncertainty_input == "appended" else flow], axis=-1)


def _recurrent(params, hidden, inputs):
    sigmoid = lambda values: 1 / (1 + np.exp(-values))
    for name in ("horizontal", "vertical"):
        both = np.concatenate([hidden, inputs], axis=-1)
        update = sigmoid(_convolve(both, params[name]["update"]))
        reset = sigmoid(_convolve(both, params[name]["reset"]))
        candidate = np.tanh(_convolve(np.concatenate([reset * hidden, inputs], axis=-1), params[name]["candidate"]))
        hidden = (1 - update) * hidden + update * candidate
    return hidden


def _head(params, hidden):
    return _convolve(_relu(_convolve(hidden, params["hidden"])), params["output"])


def _inputs():
    return {
        "hidden": np.tanh(_draw(BATCH, SIDE, SIDE, HIDDEN)),
        "correlations": _draw(BATCH, SIDE, SIDE, PLANES, seed=1),
        "flow": 3 * _draw(BATCH, SIDE, SIDE, 2, seed=2),
        "log_std": _draw(BATCH, SIDE, SIDE, 1, seed=3),
    }


def _block(**changes):
    """A block, its random parameters, and the compiled step from inputs and context."""
    block = UpdateBlock(HIDDEN, CONTEXT, MOTION, **changes)
    context = _draw(1, SIDE, SIDE, CONTEXT, seed=4)

    def step(block, context, inputs):
        return block(**inputs, from_context=block.of_context(context))

    shapes = jax.eval_shape(lambda: block.init(jax.random.key(0), context, _inputs(), method=step))
    variables = random_leaves(shapes)
    return variables, context, quick_jit(lambda variables, inputs: block.apply(variables, context, inputs, method=step))


@pytest.mark.parametrize(("uncertainty_input", "form"), VARIANTS)
def test_a_step_is_the_literal_one_on_concatenated_inputs(uncertainty_input, form):
    variables, context, step = _block(uncertainty_input=uncertainty_input, uncertainty_form=form)
    inputs, params = _inputs(), variables["params"]
    hidden, flow, log_std, extra = step(variables, inputs)
    uncertainty = np.exp(inputs["log_std"]) if form == "value" else inputs["log_std"]
    motion = _motion(params["motion_encoder"], inputs["correlations"], inputs["flow"], uncertainty, uncertainty_input)
    assert motion.shape[-1] == MOTION
    given = np.concatenate([np.broadcast_to(context, (BATCH, *context.shape[1:])), motion], axis=-1)
    expected = _recurrent(params["recurrent"], inputs["hidden"], given)
    np.testing.assert_allclose(hidden, expected, atol=5e-6)
    np.testing.assert_allclose(flow, inputs["flow"] + _head(params["flow_head"], expected), atol=5e-5)
    np.testing.assert_allclose(log_std, _head(params["uncertainty_head"], expected), atol=5e-5)
    assert extra is None and hidden.shape == inputs["hidden"].shape


def test_without_an_uncertainty_input_the_last_uncertainty_has_no_influence():
    variables, _, step = _block(uncertainty_input="none")
    first, second = _inputs(), {**_inputs(), "log_std": _draw(BATCH, SIDE, SIDE, 1, seed=9)}
    jax.tree.map(np.testing.assert_array_equal, step(variables, first), step(variables, second))


def test_an_extra_head_leaves_the_rest_as_it_is_and_log_std_stays_within_its_limit():
    variables, _, step = _block()
    with_extra, _, step_with_extra = _block(extra=4)
    head = with_extra["params"]["extra_head"]
    variables["params"]["uncertainty_head"]["output"]["bias"] += np.float32(1e4)
    plain = step(variables, _inputs())
    found = step_with_extra({"params": {**variables["params"], "extra_head": head}}, _inputs())
    for mine, other in zip(found[:3], plain[:3], strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    np.testing.assert_allclose(found[3], _head(head, found[0]), atol=5e-5)
    np.testing.assert_array_equal(found[2], LOG_STD_LIMIT)
