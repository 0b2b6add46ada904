"""The loss is equations 5 to 7, stays finite where networks go astray, and sees only what has a truth."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from flowface_jax.errors import InputError
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.losses import LossConfig, Targets, alignment_loss, negative_log_likelihood, radius_of
from flowface_jax.network.outputs import AlignedPoints, AlignmentMaps, points_of
from flowface_jax.settings import settings_from
from tests.network.compiling import quick_jit

ITERATIONS, BATCH, POINTS, SIDE, CELL = 3, 2, 9, 8, 8.0
NETWORK = NetworkConfig()
PAPER, OTHER = LossConfig(std_floor=0.0), LossConfig(decay=0.5, dense_weight=0.3, std_floor=0.5)
UV = np.random.default_rng(9).uniform(0, 1, (POINTS, 2)).astype(np.float32)


def _draw(*shape, seed=0, scale=1.0):
    return (scale * np.random.default_rng(seed).normal(size=shape)).astype(np.float32)


def _maps(**changes):
    grid = (ITERATIONS, BATCH, SIDE, SIDE)
    values = {"flow": _draw(*grid, 2), "log_std": _draw(*grid, seed=1), "shape": None, "depth": None, "presence": None}
    return AlignmentMaps(**{**values, "cell": CELL, **changes})


def _targets(**changes):
    weight = np.random.default_rng(2).uniform(0.005, 1, (BATCH, POINTS)).astype(np.float32)
    dense_weight = np.random.default_rng(3).uniform(0.005, 1, (SIDE, SIDE)).astype(np.float32)
    dense_weight[:2] = 0
    values = {
        "mean": _draw(BATCH, POINTS, 2, seed=4, scale=20.0) + 32,
        "weight": weight,
        "dense": _draw(BATCH, SIDE, SIDE, 2, seed=5, scale=20.0) + 32,
        "dense_weight": dense_weight,
    }
    return Targets(**{**values, **changes})


BOTH = quick_jit(jax.value_and_grad(alignment_loss, has_aux=True), static_argnums=(3, 4))
POINTS_OF = quick_jit(points_of)


def _loss(maps, targets, config=PAPER):
    """The loss, its terms and its gradient."""
    (loss, terms), slopes = BOTH(maps, UV, targets, NETWORK, config)
    return loss, terms, slopes


def _nll(residual, log_std, floor=0.0):
    """The bracket of equations 5 and 6 for one residual, in float64."""
    variance = np.exp(2 * np.float64(log_std)) + floor**2
    return np.log(variance) + (np.float64(residual) ** 2).sum() / (2 * variance)


def _by_loops(maps, targets, config, crops=range(BATCH)):
    """Equation 7, one point and one texel at a time."""
    points, total = jax.device_get(POINTS_OF(maps, UV)), 0.0
    maps = jax.device_get(maps)
    mean, log_std = np.asarray(maps.mean, np.float64), np.asarray(maps.log_std_px, np.float64)
    for k in range(ITERATIONS):
        for b in crops:
            vertex = sum(
                float(targets.weight[b, i])
                * _nll(points.mean[k, b, i] - targets.mean[b, i], points.log_std[k, b, i], config.std_floor)
                for i in range(POINTS)
            )
            dense = sum(
                float(targets.dense_weight[p])
                * _nll(mean[k, b][p] - np.float64(targets.dense[b][p]), log_std[k, b][p], config.std_floor)
                for p in np.ndindex(SIDE, SIDE)
            )
            total += config.decay ** (ITERATIONS - 1 - k) * (vertex + config.dense_weight * dense) / BATCH
    return total


@pytest.mark.parametrize("config", [PAPER, OTHER])
def test_the_loss_is_the_papers_sum_over_iterations_points_and_texels(config):
    maps, targets = _maps(), _targets()
    loss, terms, _ = _loss(maps, targets, config)
    np.testing.assert_allclose(loss, _by_loops(maps, targets, config), rtol=2e-5)
    assert float(terms["loss"]) == float(loss)
    distance = np.linalg.norm(np.asarray(POINTS_OF(maps, UV).mean[-1] - targets.mean), axis=-1)
    np.testing.assert_allclose(terms["error_px"], np.average(distance, weights=targets.weight), rtol=1e-5)


def test_without_a_floor_it_is_the_literal_bracket_and_best_at_the_true_variance():
    residual = _draw(50, 2, scale=3.0)
    expected = [_nll(d, np.log(2.5)) for d in residual]
    found = negative_log_likelihood(residual, jnp.full(50, np.log(2.5)), PAPER)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    best = 0.5 * jnp.log((residual**2).sum(-1).mean() / 2)
    slope = jax.grad(lambda log_std: negative_log_likelihood(residual, jnp.full(50, log_std), PAPER).sum())(best)
    assert abs(float(slope)) < 1e-3


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("config", [PAPER, OTHER])
def test_loss_and_gradients_are_finite_for_any_uncertainty(dtype, config):
    targets = _targets()
    for std in (1e-4, 1e-2, 1.0, 1e2, 1e4):
        log_std = np.full((ITERATIONS, BATCH, SIDE, SIDE), np.log(std / CELL), np.float32)
        maps = _maps(log_std=log_std, flow=_draw(ITERATIONS, BATCH, SIDE, SIDE, 2, scale=8.0))
        loss, terms, slopes = _loss(jax.tree.map(lambda leaf: leaf.astype(dtype), maps), targets, config)
        assert loss.dtype == jnp.float32 and all(np.isfinite(term) for term in terms.values())
        found = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(slopes)]
        assert all(np.isfinite(leaf).all() for leaf in found)
        assert np.abs(found[0]).max() > 0


def test_a_perfect_point_stops_gaining_at_the_floor():
    nll = jax.grad(lambda log_std: negative_log_likelihood(jnp.zeros(2), log_std, LossConfig(std_floor=1e-3)))
    assert float(nll(jnp.log(1e-1))) == pytest.approx(2, rel=1e-3)
    assert abs(float(nll(jnp.log(1e-6)))) < 1e-4


def test_an_ellipse_is_a_bivariate_normal_and_a_circle_at_shape_zero():
    rng = np.random.default_rng(6)
    for _ in range(20):
        residual, log_std, (a, b) = rng.normal(0, 2, 2), rng.normal(), rng.normal(0, 0.7, 2)
        values, vectors = np.linalg.eigh([[a, b], [b, -a]])
        covariance = np.exp(2 * log_std) * (vectors * np.exp(values)) @ vectors.T
        expected = -multivariate_normal(cov=covariance).logpdf(residual) - np.log(2 * np.pi)
        arguments = [jnp.asarray(value, jnp.float32) for value in (residual, log_std, (a, b))]
        found = negative_log_likelihood(*arguments[:2], PAPER, arguments[2])
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    circle = negative_log_likelihood(*arguments[:2], PAPER)
    same = lambda shape: negative_log_likelihood(*arguments[:2], PAPER, shape)
    np.testing.assert_allclose(same(jnp.zeros(2)), circle, rtol=1e-6)
    assert bool(jnp.isfinite(jax.grad(same)(jnp.zeros(2))).all())


def test_a_residual_limit_counts_long_residuals_as_that_long():
    limited = LossConfig(std_floor=0.0, residual_limit=5.0)
    residual = jnp.asarray([[30.0, 40.0], [0.3, 0.4], [0.0, 0.0]])
    found = negative_log_likelihood(residual, jnp.zeros(3), limited)
    np.testing.assert_allclose(found, [12.5, 0.125, 0.0], atol=1e-5)
    slopes = jax.grad(lambda residual: negative_log_likelihood(residual, jnp.zeros(3), limited).sum())(residual)
    assert bool(jnp.isfinite(slopes).all()) and float(jnp.abs(slopes[0]).max()) < 1e-5


def _absent(targets, value):
    """The same targets, with `value` wherever they say that there is no truth."""
    nothing = np.where(targets.dense_weight > 0, 0.0, value)[..., None].astype(np.float32)
    weight, mean = targets.weight.copy(), targets.mean.copy()
    weight[:, 3], mean[:, 3] = 0, value
    return dataclasses.replace(targets, dense=targets.dense + nothing, weight=weight, mean=mean)


def test_what_has_no_weight_may_hold_anything_and_reaches_no_gradient():
    maps = _maps()
    clean, dirty = _absent(_targets(), 0.0), _absent(_targets(), jnp.nan)
    expected, found = _loss(maps, clean), _loss(maps, dirty)
    np.testing.assert_array_equal(found[0], expected[0])
    jax.tree.map(np.testing.assert_array_equal, found[2], expected[2])


def test_a_crop_without_the_face_counts_for_presence_alone():
    presence = np.asarray([1.5, -0.5], np.float32)
    maps = _maps(presence=presence)
    targets = _targets(face=np.asarray([1, 0]))
    nothing = np.asarray([1, np.nan], np.float32)
    hidden = dataclasses.replace(
        targets,
        mean=targets.mean * nothing[:, None, None],
        dense=targets.dense * nothing[:, None, None, None],
    )
    loss, terms, slopes = _loss(maps, hidden)
    odds = np.asarray([1.5, -0.5])
    probability = 1 / (1 + np.exp(-odds))
    entropy = -np.log([probability[0], 1 - probability[1]]).mean()
    np.testing.assert_allclose(terms["presence"], entropy, rtol=1e-5)
    np.testing.assert_allclose(loss, _by_loops(maps, targets, PAPER, crops=[0]) + entropy, rtol=1e-5)
    assert np.abs(slopes.flow[:, 1]).max() == 0 and np.abs(slopes.presence).min() > 0


def test_depth_is_a_likelihood_of_its_own_weight():
    depth = _draw(ITERATIONS, BATCH, SIDE, SIDE, 2, seed=7)
    truth = _draw(BATCH, POINTS, seed=8, scale=10.0)
    maps, config = _maps(depth=depth), LossConfig(std_floor=0.0, depth_weight=0.3)
    targets = _targets(depth=truth)
    loss, terms, _ = _loss(maps, targets, config)
    points = POINTS_OF(maps, UV)
    residual = np.asarray(points.depth - truth, np.float64)
    log_std = np.asarray(points.depth_log_std, np.float64)
    values = (2 * log_std + residual**2 / (2 * np.exp(2 * log_std))) * np.asarray(targets.weight)
    per_iteration = values.sum(-1).mean(-1)
    np.testing.assert_allclose(terms["depth"], per_iteration[-1], rtol=1e-5)
    without = _loss(_maps(), _targets())[0]
    added = 0.3 * (per_iteration * 0.8 ** np.arange(2, -1, -1)).sum()
    np.testing.assert_allclose(loss - without, added, rtol=1e-4)


def test_points_alone_have_no_dense_term():
    maps = _maps()
    points = POINTS_OF(maps, UV)
    loss, terms, _ = _loss(points, _targets())
    assert isinstance(points, AlignedPoints) and "dense" not in terms
    np.testing.assert_allclose(loss, _loss(maps, _targets(dense=None))[0], rtol=1e-6)


def test_a_dense_target_of_another_size_is_refused():
    with pytest.raises(InputError, match="4 texels a side.*map 8"):
        alignment_loss(_maps(), UV, _targets(dense=jnp.zeros((BATCH, 4, 4, 2))), NETWORK)


@pytest.mark.parametrize(
    "values", [{"alpha": 0.8}, {"decay": -0.1}, {"decay": "much"}, {"std_floor": float("nan")}, {"dense_weight": True}]
)
def test_unknown_and_unusable_settings_are_refused_in_one_line(values):
    with pytest.raises(InputError, match=next(iter(values))) as caught:
        settings_from(LossConfig, values, "loss")
    assert "\n" not in str(caught.value)


def test_settings_by_name():
    assert settings_from(LossConfig, {"decay": 0.5}, "loss") == LossConfig(decay=0.5)


def test_the_distance_pulls_as_hard_where_the_network_is_unsure():
    """Beside the likelihood: its gradient by a point's place has the length of the weight, whatever σ is."""
    for log_std in (0.0, 3.0):
        points = AlignedPoints(jnp.asarray([[[[3.0, 4.0]]]]), jnp.full((1, 1, 1), log_std))
        targets = Targets(jnp.zeros((1, 1, 2)), jnp.ones(1))

        def loss(mean, weight, points=points, targets=targets):
            moved = dataclasses.replace(points, mean=mean)
            return alignment_loss(moved, UV[:1], targets, NETWORK, LossConfig(distance_weight=weight))[0]

        extra = jax.grad(loss)(points.mean, 2.0) - jax.grad(loss)(points.mean, 0.0)
        np.testing.assert_allclose(extra[0, 0, 0], [2 * 0.6, 2 * 0.8], rtol=1e-5)


