"""The screen space motion error, beside a slow implementation of the equations in float64 and known cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected
from flowface_jax.evaluation.screen_flow import flow_error_map, screen_mesh, trajectory
from flowface_jax.evaluation.ssme import SsmeConfig, screen_space_motion_error, sequence_motion_error
from tests.evaluation.moving_sheets import SIZE, in_motion, seen_by_pinhole, seen_weakly, sheet, subdivided

FRAMES = 7
VERTICES, TRIANGLES = sheet()
COARSE, COARSE_TRIANGLES = sheet(5)
REGIONS = {"face": np.ones(len(VERTICES), bool), "nose": np.abs(VERTICES[:, :2]).max(1) < 0.7}
VALID = np.ones(FRAMES, bool)
SMALL = SsmeConfig(longest_window=4)


def truth_and_prediction(see=seen_by_pinhole):
    """Two sheets of different topology that move alike but not the same."""
    return see(in_motion(VERTICES, FRAMES, 1)), see(in_motion(0.9 * COARSE, FRAMES, 2))


def measured(prediction, truth, config=SMALL, **changes):
    arguments = dict(
        prediction_triangles=COARSE_TRIANGLES if prediction.pixels.shape[1] == len(COARSE) else TRIANGLES,
        prediction_valid=VALID, truth_triangles=TRIANGLES, truth_valid=VALID, regions=REGIONS,
    )  # fmt: skip
    return screen_space_motion_error(prediction=prediction, truth=truth, config=config, **(arguments | changes))


def shown_by(projected, triangles, frame, perspective):
    """Triangle and barycentrics at each pixel, one pixel and triangle after the other: rays through corners."""
    corners = projected.pixels[frame].astype(np.float64)
    w = projected.depth[frame].astype(np.float64) if perspective else np.ones(len(corners))
    # Which pixels a triangle covers is decided where the rasteriser decides it: on a grid of 1/256 px.
    snapped = np.rint(256 * corners) / 256
    drawn = []
    for number, ids in enumerate(triangles):
        outline, rays = np.c_[snapped[ids], np.ones(3)].T, (np.c_[corners[ids], np.ones(3)] * w[ids, None]).T
        if abs(np.linalg.det(outline)) > 1e-9:
            drawn.append((number, ids, np.linalg.inv(outline), np.linalg.inv(rays)))
    width, height = projected.size
    found = {}
    for row in range(height):
        for column in range(width):
            pixel, best = np.asarray([column + 0.5, row + 0.5, 1]), np.inf
            for number, ids, outline, rays in drawn:
                if (outline @ pixel < 0).any():
                    continue
                mix = rays @ pixel
                mix = mix / mix.sum()
                depth = mix @ projected.depth[frame][ids].astype(np.float64)
                if depth < best:
                    best, found[row, column] = depth, (number, ids, mix)
    return found


def moved(projected, ids, mix, frame, perspective):
    w = mix * (projected.depth[frame][ids].astype(np.float64) if perspective else 1)
    return w @ projected.pixels[frame][ids].astype(np.float64) / w.sum()


def slow(prediction, truth, perspective, windows):
    """Equations 15 and 16 for REGIONS: per-frame errors [F,N_H,R] and coverage [R]."""
    errors = np.full((FRAMES, windows, len(REGIONS)), np.nan)
    covered, total = np.zeros(len(REGIONS)), np.zeros(len(REGIONS))
    for t in range(FRAMES - 1):
        mine = shown_by(prediction, COARSE_TRIANGLES, t, perspective)
        true = shown_by(truth, TRIANGLES, t, perspective)
        for r, mask in enumerate(REGIONS.values()):
            pixels = [pixel for pixel, (_, ids, _) in true.items() if mask[ids].all()]
            both = [pixel for pixel in pixels if pixel in mine]
            total[r] += len(pixels)
            covered[r] += len(both)
            for h in range(1, min(windows, FRAMES - 1 - t) + 1):
                lengths = []
                for pixel in both:
                    (_, own_ids, own_mix), (_, ids, mix) = mine[pixel], true[pixel]
                    there = moved(prediction, own_ids, own_mix, t + h, perspective)
                    lengths.append(np.linalg.norm(there - moved(truth, ids, mix, t + h, perspective)))
                errors[t, h - 1, r] = np.mean(lengths)
    return errors, covered / total


@pytest.mark.parametrize("perspective", [True, False])
def test_it_is_what_the_equations_say(perspective):
    truth, prediction = truth_and_prediction(seen_by_pinhole if perspective else seen_weakly)
    # The slow way takes seconds a frame in full size: a third of the picture will do.
    shrunk = [
        Projected(p.pixels / 3, p.depth, (SIZE[0] // 3, SIZE[1] // 3)) for p in (truth, prediction)
    ]  # fmt: skip
    config = dataclasses.replace(SMALL, prediction_perspective=perspective, truth_perspective=perspective)
    result = measured(shrunk[1], shrunk[0], config)
    errors, coverage = slow(shrunk[1], shrunk[0], perspective, 4)
    np.testing.assert_allclose(result.per_frame, errors, atol=2e-4)
    np.testing.assert_allclose(result.coverage, coverage, atol=1e-9)
    assert 0.5 < coverage.min() < 1
    for h in range(1, 5):
        expected = errors[: FRAMES - h, h - 1].mean(0)
        np.testing.assert_allclose(result.ssme[:, h - 1], expected, atol=2e-4)
    np.testing.assert_allclose(result.mean, result.ssme.mean(1), rtol=1e-12)
    np.testing.assert_allclose(result.printed_sum, result.ssme.sum(1), rtol=1e-12)


@pytest.mark.parametrize("see", [seen_by_pinhole, seen_weakly])
def test_a_track_equal_to_the_truth_has_no_error_at_all(see):
    truth, _ = truth_and_prediction(see)
    flat = see is seen_weakly
    config = dataclasses.replace(SMALL, prediction_perspective=not flat, truth_perspective=not flat)
    result = measured(truth, truth, config)
    assert (result.ssme == 0).all()
    assert (result.coverage == 1).all()


def test_a_constant_offset_is_no_error_and_a_constant_drift_grows_with_the_window():
    truth, _ = truth_and_prediction()
    # A sheet parallel to the image moves every pixel alike.
    still = Projected(np.repeat(truth.pixels[:1], FRAMES, 0), np.full_like(truth.depth, 3), SIZE)
    drift = np.arange(FRAMES)[:, None, None] * np.asarray([0.3, -0.4])
    drifting = Projected((still.pixels + drift + 0.7).astype(np.float32), still.depth, SIZE)
    np.testing.assert_allclose(measured(drifting, still).ssme, np.tile(0.5 * np.arange(1, 5), (2, 1)), atol=1e-4)
    offset = Projected(still.pixels + np.float32(0.7), still.depth, SIZE)
    np.testing.assert_allclose(measured(offset, still).ssme, 0, atol=1e-4)


def test_two_triangles_by_hand():
    # True: the square of 8 x 8 px in two triangles, at rest. Predicted: a triangle over its left upper half, whose
    # right corner goes 8 px to the right: the point at x px from the left edge moves x px.
    square = np.asarray([[0, 0], [8, 0], [0, 8], [8, 8]], np.float32)
    truth = Projected(np.stack([square, square]), np.ones((2, 4), np.float32), (8, 8))
    triangle = np.asarray([[[0, 0], [8, 0], [0, 8]], [[0, 0], [16, 0], [0, 8]]], np.float32)
    prediction = Projected(triangle, np.ones((2, 3), np.float32), (8, 8))
    valid = np.ones(2, bool)
    regions = {"face": np.ones(4, bool), "upper": np.asarray([True, True, True, False])}
    result = screen_space_motion_error(
        prediction, np.asarray([[0, 1, 2]]), valid, truth, np.asarray([[0, 1, 2], [1, 3, 2]]), valid, regions
    )
    row, column = np.indices((8, 8))
    inside = row + column + 1 < 8
    # Pixel centres on the diagonal belong to one of the two triangles; which, the rasteriser's tie rule says.
    share = result.coverage[0] * 64
    assert share in (inside.sum(), inside.sum() + 8)
    counted = inside if share == inside.sum() else row + column + 1 <= 8
    expected = (column + 0.5)[counted].mean()
    np.testing.assert_allclose(result.ssme[:, 0], expected, atol=1e-4)
    assert result.coverage[1] == 1
    assert result.frames_counted[0].tolist() == [1] + [0] * 29
    assert np.isnan(result.ssme[0, 1:]).all() and result.of("face") == pytest.approx(expected, abs=1e-4)


def test_the_same_surface_in_other_triangles_has_the_same_error():
    truth_world, world = in_motion(VERTICES, FRAMES, 1), in_motion(0.9 * COARSE, FRAMES, 2)
    finer, finer_world = subdivided(COARSE_TRIANGLES, world)
    finer_true, finer_truth_world = subdivided(TRIANGLES, truth_world)
    first = measured(seen_by_pinhole(world), seen_by_pinhole(truth_world))
    second = measured(
        seen_by_pinhole(finer_world),
        seen_by_pinhole(finer_truth_world),
        prediction_triangles=finer,
        truth_triangles=finer_true,
        regions={"face": np.ones(finer_truth_world.shape[1], bool)},
    )
    # The rasteriser rounds new vertices to 1/256 px: a few pixels of the outline change, each by its whole error.
    np.testing.assert_allclose(second.ssme[0], first.ssme[0], rtol=2e-3)


def test_the_error_does_not_depend_on_how_many_pixels_are_taken_at_once():
    truth, prediction = truth_and_prediction()
    whole = measured(prediction, truth)
    for count in (1, 100, 999):
        config = dataclasses.replace(SMALL, pixels_at_once=count if count > 1 else 300)
        np.testing.assert_allclose(measured(prediction, truth, config).per_frame, whole.per_frame, rtol=1e-5)
    again = measured(prediction, truth)
    assert again.per_frame.tobytes() == whole.per_frame.tobytes()


def test_a_stride_is_an_estimate_of_all_pixels():
    truth, prediction = truth_and_prediction()
    whole, sample = measured(prediction, truth), measured(prediction, truth, dataclasses.replace(SMALL, stride=2))
    np.testing.assert_allclose(sample.ssme, whole.ssme, rtol=0.05)
    np.testing.assert_allclose(4 * sample.pixels[0], whole.pixels[0], rtol=0.05)


def test_frames_without_a_result_are_left_out_and_counted():
    truth, prediction = truth_and_prediction()
    lost = VALID.copy()
    lost[3] = False
    pixels = prediction.pixels.copy()
    pixels[3] = np.nan
    result = measured(Projected(pixels, prediction.depth, SIZE), truth, prediction_valid=lost)
    whole = measured(prediction, truth)
    assert result.frames_counted[0].tolist() == [4, 3, 2, 3]
    assert np.isnan(result.per_frame[3]).all() and np.isnan(result.per_frame[1, 1]).all()
    known = np.isfinite(result.per_frame)
    np.testing.assert_array_equal(result.per_frame[known], whole.per_frame[known])


def test_points_hidden_later_can_be_left_out():
    # A square at rest, and another one before it that moves over its left half.
    back = np.asarray([[4, 4], [28, 4], [4, 28], [28, 28]], np.float32)
    front = [back + [dx, 0] for dx in (-30, -12)]
    pixels = np.stack([np.concatenate([back, place]) for place in front]).astype(np.float32)
    depth = np.tile(np.float32([2, 2, 2, 2, 1, 1, 1, 1]), (2, 1))
    truth = Projected(pixels, depth, (32, 32))
    triangles = np.asarray([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]])
    wrong = pixels.copy()
    wrong[1, [0, 2]] += [6, 0]
    valid, regions = np.ones(2, bool), {"face": np.arange(8) < 4}
    arguments = (Projected(wrong, depth, (32, 32)), triangles, valid, truth, triangles, valid, regions)
    followed = screen_space_motion_error(*arguments)
    left_out = screen_space_motion_error(*arguments, SsmeConfig(only_seen_later=True))
    assert followed.ssme[0, 0] == pytest.approx(3, abs=1e-3)
    # No triangle of the square at the back is wholly seen any more.
    assert np.isnan(left_out.ssme[0, 0])
    uncovered = screen_space_motion_error(
        *(Projected(p.pixels[::-1], p.depth, p.size) if isinstance(p, Projected) else p for p in arguments),
        SsmeConfig(only_seen_later=True),
    )
    assert uncovered.frames_counted[0, 0] == 1


def test_the_error_map_and_the_trajectories_are_of_the_same_flow():
    truth, prediction = truth_and_prediction()
    true = screen_mesh(truth, TRIANGLES, VALID)
    mine = screen_mesh(prediction, COARSE_TRIANGLES, VALID)
    errors = flow_error_map(mine, true, 1, 3)
    result = measured(prediction, truth)
    assert np.nanmean(errors) == pytest.approx(result.per_frame[1, 2, 0], rel=1e-5)
    row, column = (int(n) for n in np.argwhere(np.isfinite(errors))[50])
    paths = [trajectory(mesh, 1, (column, row), 8) for mesh in (mine, true)]
    assert np.linalg.norm(paths[0][3] - paths[1][3]) == pytest.approx(errors[row, column], abs=1e-3)
    np.testing.assert_allclose(paths[0][0], [column + 0.5, row + 0.5])
    assert np.isnan(paths[0][6:]).all() and np.isfinite(paths[0][:6]).all()
    with pytest.raises(InputError, match="does not cover pixel"):
        trajectory(mine, 1, (0, 0), 3)
    with pytest.raises(InputError, match="found 5 and 8"):
        flow_error_map(mine, true, 5, 3)


def test_sequences_are_seen_by_their_own_cameras():
    truth, prediction = truth_and_prediction()
    world = np.zeros((FRAMES, len(COARSE), 3), np.float32)
    true_world = np.zeros((FRAMES, len(VERTICES), 3), np.float32)
    mine = MeshSequence(world, COARSE_TRIANGLES, VALID, seen=prediction, name="mine")
    true = MeshSequence(true_world, TRIANGLES, VALID, REGIONS, seen=truth, name="true")
    np.testing.assert_array_equal(
        sequence_motion_error(mine, true, SMALL).per_frame, measured(prediction, truth).per_frame
    )
    with pytest.raises(InputError, match="mine: expected cameras"):
        sequence_motion_error(dataclasses.replace(mine, seen=None), true)
    with pytest.raises(InputError, match="expected masks of face"):
        sequence_motion_error(mine, dataclasses.replace(true, regions={}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth: dict(truth_valid=VALID[:-1]), "true or false for each of 7 frames"),
        (lambda truth: dict(regions={}), "at least one region"),
        (lambda truth: dict(regions={"ears": ~REGIONS["face"]}), "region 'ears' is empty"),
        (lambda truth: dict(regions={"ears": REGIONS["face"][1:]}), "each of the truth's 36 vertices"),
        (lambda truth: dict(truth_triangles=TRIANGLES + 1), "triangles of vertices 0 to 35"),
        (
            lambda truth: dict(
                prediction=Projected(truth.pixels[1:], truth.depth[1:], SIZE), prediction_valid=VALID[1:]
            ),
            "each of the truth's 7 frames, found 6",
        ),
        (lambda truth: dict(prediction=Projected(truth.pixels, truth.depth, (40, 40))), "in the same image"),
        (lambda truth: dict(prediction=Projected(truth.pixels * np.nan, truth.depth, SIZE)), "not finite.*6 more"),
        (lambda truth: dict(prediction=Projected(truth.pixels, -truth.depth, SIZE)), "not in front of the camera"),
    ],
)
def test_wrong_inputs_are_named(change, message):
    truth, _ = truth_and_prediction()
    arguments = dict(prediction=truth, prediction_triangles=TRIANGLES, truth=truth) | change(truth)
    with pytest.raises(InputError, match=message):
        measured(**arguments)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="stride"):
        SsmeConfig(stride=0)
