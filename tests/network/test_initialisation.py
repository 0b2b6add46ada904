"""Fresh variables depend on seed and name alone, and are spread as the modules' own initialisation spreads them."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from flowface_jax.errors import InputError
from flowface_jax.network.alignment_network import AlignmentNetwork, UvFlow, network_shapes
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.initialisation import draw_variables, variable_shapes
from flowface_jax.network.normalised_convolution import NormalisedConvolution
from flowface_jax.network.positional_encoding import PositionalEncoding
from flowface_jax.network.segformer import Block, DecodeHead
from flowface_jax.network.update import Head
from tests.network.compiling import quick_jit

BACKBONES = ("mit_b0", "bisenet_v2", "resnet101", "prnet")


class Everything(nn.Module):
    """One of every kind of leaf."""

    @nn.compact
    def __call__(self) -> None:
        features = jnp.zeros((1, 8, 8, 32))
        Block(2, 2, 0.1, 1e-6, 1e-5, name="block")(features, False)
        DecodeHead(24, 16, name="decode_head")([features[:, :: 2**i, :: 2**i] for i in range(4)])
        NormalisedConvolution(40, name="normalised")(features)
        PositionalEncoding(16, 24, 8, name="encoding")()
        Head(30, name="head")(features)
        Head(4, zero_start=True, name="extra_head")(features)


def _small(shapes):
    """The same names, few numbers."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(tuple(min(n, 3) for n in leaf.shape), leaf.dtype), shapes)


def test_every_leaf_is_spread_as_the_modules_spread_it():
    theirs = flatten_dict(jax.device_get(quick_jit(Everything().init)(jax.random.key(0))))
    ours = flatten_dict(draw_variables(variable_shapes(Everything()), seed=0))
    assert theirs.keys() == ours.keys()
    for path, expected in theirs.items():
        found = ours[path]
        assert found.shape == expected.shape and found.dtype == np.float32 == expected.dtype, path
        if np.ptp(expected) == 0:
            np.testing.assert_array_equal(found, expected)
            continue
        margin = 5 / np.sqrt(2 * found.size)
        assert abs(np.log(found.std() / expected.std())) < 2 * margin, path
        assert abs(found.mean()) < margin * 2 * found.std(), path
        if path[-1] == "kernel":
            assert np.abs(found).max() <= 2 / 0.8796 / np.sqrt(np.prod(found.shape[:-1])), path


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    shapes = variable_shapes(Everything())
    first, again, other = (flatten_dict(draw_variables(shapes, seed)) for seed in (3, 3, 4))
    assert all(first[path].tobytes() == again[path].tobytes() for path in first)
    drawn = [path for path in first if np.ptp(first[path]) > 0]
    assert len(drawn) > 10 and all((first[path] != other[path]).any() for path in drawn)
    same_shape = [first["params", "block", "attention", name, "kernel"] for name in ("query", "key", "value")]
    assert (same_shape[0] != same_shape[1]).all() and (same_shape[1] != same_shape[2]).all()


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_a_rule_for_every_leaf(backbone):
    size = {"image_size": 64, "uv_size": 8, "vertex_count": 5}
    config = NetworkConfig(backbone=backbone, depth=True, covariance=True, presence=True, **size)
    shapes = _small(network_shapes(AlignmentNetwork(config)))
    drawn = draw_variables(shapes, 0)
    assert jax.tree.map(np.shape, drawn) == jax.tree.map(lambda leaf: leaf.shape, shapes)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(drawn))


def test_an_optional_head_does_not_change_how_the_others_start():
    features = jax.ShapeDtypeStruct((1, 8, 8, 128), jnp.float32)
    draw = lambda **changes: flatten_dict(
        draw_variables(_small(variable_shapes(UvFlow(NetworkConfig(uv_size=8, **changes), unroll=1), features)), 7)
    )
    plain, extended = draw(), draw(depth=True)
    assert plain.keys() < extended.keys()
    for path, expected in plain.items():
        np.testing.assert_array_equal(extended[path], expected)
    assert not extended["params", "update", "extra_head", "output", "kernel"].any()


def test_a_leaf_without_a_rule_is_refused():
    with pytest.raises(InputError, match="no rule to initialise params/gate/weight"):
        draw_variables({"params": {"gate": {"weight": jax.ShapeDtypeStruct((2,), jnp.float32)}}}, 0)
