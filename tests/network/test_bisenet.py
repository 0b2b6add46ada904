"""BiSeNet-v2 has the published sizes, coarsens eight times, and its norms follow what they see."""

from __future__ import annotations

from functools import reduce
from operator import getitem

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.bisenet import PRESETS, BiSeNetV2
from tests.network.random_weights import random_variables

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")
UPDATE_PART = 3_547_009
SMALL = {"width": 0.125, "expansion": 2, "head_width": 8, "features": 5}


def _count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _shapes(preset):
    return jax.eval_shape(BiSeNetV2(**PRESETS[preset]).init, jax.random.key(0), jnp.zeros((1, 64, 64, 3)))


def test_the_published_network_has_its_published_sizes():
    counts = {name: _count(tree) for name, tree in _shapes("bisenet_v2")["params"].items()}
    assert counts == {"detail": 519_232, "segment": 1_159_504, "aggregation": 478_720, "head": 1_312_896}


def test_the_wide_network_is_as_large_as_the_papers_row():
    encoder = _count(_shapes("bisenet_v2_wide")["params"])
    assert encoder == 14_048_416
    assert round((encoder + UPDATE_PART) / 1e6, 1) == 17.6


def test_features_are_an_eighth_of_the_images_size():
    images = jax.ShapeDtypeStruct((1, 512, 512, 3), jnp.float32)
    found, _ = jax.eval_shape(BiSeNetV2().init_with_output, jax.random.key(0), images)
    assert found.shape == (1, 64, 64, 128)
    with pytest.raises(InputError, match="multiples of 32"):
        jax.eval_shape(BiSeNetV2().init, jax.random.key(0), jnp.zeros((1, 48, 64, 3)))


@pytest.mark.minutes
def test_batch_statistics_move_in_training_and_count_in_evaluation():
    module = BiSeNetV2(**SMALL)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 64, 64, 3)), jnp.float32)
    variables = random_variables(module, images.shape)
    keys = {"dropout": jax.random.key(1)}
    train = jax.jit(lambda variables: module.apply(variables, images, True, mutable=["batch_stats"], rngs=keys))
    _, after = train(variables)
    for layer in ("detail/stage_1/layer_0", "segment/stem/input", "segment/stage_3/block_0/expand", "head/hidden"):
        names = ("batch_stats", *layer.split("/"), "norm", "var")
        moved = reduce(getitem, names, after) - reduce(getitem, names, variables)
        assert float(jnp.abs(moved).max()) > 1e-3, layer
    evaluate = jax.jit(lambda variables: module.apply(variables, images))
    difference = evaluate(variables) - evaluate({**variables, **after})
    assert difference.shape == (2, 8, 8, 5) and float(jnp.abs(difference).max()) > 1e-3
