"""SegFormer has the published sizes and computes what is published, whatever order that is done in."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from flowface_jax.network.attention import attend
from flowface_jax.network.initialisation import parameter_count, variable_shapes
from flowface_jax.network.resampling import enlarge
from flowface_jax.network.segformer import MIT_SIZES, DecodeHead, DropPath, LayerNorm, MitSize, MixTransformer
from tests.network.compiling import quick_jit
from tests.network.random_weights import random_leaves

PUBLISHED = {"mit_b0": 3_319_392, "mit_b3": 44_072_128, "mit_b4": 60_842_688}
"""Without the classifier; the other sizes are counted with the networks of the paper's table."""
SMALL = DecodeHead(size=8, features=5, pool=2)
CHANNELS = (4, 6, 10, 16)


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", PUBLISHED)
def test_encoders_have_the_published_number_of_parameters(name):
    shapes = variable_shapes(MixTransformer(MIT_SIZES[name]), jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32))
    assert parameter_count(shapes) == PUBLISHED[name] and set(shapes) == {"params"}


def test_maps_are_a_quarter_to_a_thirty_second_of_the_image():
    images = jax.ShapeDtypeStruct((2, 96, 64, 3), jnp.float32)
    encoder = MixTransformer(MIT_SIZES["mit_b0"])
    maps, _ = jax.eval_shape(encoder.init_with_output, jax.random.key(0), images)
    assert [found.shape for found in maps] == [(2, 24, 16, 32), (2, 12, 8, 64), (2, 6, 4, 160), (2, 3, 2, 256)]


def test_branches_are_dropped_more_often_the_deeper_they_are_and_only_in_training():
    seen = []

    def watch(call, arguments, named, context):
        if isinstance(context.module, DropPath):
            seen.append((context.module.probability, arguments[1]))
        return call(*arguments, **named)

    encoder = MixTransformer(MitSize((8, 8, 10, 16), (2, 1, 2, 1), 8), 0.2)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    with nn.intercept_methods(watch):
        jax.eval_shape(lambda images: encoder.init(keys, images, train=True), images)
    np.testing.assert_allclose([probability for probability, _ in seen[::2]], np.linspace(0, 0.2, 6), atol=1e-9)
    assert all(train for _, train in seen) and len(seen) == 12


def test_a_dropped_branch_is_dropped_for_whole_images_and_made_up_for_by_the_others():
    branch = _draw(400, 2, 2, 3) + 5
    drop = lambda train: DropPath(0.3).apply({}, branch, train, rngs={"dropout": jax.random.key(0)})
    np.testing.assert_array_equal(drop(False), branch)
    ratio = np.asarray(drop(True)) / branch
    assert set(np.unique(np.round(ratio, 4))) == {0.0, np.float32(1.4286)}
    assert (np.ptp(ratio.reshape(400, -1), axis=1) < 1e-5).all()
    assert 0.2 < (ratio[:, 0, 0, 0] == 0).mean() < 0.4


def test_attention_is_the_softmax_of_scaled_products_also_for_huge_logits():
    query, key, value = _draw(2, 6, 3, 4), _draw(2, 5, 3, 4, seed=1), _draw(2, 5, 3, 4, seed=2)
    for scale in (1.0, 300.0):
        logits = np.einsum("bnhd,bmhd->bhnm", scale * query.astype(np.float64), key) / 2
        expected = np.einsum("bhnm,bmhd->bnhd", softmax(logits, axis=-1), value)
        found = attend(jnp.asarray(scale * query), jnp.asarray(key), jnp.asarray(value))
        np.testing.assert_allclose(found, expected, atol=3e-5 if scale > 1 else 2e-6)


def test_layer_norm_keeps_its_digits_beside_a_large_mean():
    features = _draw(1, 4, 4, 16) + np.float32(3000)
    params = {"scale": np.linspace(0.5, 1.5, 16, dtype=np.float32), "bias": _draw(16, seed=1)}
    found = LayerNorm(1e-6).apply({"params": params}, features)
    exact = features.astype(np.float64)
    exact = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(exact.var(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(found, exact * params["scale"] + params["bias"], atol=1e-3)


@pytest.fixture(scope="module")
def maps():
    return [_draw(3, 16 // 2**index, 16 // 2**index, channels, seed=index) for index, channels in enumerate(CHANNELS)]


@pytest.fixture(scope="module")
def variables(maps):
    return random_leaves(variable_shapes(SMALL, maps), seed=1)


def _fused(params, maps):
    """The published order up to the normalisation: project, enlarge, concatenate from the coarsest, fuse; float64."""
    parts = []
    for index, features in enumerate(maps, start=1):
        layer = params[f"projection_{index}"]
        projected = features.astype(np.float64) @ layer["kernel"] + layer["bias"]
        parts.append(np.asarray(enlarge(jnp.asarray(projected, jnp.float32), (16, 16)), np.float64))
    return np.concatenate(parts[::-1], axis=-1) @ params["fuse"]["kernel"][0, 0].astype(np.float64)


def _decoded(params, fused, mean, variance):
    norm, output = params["fuse_norm"], params["output"]
    hidden = np.maximum((fused - mean) / np.sqrt(variance + 1e-5) * norm["scale"] + norm["bias"], 0)
    decoded = hidden @ output["kernel"][0, 0] + output["bias"]
    return decoded.reshape(3, 8, 2, 8, 2, 5).mean((2, 4))


def test_the_decode_head_is_the_published_one_in_the_published_order(maps, variables):
    found = quick_jit(SMALL.apply)(variables, maps)
    params, statistics = variables["params"], variables["batch_stats"]["fuse_norm"]
    expected = _decoded(params, _fused(params, maps), statistics["mean"], statistics["var"])
    assert found.shape == (3, 8, 8, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_training_normalises_by_the_batch_and_moves_the_statistics(maps, variables):
    head = DecodeHead(size=8, features=5, pool=2, dropout=0.0)
    found, moved = quick_jit(lambda v: head.apply(v, maps, train=True, mutable=["batch_stats"]))(variables)
    params, old = variables["params"], variables["batch_stats"]["fuse_norm"]
    fused = _fused(params, maps)
    mean, variance = fused.mean((0, 1, 2)), fused.var((0, 1, 2))
    expected = _decoded(params, fused, mean, variance)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())
    new = moved["batch_stats"]["fuse_norm"]
    np.testing.assert_allclose(new["mean"], 0.9 * old["mean"] + 0.1 * mean, atol=1e-5)
    np.testing.assert_allclose(new["var"], 0.9 * old["var"] + 0.1 * variance, rtol=1e-4)


def test_dropout_drops_whole_channels_of_an_image_in_training_alone(maps, variables):
    head = DecodeHead(size=8, features=5, pool=2, dropout=0.5)
    run = quick_jit(lambda v, key: head.apply(v, maps, train=True, mutable=["batch_stats"], rngs={"dropout": key})[0])
    first, second = (run(variables, jax.random.key(seed)) for seed in (0, 1))
    assert float(jnp.abs(first - second).max()) > 1e-2
    assert float(jnp.abs(first).max()) > 0
