"""Points are read from maps by equation 1; standard deviations mean what they say, over eight orders of magnitude."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, last_iteration, points_of, sample_log_std
from tests.network.compiling import quick_jit

ITERATIONS, BATCH, SIDE, CELL = 2, 3, 8, 4.0
UV = np.random.default_rng(9).uniform(0, 1, (20, 2)).astype(np.float32)
READ = quick_jit(points_of, static_argnums=2)


def _maps(**changes):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=(ITERATIONS, BATCH, SIDE, SIDE, *shape)).astype(np.float32)
    values = {"flow": draw(2), "log_std": draw(), "shape": None, "depth": None, "presence": None, "cell": CELL}
    return AlignmentMaps(**{**values, **changes})


def _weights(uv):
    """The bilinear weights [P,U·U] of each point, in float64 (row 0 at v = 1)."""
    along = np.clip(np.stack([uv[:, 0], 1 - uv[:, 1]], 1).astype(np.float64) * SIDE - 0.5, 0, SIDE - 1)
    hats = np.maximum(0, 1 - np.abs(along[:, :, None] - np.arange(SIDE)))
    return (hats[:, 1, :, None] * hats[:, 0, None, :]).reshape(len(uv), -1)


def test_a_point_is_its_uv_place_plus_the_flow_there_and_its_std_is_the_maps():
    maps = _maps()
    points = READ(maps, UV)
    weights = _weights(UV)
    flow = np.asarray(maps.flow, np.float64).reshape(ITERATIONS, BATCH, -1, 2)
    std = np.exp(np.asarray(maps.log_std, np.float64)).reshape(ITERATIONS, BATCH, -1)
    nu = np.stack([UV[:, 0], 1 - UV[:, 1]], axis=1) * SIDE
    np.testing.assert_allclose(points.mean, (nu + np.einsum("pt,nbtc->nbpc", weights, flow)) * CELL, atol=2e-5)
    np.testing.assert_allclose(points.std, np.einsum("pt,nbt->nbp", weights, std) * CELL, rtol=2e-6)
    logarithmic = READ(maps, UV, "log_std")
    expected = np.exp(np.einsum("pt,nbt->nbp", weights, np.log(std))) * CELL
    np.testing.assert_allclose(logarithmic.std, expected, rtol=2e-6)
    np.testing.assert_array_equal(logarithmic.mean, points.mean)


def test_the_dense_map_and_a_point_at_a_cells_centre_agree():
    maps = _maps()
    uv = np.asarray([[2.5 / SIDE, 1 - 5.5 / SIDE]], np.float32)
    points = READ(maps, uv)
    np.testing.assert_allclose(points.mean[:, :, 0], maps.mean[:, :, 5, 2], atol=1e-5)
    np.testing.assert_allclose(points.log_std[:, :, 0], maps.log_std_px[:, :, 5, 2], atol=1e-5)


def test_zero_flow_puts_a_point_at_its_place_in_the_crop():
    maps = _maps(flow=np.zeros((ITERATIONS, BATCH, SIDE, SIDE, 2), np.float32))
    expected = np.stack([UV[:, 0], 1 - UV[:, 1]], axis=1) * SIDE * CELL
    np.testing.assert_allclose(READ(maps, UV).mean[0, 0], expected, atol=1e-5)


@pytest.mark.parametrize("interpolated", ["std", "log_std"])
def test_stds_spread_over_eight_orders_of_magnitude_are_interpolated_exactly(interpolated):
    log_std = np.random.default_rng(1).uniform(np.log(1e-4), np.log(1e4), (5, SIDE, SIDE)).astype(np.float32)
    # One map of tiny values only and one with a jump between neighbours.
    log_std[1], log_std[2] = np.log(1e-4), np.log(1e-4)
    log_std[2, :, 4:] = np.log(1e4)
    places = (np.stack([UV[:, 0], 1 - UV[:, 1]], axis=1) * SIDE).astype(np.float32)
    found = quick_jit(sample_log_std, static_argnums=2)(log_std, places, interpolated)
    weights, values = _weights(UV), log_std.reshape(5, -1).astype(np.float64)
    mixed = values @ weights.T if interpolated == "log_std" else np.log(np.exp(values) @ weights.T)
    np.testing.assert_allclose(found, mixed, atol=1e-5)
    slopes = quick_jit(jax.grad(lambda x: sample_log_std(x, places, interpolated).sum()))(log_std)
    assert bool(jnp.isfinite(slopes).all())
    # Each point's logarithm grows by as much as all of the map's do.
    np.testing.assert_allclose(slopes.sum((1, 2)), len(UV), rtol=1e-5)


def test_extras_are_sampled_scaled_and_kept_apart():
    rng = np.random.default_rng(2)
    extra = jnp.asarray(rng.normal(size=(2, ITERATIONS, BATCH, SIDE, SIDE, 2)), jnp.float32)
    presence = jnp.arange(3.0)
    points = READ(_maps(shape=extra[0], depth=extra[1], presence=presence), UV)
    weights = _weights(UV)
    sampled = np.einsum("pt,snbtc->snbpc", weights, np.asarray(extra, np.float64).reshape(2, ITERATIONS, BATCH, -1, 2))
    np.testing.assert_allclose(points.shape, sampled[0], atol=1e-5)
    np.testing.assert_allclose(points.depth, sampled[1, ..., 0] * CELL, atol=2e-5)
    np.testing.assert_allclose(points.depth_log_std, sampled[1, ..., 1] + np.log(CELL), atol=1e-5)
    np.testing.assert_array_equal(points.presence, presence)
    last = last_iteration(points)
    assert last.mean.shape == (1, BATCH, 20, 2) and last.depth.shape == (1, BATCH, 20)
    np.testing.assert_array_equal(last.log_std[0], points.log_std[-1])
    np.testing.assert_array_equal(last.presence, presence)


def test_the_std_of_an_ellipse_is_the_root_of_the_mean_variance_along_the_axes():
    from scipy.linalg import expm

    shape = np.random.default_rng(3).normal(0, 1, (1, 1, 6, 2)).astype(np.float32)
    shape[0, 0, 0] = 0
    log_std = np.linspace(-3, 3, 6, dtype=np.float32)[None, None]
    points = AlignedPoints(jnp.zeros((1, 1, 6, 2)), jnp.asarray(log_std), jnp.asarray(shape))
    for index, ((a, b), log) in enumerate(zip(shape[0, 0], log_std[0, 0], strict=True)):
        covariance = np.exp(2 * log) * expm(np.asarray([[a, b], [b, -a]], np.float64))
        np.testing.assert_allclose(points.std[0, 0, index], np.sqrt(np.trace(covariance) / 2), rtol=2e-5)
        np.testing.assert_allclose(np.linalg.det(covariance), np.exp(4 * log), rtol=1e-4)
    slopes = quick_jit(jax.grad(lambda shape: AlignedPoints(points.mean, points.log_std, shape).std.sum()))(
        points.shape
    )
    assert bool(jnp.isfinite(slopes).all())


def test_points_pass_through_unchanged():
    points = AlignedPoints(jnp.ones((1, 1, 4, 2)), jnp.zeros((1, 1, 4)))
    assert points_of(points, UV) is points
