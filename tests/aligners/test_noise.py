"""The standard deviations: jitter is recovered, and points turned away count for less."""

import numpy as np
import pytest

from flowface_jax.aligners import noise


def _cap(count=400, seed=0):
    """Points on a hemisphere that bulges towards the camera (−z), the last 40 on its rim; radius 100 px."""
    rng = np.random.default_rng(seed)
    z = np.concatenate([rng.uniform(0.05, 1, count - 40), np.zeros(40)])
    angle = rng.uniform(0, 2 * np.pi, count)
    radius = np.sqrt(1 - z**2)
    return 100 * np.stack([radius * np.cos(angle), radius * np.sin(angle), -z], axis=1)


RIM = tuple(range(360, 400))


def _turned(points, degrees):
    a = np.deg2rad(degrees)
    return points @ np.asarray([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]).T


@pytest.mark.parametrize("sigma", [0.2, 1.0, 3.0])
def test_jitter_of_known_size_is_recovered_on_a_moving_head(sigma):
    t = np.arange(120)
    clean = np.stack([_turned(_cap(), 25 * np.sin(k / 9)) for k in t])
    clean[..., 0] += (30 * np.sin(t / 4))[:, None]
    noisy = clean.copy()
    noisy[..., :2] += np.random.default_rng(1).normal(0, sigma, noisy[..., :2].shape)
    found = noise.jitter(noisy, np.ones(120, bool))
    assert np.median(found) == pytest.approx(sigma, rel=0.1)
    assert np.mean(np.abs(found / sigma - 1) < 0.4) > 0.9


def test_jitter_follows_a_stretch_of_blurred_frames_and_a_restless_point():
    rng = np.random.default_rng(2)
    sigma = np.full((160, 400), 0.5)
    sigma[80:120] = 3.0
    sigma[:, 7] = 6.0
    points = np.tile(_cap(), (160, 1, 1))
    points[..., :2] += rng.normal(size=(160, 400, 2)) * sigma[..., None]
    found = noise.jitter(points, np.ones(160, bool))
    assert np.median(found[20:60]) == pytest.approx(0.5, rel=0.2)
    assert np.median(found[95:105]) == pytest.approx(3.0, rel=0.2)
    assert found[20:60, 7].min() > 2.5


def test_a_jump_and_gaps_do_not_count_as_jitter():
    rng = np.random.default_rng(3)
    points = np.tile(_cap(), (90, 1, 1))
    points[..., :2] += rng.normal(0, 0.5, (90, 400, 2))
    points[45:, :, 0] += 300
    valid = np.ones(90, bool)
    valid[20:25] = False
    points[20:25] = np.nan
    found = noise.jitter(points, valid)
    assert np.isfinite(found).all() and np.median(found) == pytest.approx(0.5, rel=0.2)


def test_single_frames_have_no_jitter():
    assert (noise.jitter(_cap()[None], np.ones(1, bool)) == 0).all()
    assert (noise.jitter(np.stack([_cap()] * 4), np.asarray([True, False, True, True])) == 0).all()


def test_unrelated_photographs_have_no_jitter():
    points = np.stack([_face() + [5 * k**2, 0, 0] for k in range(5)]) * 1.0
    points[..., :2] += np.random.default_rng(4).normal(0, 8, points[..., :2].shape)
    still = noise.estimate_std(points, np.ones(5, bool), np.ones(478), moving=False)
    assert np.median(still) < 2 < 5 < np.median(noise.estimate_std(points, np.ones(5, bool), np.ones(478)))


def test_facing_cosine_is_that_of_the_sphere_whatever_the_pose():
    for degrees in (0, 35, 70):
        points = _turned(_cap(), degrees)
        expected = -points[:360, 2] / 100
        found = noise.facing_cosine(points[None], RIM)[0, :360]
        assert np.median(np.abs(found - expected)) < 0.05
        assert np.corrcoef(found, expected)[0, 1] > 0.97


def test_points_turned_away_are_less_certain():
    factors = noise.turn_factor(np.asarray([1.0, 0.6, 0.0, -0.6, -1.0]))
    assert np.allclose(factors, [1, 1, 3, 6, 6])
    assert (np.diff(noise.turn_factor(np.linspace(1, -1, 50))) >= 0).all()


def test_std_of_a_still_face_is_the_systematic_part():
    points = np.tile(_face(), (5, 1, 1))
    std = noise.estimate_std(points, np.ones(5, bool), noise.mediapipe_groups(), (1000, 1000))
    size = noise.face_size(points)[0]
    facing = noise.facing_cosine(points)[0] > 0.6
    plain = facing & (noise.mediapipe_groups() == 1)
    assert np.allclose(std[0, plain], noise.SYSTEMATIC * size)
    assert std[0, list(noise.FACE_OVAL)].min() >= 2 * noise.SYSTEMATIC * size * 0.999


def test_points_outside_the_picture_and_invalid_frames_are_not_observed():
    points = np.tile(_face(), (3, 1, 1))
    points[1, :, 0] -= 400
    points[2] = np.nan
    std = noise.estimate_std(points, np.asarray([True, True, False]), noise.mediapipe_groups(), (1000, 1000))
    assert np.isfinite(std[0]).all()
    assert (np.isinf(std[1]) == (points[1, :, 0] < 0)).all() and np.isinf(std[1]).any() and np.isfinite(std[1]).any()
    assert np.isinf(std[2]).all()


def _face():
    """A cap with 478 points whose oval lies on the rim, in the middle of a 1000 px picture."""
    points = np.empty((478, 3))
    oval = np.asarray(noise.FACE_OVAL)
    others = np.setdiff1d(np.arange(478), oval)
    points[others] = _cap(478 - len(oval) + 40)[: len(others)]
    angle = np.linspace(0, 2 * np.pi, len(oval), endpoint=False)
    points[oval] = 100 * np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    return points + [400, 500, 0]
