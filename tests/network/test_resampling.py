"""Maps are enlarged, averaged and sampled between cell centres at half-integers; UV (0, 1) is the top-left corner."""

from __future__ import annotations

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.resampling import average_pool, cell_centres, enlarge, sample, uv_to_cells


def _maps(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("side", [(8, 6), (16, 12), (32, 24), (64, 48), (16, 6)])
def test_enlarging_is_opencvs_linear_interpolation(side):
    images = _maps(2, 8, 6, 3)
    expected = np.stack([cv2.resize(image, side[::-1], interpolation=cv2.INTER_LINEAR) for image in images])
    np.testing.assert_allclose(enlarge(jnp.asarray(images), side), expected, atol=2e-6)


@pytest.mark.parametrize("side", [(4, 16), (16, 4), (12, 16)])
def test_enlarging_a_broken_number_of_times_is_refused(side):
    with pytest.raises(ValueError, match="enlarge"):
        enlarge(jnp.zeros((1, 8, 8, 1)), side)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_pooling_averages_blocks(factor):
    images = _maps(2, 8, 4, 3)
    found = np.asarray(average_pool(jnp.asarray(images), factor))
    assert found.shape == (2, 8 // factor, 4 // factor, 3)
    for row, column in np.ndindex(*found.shape[1:3]):
        block = images[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
        np.testing.assert_allclose(found[:, row, column], block.mean((1, 2)), atol=1e-6)


def _sampled(maps, place):
    """One place of maps [H,W,D], in float64, the border's values continued."""
    height, width, _ = maps.shape
    x, y = np.clip(place[0] - 0.5, 0, width - 1), np.clip(place[1] - 0.5, 0, height - 1)
    left, top = int(np.floor(x)), int(np.floor(y))
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    upper = maps[top, left] * (1 - (x - left)) + maps[top, right] * (x - left)
    lower = maps[bottom, left] * (1 - (x - left)) + maps[bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def test_sampling_is_bilinear_between_centres_and_constant_beyond_the_border():
    maps = _maps(2, 3, 5, 7, 4)
    rng = np.random.default_rng(1)
    places = np.concatenate(
        [rng.uniform(-2, 9, (40, 2)), [[0.5, 0.5], [6.5, 4.5], [7.0, 5.0], [0.0, 2.5], [1e6, -1e6]]]
    )
    places = places.astype(np.float32)
    found = jax.jit(sample)(maps, places)
    assert found.shape == (2, 3, 45, 4)
    for index in np.ndindex(2, 3):
        expected = [_sampled(maps[index].astype(np.float64), place.astype(np.float64)) for place in places]
        np.testing.assert_allclose(found[index], expected, atol=5e-6)


def test_sampling_a_map_of_one_cell_gives_that_cell():
    np.testing.assert_array_equal(sample(jnp.full((1, 1, 2), 3.0), jnp.asarray([[0.1, 0.9], [5.0, 5.0]])), 3.0)


def test_a_map_of_its_own_centres_sampled_inside_gives_the_places_back():
    places = np.random.default_rng(2).uniform(0.5, 7.5, (30, 2)).astype(np.float32)
    np.testing.assert_allclose(sample(cell_centres(8), places), places, atol=1e-6)


def test_uv_zero_one_is_the_top_left_corner_of_row_zero():
    corners = np.asarray([[0, 1], [1, 0], [0.5, 0.5], [0.5 / 4, 1 - 0.5 / 4]], np.float32)
    cells = uv_to_cells(corners, 4)
    np.testing.assert_allclose(cells, [[0, 0], [4, 4], [2, 2], [0.5, 0.5]], atol=1e-6)
    rows = jnp.arange(4.0)[:, None, None] * jnp.ones((4, 4, 1))
    assert float(sample(rows, cells)[0, 0]) == 0 and float(sample(rows, cells)[1, 0]) == 3
