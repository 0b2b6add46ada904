"""The alignment network: the paper's sizes, one interface for every backbone, and a face prior before training."""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.alignment_network import (
    AlignmentNetwork,
    ImageEncoder,
    UvFlow,
    apply_one_by_one,
    initial_variables,
    network_shapes,
)
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.initialisation import draw_variables, parameter_count, variable_shapes
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, points_of
from flowface_jax.network.segformer import MIT_SIZES, MitSize
from tests.network.compiling import quick_jit

TINY = NetworkConfig("mit_b0", image_size=64, uv_size=16, iterations=2, feature_size=16, hidden_size=16, texture_size=4)
SIDE, BATCH = TINY.uv_size, 2
UV = np.random.default_rng(9).uniform(0, 1, (20, 2)).astype(np.float32)
UPDATE_PART = 3_547_009
EXTENDED = {"iterations": 3, "depth": True, "covariance": True}


@pytest.fixture(scope="module")
def tiny_encoder():
    """One narrow block a stage: what is asked here does not depend on the encoder's size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MIT_SIZES, "mit_b0", MitSize((8, 8, 10, 16), (1, 1, 1, 1), 16))
        yield


@functools.cache
def _variables():
    return initial_variables(AlignmentNetwork(TINY), seed=1)


@functools.cache
def _compiled(dtype=jnp.float32):
    return quick_jit(AlignmentNetwork(TINY, dtype, unroll=1).apply)


@functools.cache
def _flow(**changes):
    """The recurrent part alone, with its variables."""
    config = dataclasses.replace(TINY, **changes)
    module = UvFlow(config, unroll=1)
    features = jax.ShapeDtypeStruct((1, SIDE, SIDE, TINY.feature_size), jnp.float32)
    return quick_jit(module.apply), draw_variables(variable_shapes(module, features), seed=1)


def _images():
    return np.random.default_rng(0).integers(0, 256, (BATCH, 64, 64, 3), np.uint8)


def _features():
    return np.random.default_rng(1).normal(size=(BATCH, SIDE, SIDE, TINY.feature_size)).astype(np.float32)


@pytest.mark.parametrize(
    ("backbone", "millions", "exactly"),
    [
        ("mit_b1", 17.3, 13_151_424 + 558_720),
        ("mit_b2", 31.0, 24_196_288 + 3_248_768),
        ("mit_b5", 88.2, 81_443_008 + 3_248_768),
        ("bisenet_v2_wide", 17.6, 14_048_416),
    ],
)
def test_the_recurrent_networks_are_as_large_as_the_papers(backbone, millions, exactly):
    shapes = network_shapes(AlignmentNetwork(NetworkConfig(backbone, uncertainty_input="none"), unroll=1))
    assert parameter_count(shapes) == exactly + UPDATE_PART and round(parameter_count(shapes) / 1e6, 1) == millions
    encoding = ("encoder", "decode_head")
    update = {name: tree for name, tree in shapes["params"].items() if name not in encoding}
    assert set(update) == {"uv_features", "uv_context", "uv_hidden", "update"}
    assert parameter_count({"params": update}) == UPDATE_PART


def test_the_dense_regressor_is_as_large_as_the_papers():
    assert parameter_count(network_shapes(AlignmentNetwork(NetworkConfig("resnet101")))) == 73_376_541


@pytest.mark.parametrize(("uncertainty_input", "more"), [("convolved", 6272), ("appended", -2305)])
def test_seeing_the_uncertainty_costs_few_parameters(uncertainty_input, more):
    features = jax.ShapeDtypeStruct((1, 64, 64, 128), jnp.float32)
    module = UvFlow(NetworkConfig(uncertainty_input=uncertainty_input), unroll=1)
    assert parameter_count(variable_shapes(module, features)) == UPDATE_PART + more


@pytest.mark.parametrize(
    ("backbone", "extras"),
    [("mit_b0", False), ("mit_b0", True), ("bisenet_v2", True), ("resnet101", True), ("prnet", True)],
)
def test_every_backbone_gives_the_same_points_by_one_interface(backbone, extras, tiny_encoder):
    config = NetworkConfig(
        backbone, image_size=64, uv_size=8, vertex_count=20, depth=extras, covariance=extras, presence=extras
    )
    network = AlignmentNetwork(config, unroll=1)

    def points(variables, images):
        output = network.apply(variables, images)
        assert isinstance(output, AlignedPoints if backbone == "resnet101" else AlignmentMaps)
        if isinstance(output, AlignmentMaps):
            assert output.flow.shape[2:] == (config.map_size, config.map_size, 2)
        return points_of(output, UV)

    found = jax.eval_shape(points, network_shapes(network), jax.ShapeDtypeStruct((3, 64, 64, 3), jnp.uint8))
    count = config.iterations if config.is_recurrent else 1
    assert found.mean.shape == (count, 3, 20, 2) and found.log_std.shape == (count, 3, 20)
    assert found.mean.dtype == found.log_std.dtype == jnp.float32
    if not extras:
        assert found.shape is found.depth is found.depth_log_std is found.presence is None
        return
    assert found.shape.shape == (count, 3, 20, 2)
    assert found.depth.shape == found.depth_log_std.shape == (count, 3, 20)
    assert found.presence.shape == (3,)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (jnp.zeros((1, 32, 64, 3)), r"expected crops of shape \[B,64,64,3\], found \[1, 32, 64, 3\]"),
        (jnp.zeros((64, 64, 3)), "expected crops of shape"),
        (jnp.zeros((1, 64, 64, 4)), "expected crops of shape"),
        (jnp.zeros((1, 64, 64, 3), jnp.int32), "found int32"),
    ],
)
def test_images_of_another_size_or_type_are_refused_in_one_line(images, message, tiny_encoder):
    with pytest.raises(InputError, match=message) as caught:
        jax.eval_shape(AlignmentNetwork(TINY).apply, _variables(), images)
    assert "\n" not in str(caught.value)


def test_bytes_are_the_same_image_as_fractions(tiny_encoder):
    seen = []

    def watch(call, arguments, named, context):
        if isinstance(context.module, ImageEncoder) and context.method_name == "__call__":
            seen.append(arguments[0])
        return call(*arguments, **named)

    @quick_jit
    def encoded(images):
        with nn.intercept_methods(watch):
            AlignmentNetwork(TINY, unroll=1).apply(_variables(), images)
        return seen.pop()

    expected = _images().astype(np.float32) / 255
    np.testing.assert_allclose(encoded(_images()), expected, rtol=1e-6)
    np.testing.assert_array_equal(encoded(expected), expected)


@pytest.mark.minutes
def test_half_precision_is_close_and_estimates_stay_in_full_precision(tiny_encoder):
    images = _images().astype(np.float32) / 255
    output = _compiled()(_variables(), images)
    assert output.flow.shape == (2, BATCH, SIDE, SIDE, 2) and output.log_std.shape == (2, BATCH, SIDE, SIDE)
    assert output.cell == 4.0 and output.shape is output.depth is output.presence is None
    half = _compiled(jnp.bfloat16)(_variables(), images)
    assert half.flow.dtype == half.log_std.dtype == jnp.float32
    scale = float(jnp.abs(output.flow).max())
    assert scale > 0.3
    assert float(jnp.abs(half.flow - output.flow).max()) < 0.05 * scale
    assert float(jnp.abs(half.log_std - output.log_std).max()) < 0.05


@pytest.mark.minutes
def test_crops_one_by_one_are_answered_as_all_together(tiny_encoder):
    images = _images().astype(np.float32) / 255
    config = dataclasses.replace(TINY, iterations=1, depth=True, presence=True)
    network = AlignmentNetwork(config, unroll=1)
    variables = initial_variables(network, 0)
    together = quick_jit(network.apply)(variables, images)
    one_by_one = quick_jit(lambda variables, images: apply_one_by_one(network, variables, images))(variables, images)
    assert jax.tree.structure(together) == jax.tree.structure(one_by_one)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(one_by_one), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_images_of_a_batch_do_not_influence_each_other(tiny_encoder):
    images = _images().astype(np.float32) / 255
    both = _compiled()(_variables(), images)
    swapped = _compiled()(_variables(), images[::-1])
    np.testing.assert_allclose(swapped.flow[:, ::-1], both.flow, atol=1e-5)
    assert float(jnp.abs(both.flow[:, 0] - both.flow[:, 1]).max()) > 1e-3


def test_heads_at_zero_put_every_point_at_its_uv_place_and_are_as_unsure_as_a_first_guess(tiny_encoder):
    params = dict(_variables()["params"])
    nothing = jax.tree.map(np.zeros_like, {name: params["update"][name] for name in ("flow_head", "uncertainty_head")})
    params["update"] = {**params["update"], **nothing}
    output = _compiled()({**_variables(), "params": params}, _images().astype(np.float32) / 255)
    points = points_of(output, UV)
    expected = np.stack([UV[:, 0], 1 - UV[:, 1]], axis=1) * 64
    np.testing.assert_allclose(points.mean, np.broadcast_to(expected, points.mean.shape), atol=1e-4)
    np.testing.assert_allclose(points.std, 64 / 8, rtol=1e-6)


def test_fewer_iterations_are_the_first_of_more():
    (run, variables), (longer, more) = _flow(), _flow(**EXTENDED)
    flow, log_std, _ = run(variables, _features())
    more_flow, more_log_std, _ = longer(more, _features())
    np.testing.assert_allclose(more_flow[:2], flow, atol=1e-5)
    np.testing.assert_allclose(more_log_std[:2], log_std, atol=1e-5)
    assert float(jnp.abs(more_flow[2] - more_flow[1]).max()) > 1e-3


def test_extras_start_at_zero_and_change_nothing_else():
    (run, variables), (extended, more) = _flow(), _flow(**EXTENDED)
    flow, log_std, extra = run(variables, _features())
    assert extra is None
    flow_too, log_std_too, extra = extended(more, _features())
    np.testing.assert_allclose(flow_too[:2], flow, atol=1e-5)
    np.testing.assert_allclose(log_std_too[:2], log_std, atol=1e-5)
    assert extra.shape == (3, BATCH, SIDE, SIDE, 4) and not extra.any()


def test_unrolling_and_the_route_of_the_look_up_do_not_change_what_is_computed():
    run, variables = _flow()
    other = quick_jit(UvFlow(TINY, look_up_route="product").apply)
    for mine, expected in zip(other(variables, _features())[:2], run(variables, _features())[:2], strict=True):
        np.testing.assert_allclose(mine, expected, atol=2e-5)


def test_gradients_do_not_pass_through_the_estimate_that_a_step_starts_from():
    """As in RAFT: the second estimate is the first one, taken as given, and a correction."""
    module, (_, variables) = UvFlow(TINY, unroll=1), _flow()
    features = _features()[:1]

    def last(bias):
        update = variables["params"]["update"]
        output = {**update["flow_head"]["output"], "bias": bias}
        head = {**update["flow_head"], "output": output}
        params = {**variables["params"], "update": {**update, "flow_head": head}}
        return module.apply({"params": params}, features)[0][-1].mean((0, 1, 2))

    slope = quick_jit(jax.jacrev(last))(jnp.zeros(2))
    np.testing.assert_allclose(slope, np.eye(2), atol=1e-5)
