"""Windows of the correlation pyramid are RAFT's: x slow, y fast, zero outside, by both routes, wherever they lie."""

from __future__ import annotations

import hypothesis
import hypothesis.extra.numpy as drawn
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.correlation import correlation_pyramid, look_up
from tests.network.compiling import quick_jit

BATCH, SIDE, QUERIES, RADIUS, LEVELS, DEPTH = 2, 8, 16, 2, 2, 12
ROUTES = ("gather", "product")
READ = {route: quick_jit(lambda volumes, places, r=route: look_up(volumes, places, RADIUS, r)) for route in ROUTES}


def _draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def volumes():
    return [_draw(BATCH, QUERIES, SIDE, SIDE), _draw(BATCH, QUERIES, SIDE // 2, SIDE // 2, seed=1)]


def _value(volume, x, y):
    """One map [h,w] read bilinearly at (x, y), zero outside, in float64."""
    left, top = int(np.floor(x)), int(np.floor(y))
    total = 0.0
    for row in (top, top + 1):
        for column in (left, left + 1):
            if 0 <= row < volume.shape[0] and 0 <= column < volume.shape[1]:
                total += float(volume[row, column]) * (1 - abs(x - column)) * (1 - abs(y - row))
    return total


def _by_loops(volumes, places):
    side = 2 * RADIUS + 1
    result = np.zeros((BATCH, QUERIES, len(volumes), side, side))
    for batch, query, level, i, j in np.ndindex(result.shape):
        x, y = places[batch, query].astype(np.float64) / 2**level + [i - RADIUS, j - RADIUS]
        result[batch, query, level, i, j] = _value(volumes[level][batch, query], x, y)
    return result.reshape(BATCH, QUERIES, -1)


@pytest.mark.parametrize("route", ROUTES)
def test_a_window_is_what_the_definition_says(volumes, route):
    places = np.random.default_rng(2).uniform(-4, SIDE + 3, (BATCH, QUERIES, 2)).astype(np.float32)
    places[0, :4] = [[0, 0], [SIDE - 1, SIDE - 1], [3, 5], [-1, SIDE]]
    found = READ[route](volumes, places)
    assert found.shape == (BATCH, QUERIES, LEVELS * (2 * RADIUS + 1) ** 2)
    np.testing.assert_allclose(found, _by_loops(volumes, places), atol=2e-6)


@pytest.mark.parametrize("route", ROUTES)
def test_within_a_level_x_is_the_slower_axis(route):
    columns = np.broadcast_to(np.arange(SIDE, dtype=np.float32), (BATCH, QUERIES, SIDE, SIDE))
    places = np.full((BATCH, QUERIES, 2), 4, np.float32)
    window = np.asarray(READ[route]([columns, columns[..., :4, :4]], places))[0, 0, :25].reshape(5, 5)
    np.testing.assert_allclose(window, np.broadcast_to(np.arange(2.0, 7.0)[:, None], (5, 5)), atol=1e-6)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("far", [-20.0, SIDE + 20.0, 1e4, -3e9, 1e18])
def test_everything_is_zero_far_outside(volumes, route, far):
    for place in ([far, 3.0], [3.0, far], [far, far]):
        places = np.broadcast_to(np.float32(place), (BATCH, QUERIES, 2))
        np.testing.assert_array_equal(READ[route](volumes, places), 0)


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(
    drawn.arrays(np.float32, (BATCH, QUERIES, 2), elements=st.floats(-30, 30, width=32)), st.integers(0, 2**16)
)
def test_both_routes_agree_wherever_the_places_are(places, seed):
    volumes = [_draw(BATCH, QUERIES, SIDE, SIDE, seed=seed), _draw(BATCH, QUERIES, 4, 4, seed=seed + 1)]
    first, second = (READ[route](volumes, places) for route in ROUTES)
    np.testing.assert_allclose(first, second, atol=5e-5)


def test_both_routes_have_the_same_gradient(volumes):
    places = np.random.default_rng(3).uniform(-2, SIDE + 1, (BATCH, QUERIES, 2)).astype(np.float32)
    weights = _draw(BATCH, QUERIES, LEVELS * 25, seed=4)
    slopes = [
        quick_jit(jax.grad(lambda volumes, r=route: (look_up(volumes, places, RADIUS, r) * weights).sum()))(volumes)
        for route in ROUTES
    ]
    for first, second in zip(*slopes, strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("shared", [1, BATCH])
def test_pooled_features_give_the_pooled_volume(shared):
    first, second = _draw(shared, 4, 4, DEPTH), _draw(BATCH, SIDE, SIDE, DEPTH, seed=1)
    found = correlation_pyramid(jnp.asarray(first), jnp.asarray(second), 3)
    both = np.broadcast_to(first, (BATCH, *first.shape[1:])).reshape(BATCH, QUERIES, DEPTH).astype(np.float64)
    volume = np.einsum("bqd,bhwd->bqhw", both, second.astype(np.float64)) / np.sqrt(DEPTH)
    for level in found:
        assert level.dtype == jnp.float32
        np.testing.assert_allclose(level, volume, atol=1e-5)
        shape = (BATCH, QUERIES, volume.shape[2] // 2, 2, volume.shape[3] // 2, 2)
        volume = volume.reshape(shape).mean((3, 5))


def test_correlations_of_rounded_features_are_summed_in_float32():
    first, second = (jnp.asarray(_draw(1, 4, 4, 128, seed=seed), jnp.bfloat16) for seed in (0, 1))
    level = correlation_pyramid(first, second, 1)[0]
    assert level.dtype == jnp.float32
    queries = np.asarray((first * 128**-0.5).astype(jnp.bfloat16), np.float64).reshape(16, 128)
    expected = queries @ np.asarray(second, np.float64).reshape(16, 128).T
    np.testing.assert_allclose(level.reshape(16, 16), expected, atol=1e-5)
