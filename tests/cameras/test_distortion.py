"""The lens model: OpenCV's forward formula, its inverse and its range."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowface_jax.cameras.distortion import distort, largest_radius, undistort

LENSES = {
    "barrel": [-0.4, 0.1, 1e-3, -2e-3, 0.02, 0, 0, 0],
    "strong barrel": [-0.9, 0, 0, 0, 0, 0, 0, 0],
    "pincushion": [0.5, 0.2, 0, 0, 0.1, 0, 0, 0],
    "rational": [0.3, -0.1, 1e-3, 2e-3, 0.01, 0.5, 0.1, 0.05],
}


def disc(radius: float, count: int = 500) -> np.ndarray:
    generator = np.random.default_rng(3)
    r, angle = radius * np.sqrt(generator.uniform(0, 1, count)), generator.uniform(0, 2 * np.pi, count)
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)


@pytest.mark.parametrize("lens", LENSES)
def test_forward_is_opencvs_formula(lens):
    coefficients = np.asarray(LENSES[lens], np.float64)
    points = disc(min(0.9 * largest_radius(coefficients), 0.9))
    rays = np.concatenate([points, np.ones((len(points), 1))], axis=1)
    expected, _ = cv2.projectPoints(rays, np.zeros(3), np.zeros(3), np.eye(3), coefficients)
    np.testing.assert_allclose(distort(points, coefficients), expected[:, 0], atol=1e-12)


@pytest.mark.parametrize("lens", LENSES)
def test_inverse_brings_every_point_back_up_to_the_edge_of_the_range(lens):
    coefficients = np.asarray(LENSES[lens], np.float64)
    points = disc(min(0.98 * largest_radius(coefficients), 1.0))
    np.testing.assert_allclose(undistort(distort(points, coefficients), coefficients), points, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    k=st.tuples(*[st.floats(-0.5, 0.5)] * 3),
    p=st.tuples(*[st.floats(-5e-3, 5e-3)] * 2),
    rational=st.tuples(*[st.floats(0, 0.4)] * 3),
)
def test_inverse_holds_for_any_lens(k, p, rational):
    coefficients = np.asarray([k[0], k[1], *p, k[2], *rational])
    points = disc(min(0.9 * largest_radius(coefficients), 0.8), 100)
    moved = distort(points, coefficients)
    seen = np.isfinite(moved).all(-1)
    assert seen.mean() > 0.9
    back = undistort(moved[seen], coefficients)
    np.testing.assert_allclose(back, points[seen], atol=1e-7)


def test_range_of_a_barrel_lens_ends_where_its_radius_turns_back():
    # r - 0.4 r³ grows until 1 = 1.2 r².
    coefficients = np.asarray([-0.4, 0, 0, 0, 0, 0, 0, 0])
    assert largest_radius(coefficients) == pytest.approx(np.sqrt(1 / 1.2))
    assert np.isnan(distort(np.asarray([[1.0, 0.0]]), coefficients)).all()
    # The lens sends nothing farther out than 2/3 of that radius.
    assert np.isnan(undistort(np.asarray([[0.62, 0.0]]), coefficients)).all()
    assert np.isfinite(undistort(np.asarray([[0.60, 0.0]]), coefficients)).all()


def test_range_is_infinite_without_distortion():
    assert largest_radius(np.zeros(8)) == np.inf


def test_points_that_are_not_numbers_stay_so():
    result = undistort(np.asarray([[np.nan, 0.0], [0.1, 0.1]]), np.asarray(LENSES["barrel"]))
    assert np.isnan(result[0]).all() and np.isfinite(result[1]).all()


def test_points_that_tangential_terms_fold_over_are_left_out_rather_than_moved_elsewhere():
    coefficients = np.asarray([0.3, 0, 0.01, 0.01, 0, 0.5, 0.1, 0.05])
    points = disc(0.98 * largest_radius(coefficients), 4000)
    moved = distort(points, coefficients)
    seen = np.isfinite(moved).all(-1)
    assert 0.95 < seen.mean() < 1
    np.testing.assert_allclose(undistort(moved[seen], coefficients), points[seen], atol=1e-6)


def test_inverse_holds_where_the_magnification_changes_so_fast_that_plain_newton_steps_overshoot():
    coefficients = np.asarray([-0.5, 0.0, 0, 0, 0.3, 0, 0, 0])
    points = disc(1.5, 4000)
    np.testing.assert_allclose(undistort(distort(points, coefficients), coefficients), points, atol=1e-9)
