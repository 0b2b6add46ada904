"""The S3FD network has the published layers, sees RGB, and gives one map for each stride."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.s3fd import CHANNEL_MEANS_BGR, S3FD, SMALLEST_SIDE, ChannelNorm
from tests.network.random_weights import random_variables


def _shapes(height, width):
    image = jax.ShapeDtypeStruct((2, height, width, 3), jnp.uint8)
    variables = jax.eval_shape(S3FD().init, jax.random.key(0), image)
    return variables, jax.eval_shape(S3FD().apply, variables, image)


def test_it_has_the_published_parameters():
    variables, _ = _shapes(64, 64)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 22_459_110
    assert len(jax.tree.leaves(variables)) == 65
    assert variables["params"]["conv3_3_norm_conf"]["kernel"].shape == (3, 3, 256, 4)


def test_maps_of_a_vga_picture_have_the_published_sizes():
    _, levels = _shapes(480, 640)
    sizes = [(120, 160), (60, 80), (30, 40), (19, 24), (10, 12), (5, 6)]
    assert [level.scores.shape for level in levels] == [(2, *size, 2) for size in sizes]
    assert [level.offsets.shape for level in levels] == [(2, *size, 4) for size in sizes]


def test_the_smallest_side_still_has_maps():
    _, levels = _shapes(SMALLEST_SIDE, SMALLEST_SIDE)
    assert all(min(level.scores.shape) > 0 for level in levels)


@pytest.fixture(scope="module")
def network():
    variables = random_variables(S3FD(), (1, 64, 64, 3))
    zeroed = lambda path, leaf: 0 * leaf if path[-1].key == "bias" else leaf
    unbiased = jax.tree_util.tree_map_with_path(zeroed, variables)
    apply = jax.jit(S3FD().apply)
    return lambda images: apply(unbiased, jnp.asarray(images, jnp.float32))


def test_channels_are_blue_green_red_minus_the_means(network):
    means = np.broadcast_to(np.asarray(CHANNEL_MEANS_BGR[::-1], np.float32), (1, 32, 32, 3))
    # Without biases a picture of the means is a picture of zeros: nothing comes out of it.
    assert all(np.abs(level.offsets).max() == 0 for level in network(means))
    assert max(np.abs(level.offsets).max() for level in network(means[..., ::-1])) > 0


def test_normalised_channels_have_the_length_of_the_scale():
    features = np.random.default_rng(0).normal(size=(1, 2, 2, 16)).astype(np.float32)
    features[0, 0, 0] = 0
    module = ChannelNorm(10.0)
    found, _ = module.init_with_output(jax.random.key(0), features)
    length = np.linalg.norm(found, axis=-1)
    np.testing.assert_allclose(length, [[[0, 10], [10, 10]]], rtol=1e-5)