def test_openings_count_as_though_every_point_were_off_as_far_and_not_where_an_end_does_not_count():
    # The lids' ends are off by 3 px towards each other, the pair that moves as one is right, the last has no truth.
    points = AlignedPoints(jnp.asarray([[[[0, 1.0], [0, -2], [5, 0], [5, 0], [9, 9], [0, 0]]]]), jnp.zeros((1, 1, 6)))
    weight = jnp.asarray([1.0, 2, 3, 4, 0, 5])
    openings = jnp.asarray([[0, 1], [2, 3], [4, 5]])
    targets = Targets(jnp.zeros((1, 6, 2)), weight, openings=openings)
    plain, _ = alignment_loss(points, jnp.zeros((6, 2)), targets, NETWORK, LossConfig())
    total, terms = alignment_loss(points, jnp.zeros((6, 2)), targets, NETWORK, LossConfig(opening_weight=0.5))
    np.testing.assert_allclose(terms["opening_px"], 3 / 2, rtol=1e-3)
    np.testing.assert_allclose(total - plain, 0.5 * 15 * 3 / 2, rtol=1e-3)


def test_openings_that_are_not_as_at_rest_count_more_by_how_far_they_are_from_it():
    # Two pairs on a circle of radius 5: one as long as at rest, one 2 radii where it rests at 1.5; both off by 1 px.
    truth = jnp.asarray([[[5.0, 0], [5, 4], [0, -5], [0, 5], [-5, -2], [-5, 2]]])
    weight = jnp.ones(6)
    radius = float(radius_of(truth, weight)[0])
    openings, at_rest = jnp.asarray([[0, 1], [2, 3]]), jnp.asarray([4.0 / radius, 10.0 / radius - 0.5])
    targets = Targets(truth, weight, openings=openings, openings_at_rest=at_rest)
    moved = truth.at[0, jnp.asarray([0, 2]), 0].add(1.0)
    points = AlignedPoints(moved[None], jnp.zeros((1, 1, 6)))
    for emphasis, expected in ((0.0, 1.0), (4.0, (1.0 + 3.0) / 2)):
        config = LossConfig(opening_weight=1.0, opening_emphasis=emphasis)
        _, terms = alignment_loss(points, jnp.zeros((6, 2)), targets, NETWORK, config)
        np.testing.assert_allclose(terms["opening_px"], expected, rtol=1e-3)
