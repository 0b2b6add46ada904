"""Our correlation, look-up and update block are RAFT's, written literally in PyTorch (needs the `peers` extra)."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.alignment_network import AlignmentNetwork, UvFlow
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.correlation import correlation_pyramid, look_up
from flowface_jax.network.update import Head, MotionEncoder, SeparableGru
from flowface_jax.network.weights.convert import convert

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
pytest.importorskip("transformers", reason="pip install flowface-jax[peers]")

from benchmarks import torch_alignment_network as peer  # noqa: E402

SIDE, BATCH = 16, 2
CONFIG = NetworkConfig(image_size=128, uv_size=SIDE, norm_epsilon="huggingface")
VARIANTS = [
    ("convolved", "log"),
    ("convolved", "value"),
    ("appended", "log"),
    ("none", "log"),
]


def _draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def _torch(values):
    """Channels first."""
    return torch.from_numpy(np.moveaxis(values, -1, -3).copy())


def _numpy(values):
    """Channels last."""
    return np.moveaxis(values.detach().numpy(), -3, -1)


def _error(found, expected):
    assert found.shape == expected.shape
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def raft(tmp_path_factory):
    """RAFT's update block with random weights, and ours converted from its file as published ones are named."""
    block = peer.randomise(peer.UpdateBlock(dataclasses.replace(CONFIG, uncertainty_input="none")), seed=2)
    state = {
        f"module.update_block.{name}": value
        for name, value in block.state_dict().items()
        if not name.startswith("uncertainty_head")
    }
    state["module.update_block.mask.0.weight"] = torch.zeros(256, 128, 3, 3)
    state["module.update_block.mask.0.bias"] = torch.zeros(256)
    state["module.update_block.mask.2.weight"] = torch.zeros(576, 256, 1, 1)
    state["module.update_block.mask.2.bias"] = torch.zeros(576)
    state["module.fnet.conv1.weight"] = torch.zeros(64, 3, 7, 7)
    path = tmp_path_factory.mktemp("raft") / "raft-things.pth"
    torch.save(state, path)
    return block, convert(path).variables["params"]["update"]


@pytest.mark.parametrize("route", ["gather", "product"])
def test_the_pyramid_and_the_windows_read_from_it_are_the_same(route):
    first, second = _draw(BATCH, SIDE, SIDE, 128), _draw(BATCH, SIDE, SIDE, 128, seed=1)
    expected = peer.correlation_pyramid(_torch(first), _torch(second), 4)
    found = correlation_pyramid(jnp.asarray(first), jnp.asarray(second), 4)
    for level, other in zip(found, expected, strict=True):
        assert _error(level, other.numpy().reshape(level.shape)) < 1e-5
    # Within, at the borders of, and outside the image.
    places = np.random.default_rng(3).uniform(-8, SIDE + 8, (BATCH, SIDE, SIDE, 2)).astype(np.float32)
    places[0, 0] = np.round(places[0, 0])
    windows = _numpy(peer.look_up(expected, _torch(places), 4))
    read = look_up(found, jnp.asarray(places).reshape(BATCH, -1, 2), 4, route)
    assert _error(read.reshape(windows.shape), windows) < 1e-5


def test_each_part_of_the_published_block_is_the_same_with_converted_weights(raft):
    block, params = raft
    correlations, flow = _draw(BATCH, SIDE, SIDE, 324), _draw(BATCH, SIDE, SIDE, 2, seed=1, scale=3)
    hidden, context = np.tanh(_draw(BATCH, SIDE, SIDE, 128, seed=2)), np.maximum(_draw(1, SIDE, SIDE, 128, seed=3), 0)
    nothing = np.zeros((BATCH, SIDE, SIDE, 1), np.float32)
    with torch.inference_mode():
        motion = block.encoder(_torch(correlations), _torch(flow), _torch(nothing))
        inputs = torch.cat([_torch(context).expand(BATCH, -1, -1, -1), motion], dim=1)
        state = block.gru(_torch(hidden), inputs)
        change = block.flow_head(state)
    # RAFT knows no uncertainty: its converted weights do not look at it.
    uncertainty = _draw(BATCH, SIDE, SIDE, 1, seed=6)
    found = jax.jit(MotionEncoder().apply)({"params": params["motion_encoder"]}, correlations, flow, uncertainty)
    assert _error(found, _numpy(motion)) < 1e-5
    recurrent, weights = SeparableGru(128, 256), {"params": params["recurrent"]}

    @jax.jit
    def step(weights, hidden, motion, context):
        from_context = recurrent.apply(weights, context, method="of_context")
        return recurrent.apply(weights, hidden, motion, from_context)

    assert _error(step(weights, hidden, _numpy(motion), context), _numpy(state)) < 1e-5
    found = jax.jit(Head(2).apply)({"params": params["flow_head"]}, _numpy(state))
    assert _error(found, _numpy(change)) < 1e-5


@pytest.mark.parametrize(("uncertainty_input", "uncertainty_form"), VARIANTS)
def test_three_iterations_from_the_same_features_end_at_the_same_flow_and_uncertainty(
    uncertainty_input, uncertainty_form
):
    config = dataclasses.replace(CONFIG, uncertainty_input=uncertainty_input, uncertainty_form=uncertainty_form)
    theirs = peer.randomise(peer.UvFlow(config), seed=4)
    features = _draw(BATCH, SIDE, SIDE, 128, seed=5)
    with torch.inference_mode():
        flow, log_std = (_numpy(values) for values in theirs(_torch(features)))
    ours = jax.jit(UvFlow(config, unroll=1).apply)({"params": peer.uv_flow_parameters(theirs)}, features)
    assert np.abs(flow[-1]).max() > 1
    np.testing.assert_allclose(ours[0], flow, atol=1e-4)
    np.testing.assert_allclose(np.exp(ours[1]), np.exp(log_std), atol=1e-4)


def test_the_whole_network_is_the_same_from_image_to_flow():
    config = dataclasses.replace(CONFIG, backbone="mit_b0")
    theirs = peer.randomise(peer.AlignmentNetwork(config), seed=6)
    images = np.random.default_rng(0).uniform(size=(BATCH, 128, 128, 3)).astype(np.float32)
    with torch.inference_mode():
        flow, log_std = (_numpy(values) for values in theirs(_torch(images)))
    ours = jax.jit(AlignmentNetwork(config, unroll=1).apply)(peer.our_variables(theirs), images)
    np.testing.assert_allclose(ours.flow, flow, atol=1e-4)
    np.testing.assert_allclose(ours.log_std, log_std[..., 0], atol=1e-4)
