"""ArcFace and MICA have the published layers; codes do not depend on the length of the embedding."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.arcface import ArcFace, PReLU
from flowface_jax.network.mica import Mica, neutral_vertices, normalised
from tests.network.random_weights import random_variables

SMALL = {"depths": (1, 2, 1, 1), "widths": (4, 4, 8, 8)}


def _count(tree):
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def _shapes(module):
    return jax.eval_shape(module.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 112, 112, 3), jnp.uint8))


def test_arcface_has_the_published_parameters():
    variables = _shapes(ArcFace())
    assert _count(variables["params"]) == 65_156_160
    # Of each normalisation the published file also holds a counter: three in 49 blocks, four shortcuts, three others.
    counters = 3 * 49 + 4 + 3
    assert len(jax.tree.leaves(variables["batch_stats"])) == 2 * counters
    assert len(jax.tree.leaves(variables)) == 925 - counters


def test_the_mapping_network_has_the_published_parameters():
    mapping = _shapes(Mica())["params"]["mapping"]
    assert _count(mapping) == 512 * 300 + 300 + 4 * (300 * 300 + 300)


@pytest.fixture(scope="module")
def small():
    module = Mica(**SMALL)
    variables, apply = random_variables(module, (1, 112, 112, 3)), jax.jit(module.apply)
    return lambda crops: np.asarray(apply(variables, crops))


def test_bytes_and_numbers_are_the_same_picture(small):
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    np.testing.assert_array_equal(small(crops), small(crops.astype(np.float32)))


def test_a_code_does_not_depend_on_its_batch(small):
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    np.testing.assert_allclose(small(crops)[1], small(crops[[1, 0, 2]])[0], rtol=1e-4, atol=1e-6)


def test_embeddings_have_length_one_and_zero_stays_zero():
    embedding = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(normalised(embedding), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)


def test_prelu_scales_the_negative_side_of_each_channel():
    found = PReLU().apply({"params": {"slope": jnp.asarray([0.5, 2.0])}}, jnp.asarray([[-1.0, -1.0], [3.0, 4.0]]))
    np.testing.assert_array_equal(found, [[-0.5, -2.0], [3.0, 4.0]])


def test_the_head_is_linear_in_the_code():
    rng = np.random.default_rng(0)
    template, basis = rng.normal(size=(7, 3)).astype(np.float32), rng.normal(size=(7, 3, 5)).astype(np.float32)
    code = rng.normal(size=5).astype(np.float32)
    np.testing.assert_allclose(neutral_vertices(template, basis, code), template + basis @ code, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(neutral_vertices(template, basis, 0 * code), template)
