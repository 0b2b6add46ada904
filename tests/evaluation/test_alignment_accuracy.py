"""The measures of a network's points mean what their names say."""

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import (
    HALF,
    NINETY,
    OPENINGS,
    box_side,
    centred,
    coverage,
    debiased,
    deviations,
    nme,
    on_surface,
    opening_slope,
    openings,
    relative_differences,
    std_on_surface,
)
from flowface_jax.evaluation.std_calibration import std_factor
from flowface_jax.heads.model import SurfacePoints


def _gaussian(std, count=60_000, seed=0):
    return np.random.default_rng(seed).normal(0, std, (count, 2))


def test_the_error_is_in_per_cent_of_the_longer_side_of_the_known_points():
    truth = np.asarray([[[0, 0], [40, 0], [0, 80], [500, 500]]], float)
    known = np.asarray([[True, True, True, False]])
    mean = truth + [[[4, 0], [0, 0], [0, 8], [1e9, np.nan]]]
    assert box_side(truth, known).tolist() == [80]
    assert nme(mean, truth, known) == pytest.approx([100 * (4 + 0 + 8) / 3 / 80])
    assert np.isnan(nme(mean, truth, ~known & known)).all()


def test_coverage_of_a_right_sigma_is_that_of_a_gaussian_in_two_dimensions():
    truth = np.zeros((60_000, 2))
    found = coverage(_gaussian(3.0), np.full(60_000, 3.0), truth)
    assert found == pytest.approx((0.3935, 0.8647, 0.5, 0.9), abs=0.01)
    assert (HALF, NINETY) == pytest.approx((1.17741, 2.14597), abs=1e-4)
    sure = coverage(_gaussian(3.0), np.full(60_000, 1.5), truth)
    assert sure.within_half < 0.2 and sure.within_ninety < 0.5


def test_unknown_points_do_not_count_for_coverage():
    mean, truth = np.zeros((4, 2)), np.asarray([[0.5, 0], [9, 0], [9, 0], [np.nan, 0]])
    assert coverage(mean, np.ones(4), truth, np.asarray([True, True, False, True])).within_one == 0.5
    assert np.isnan(coverage(mean, np.ones(4), truth, np.zeros(4, bool))).all()


@pytest.mark.parametrize("wrong", [0.4, 1.0, 2.5])
def test_the_factor_on_sigma_makes_it_right(wrong):
    sigmas = deviations(_gaussian(3.0), np.full(60_000, 3.0 / wrong), np.zeros((60_000, 2)))
    assert std_factor(sigmas) == pytest.approx(wrong, rel=0.01)
    assert std_factor(np.append(sigmas, [np.nan, np.inf])) == pytest.approx(wrong, rel=0.01)


def test_without_a_reference_sigma_cannot_be_calibrated():
    with pytest.raises(InputError, match="at least one point"):
        std_factor(np.asarray([np.nan]))


def _clips(bias, noise, seed):
    random = np.random.default_rng(seed)
    return [bias + noise * random.normal(size=(frames, 5, 2)) for frames in (40, 60, 80)]


def test_an_offset_that_all_clips_share_is_removed():
    bias = np.random.default_rng(1).normal(0, 0.02, (5, 2))
    clips = _clips(bias, 1e-4, 2)
    left, from_others = debiased(clips)
    assert from_others and max(np.abs(one).max() for one in left) < 1e-3 < np.abs(clips[0]).max()


def test_an_offset_of_one_clip_alone_stays_in_it():
    """What is removed comes from other clips: a network that is wrong about one person is not excused."""
    clips = _clips(0.0, 0.0, 3)
    clips[1] = clips[1] + 0.03
    left, _ = debiased(clips)
    assert np.allclose(left[1], 0.03) and np.allclose(left[0], -0.015)
    alone, from_others = debiased(clips[1:2])
    assert not from_others and np.allclose(alone[0], 0)


def test_frames_without_a_face_do_not_disturb_the_offsets():
    clips = _clips(0.02, 0.0, 4)
    clips[0][:10] = np.nan
    clips[1][:, 2] = np.nan
    left, _ = debiased(clips)
    assert np.isnan(left[0][:10]).all() and np.allclose(left[0][10:], 0)
    assert np.isnan(left[1][:, 2]).all() and np.allclose(left[2], 0)


def test_clips_of_other_points_are_refused():
    with pytest.raises(InputError, match="same points"):
        debiased([np.zeros((3, 5, 2)), np.zeros((3, 4, 2))])


def test_differences_do_not_depend_on_the_size_of_the_face():
    truth = np.random.default_rng(5).uniform(0, 100, (3, 6, 2))
    mean = truth + 2.0
    sizes = np.asarray([1.0, 2.0, 7.0])[:, None, None]
    assert np.allclose(
        relative_differences(mean, truth, box_side(truth)),
        relative_differences(sizes * mean, sizes * truth, box_side(sizes * truth)),
    )


def test_half_the_movement_gives_a_slope_of_a_half():
    random = np.random.default_rng(6)
    reference = random.uniform(0, 0.1, 400)
    found = opening_slope(0.02 + 0.5 * reference, reference)
    assert found.slope == pytest.approx(0.5) and found.correlation == pytest.approx(1.0)
    noisy = opening_slope(0.5 * reference + random.normal(0, 0.03, 400), reference)
    assert noisy.slope == pytest.approx(0.5, abs=0.12) and noisy.correlation < 0.7
    assert opening_slope(np.full(400, 0.03), reference).slope == pytest.approx(0.0, abs=1e-12)
    assert np.isnan(opening_slope(reference, np.full(400, 0.03)).slope)


def test_that_people_differ_is_no_movement():
    """Two people whose eyes never move: pooled, a network that knows who is who seems to follow; within clips not."""
    random = np.random.default_rng(7)
    reference = [0.04 + random.normal(0, 0.002, 300), 0.08 + random.normal(0, 0.002, 300)]
    predicted = [np.full(300, 0.04), np.full(300, 0.08)]
    assert opening_slope(np.concatenate(predicted), np.concatenate(reference)).slope > 0.95
    within = opening_slope(centred(predicted, reference), centred(reference, predicted))
    assert abs(within.slope) < 1e-6 and within.spread == pytest.approx(0.002, rel=0.1)


def test_lost_frames_do_not_count_for_slopes():
    reference = np.linspace(0, 0.1, 50)
    predicted = 0.7 * reference
    predicted[::3] = np.nan
    assert opening_slope(predicted, reference).slope == pytest.approx(0.7)
    rows = centred([predicted], [reference]), centred([reference], [predicted])
    assert opening_slope(*rows).slope == pytest.approx(0.7)


def test_openings_are_the_distances_of_lips_and_lids_in_box_sides():
    points = np.zeros((2, 478, 2))
    for k, (upper, lower) in enumerate(OPENINGS.values()):
        points[:, lower, 1] = points[:, upper, 1] + 10.0 * (k + 1)
    found = openings(points, np.asarray([100.0, 200.0]))
    assert {name: values.tolist() for name, values in found.items()} == {
        "mouth": [0.1, 0.05],
        "right lids": [0.2, 0.1],
        "left lids": [0.3, 0.15],
    }


def test_points_and_sigma_of_the_surface_are_mixed_from_the_vertices():
    surface = SurfacePoints(np.asarray([[0, 1, 2]]), np.asarray([[0.5, 0.25, 0.25]]))
    assert on_surface(np.asarray([[0, 0], [4, 0], [0, 8.0]]), surface).tolist() == [[1.0, 2.0]]
    assert std_on_surface(np.asarray([2.0, 4.0, 8.0]), surface).tolist() == [4.0]
