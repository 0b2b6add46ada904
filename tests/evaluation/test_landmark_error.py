"""Normalised errors of landmarks, and the numbers made of them."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import nme
from flowface_jax.evaluation.landmark_error import LandmarkErrors, normalised_mean_error


def _truth(count=3):
    points = np.random.default_rng(0).uniform(0, 1, (count, 68, 2)) * [300, 400] + 50
    points[:, 0], points[:, 1] = [50, 50], [350, 450]
    return points


@pytest.mark.parametrize(
    ("normalisation", "length"),
    [("box diagonal", 500), ("box side", 400), ("box geometric mean", np.sqrt(300 * 400))],
)
def test_errors_are_parts_of_the_length_that_is_named(normalisation, length):
    truth = _truth()
    found = normalised_mean_error(truth + [3, 4], truth, normalisation)
    np.testing.assert_allclose(found.per_image, 5 / length)
    np.testing.assert_allclose(found.lengths, length)
    assert found.mean == pytest.approx(500 / length) and found.normalisation == normalisation


def test_lengths_between_the_eyes():
    truth = _truth(1)
    truth[0, 36:42], truth[0, 42:48] = [100, 200], [160, 280]
    truth[0, 36], truth[0, 45] = [94, 200], [166, 280]
    corners = normalised_mean_error(truth + [0, 2], truth, "interocular")
    assert corners.lengths[0] == pytest.approx(np.hypot(72, 80))
    middles = normalised_mean_error(truth + [0, 2], truth, "interpupil")
    assert middles.lengths[0] == pytest.approx(np.hypot(62, 80))


def test_unknown_points_do_not_count_and_it_agrees_with_the_other_measure():
    truth = _truth()
    prediction = truth + np.random.default_rng(1).normal(0, 5, truth.shape)
    known = np.random.default_rng(2).uniform(size=truth.shape[:2]) < 0.6
    prediction[~known] = np.nan
    found = normalised_mean_error(prediction, truth, "box side", known)
    np.testing.assert_allclose(100 * found.per_image, nme(np.nan_to_num(prediction), truth, known))
    hidden = np.where(known[..., None], truth, np.nan)
    np.testing.assert_allclose(normalised_mean_error(prediction, hidden).per_image, found.per_image)


def test_area_and_failures_count_images_without_a_prediction():
    errors = LandmarkErrors(np.asarray([0.0, 0.02, 0.04, 0.2, np.nan]), "box side", np.ones(5))
    assert errors.missing == 1 and errors.mean == pytest.approx(6.5)
    assert errors.failure_rate(0.08) == pytest.approx(40)
    assert errors.area_under_curve(0.08) == pytest.approx(100 * (1 + 0.75 + 0.5) / 5)
    places, share = errors.curve(0.08, points=5)
    np.testing.assert_allclose(places, [0, 0.02, 0.04, 0.06, 0.08])
    np.testing.assert_allclose(share, [20, 40, 60, 60, 60])
    # The area is that under the curve.
    fine, high = errors.curve(0.08, points=8001)
    assert np.trapezoid(high, fine) / 0.08 == pytest.approx(errors.area_under_curve(0.08), abs=0.1)


def test_wrong_inputs_are_named():
    truth = _truth()
    with pytest.raises(InputError, match="one shape"):
        normalised_mean_error(truth[:, :5], truth)
    with pytest.raises(InputError, match="normalisation"):
        normalised_mean_error(truth, truth, "head size")
    with pytest.raises(InputError, match="68 landmarks"):
        normalised_mean_error(truth[:, :20], truth[:, :20], "interocular")
    with pytest.raises(InputError, match="every image"):
        normalised_mean_error(truth, np.full_like(truth, np.nan))
    with pytest.raises(InputError, match="is 0"):
        normalised_mean_error(truth, np.ones_like(truth))
    with pytest.raises(InputError, match="limit"):
        normalised_mean_error(truth, truth).failure_rate(8)
