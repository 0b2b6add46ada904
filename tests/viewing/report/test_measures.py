"""The numbers that the report's curves and heat maps show are those of the track."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.jitter import jitter_px
from flowface_jax.evaluation.mesh_sequence import sequence_of_track
from flowface_jax.evaluation.ssme import sequence_motion_error
from flowface_jax.heads.model import SurfacePoints
from flowface_jax.viewing.report import compare_with_truth
from flowface_jax.viewing.report.measures import (
    head_angles,
    head_position_mm,
    measure_motion,
    over_vertices,
    point_residuals,
    region_median,
    residual_percent,
)
from tests.synthesis.domes import DISTANCE
from tests.viewing.report.reported import YAW, observations, reported_head, reported_track

HEAD = reported_head()


def test_angles_are_those_the_head_was_turned_by_and_unknown_where_nothing_was_seen():
    angles = head_angles(reported_track())
    np.testing.assert_allclose(angles[:4], [(yaw, 0, 0) for yaw in YAW[:4]], atol=1e-3)
    assert np.isnan(angles[4]).all()


def test_the_position_is_in_millimetres_before_the_camera():
    position = head_position_mm(reported_track())
    np.testing.assert_allclose(position[:4], np.tile([0, 0, 1000 * DISTANCE], (4, 1)), atol=1e-3)


def test_residuals_relative_to_the_face_are_in_per_cent():
    np.testing.assert_allclose(residual_percent(reported_track())[0, :4], [0.5, 1.0, 1.5, 2.0], rtol=1e-6)


def test_the_jitter_is_that_of_the_evaluation():
    track = reported_track()
    motion = measure_motion(track, HEAD)
    assert motion.jitter_px == pytest.approx(jitter_px(track, HEAD), rel=1e-6)
    assert np.isfinite(motion.second_difference_px).tolist() == [False, True, True, False, False]


def test_motion_is_the_mean_way_of_the_face_and_openings_the_distance_of_the_lids():
    track = reported_track()
    motion = measure_motion(track, HEAD)
    face = np.asarray(HEAD.regions["face"])
    before, after = (np.asarray(track.image_vertices(HEAD, f))[0, face] for f in (0, 1))
    assert motion.step_px[1] == pytest.approx(np.linalg.norm(after - before, axis=-1).mean(), rel=1e-4)
    world = np.asarray(track.world_vertices(HEAD, 2))
    assert motion.openings_mm["mouth"][2] == pytest.approx(1000 * np.linalg.norm(world[62] - world[66]), rel=1e-4)
    assert np.isnan(motion.openings_mm["left eye"][4])


def test_a_head_without_landmarks_has_no_openings():
    none = SurfacePoints(HEAD.landmarks.vertex_ids[:0], HEAD.landmarks.barycentric[:0])
    assert measure_motion(reported_track(), dataclasses.replace(HEAD, landmarks=none)).openings_mm == {}


def test_residuals_of_points_are_distances_in_pixels_and_in_sigmas():
    track = reported_track()
    residuals = point_residuals(track, HEAD, observations(track, HEAD))
    np.testing.assert_allclose(residuals.px, 5.0, atol=1e-3)
    np.testing.assert_allclose(residuals.sigmas, 2.5, atol=1e-3)
    everywhere = np.ones(HEAD.vertex_count, bool)
    assert region_median(residuals.px, residuals.surface, everywhere) == pytest.approx(5.0, abs=1e-3)
    assert region_median(residuals.px, residuals.surface, ~everywhere) is None


def test_the_alignment_of_another_clip_is_refused():
    track = reported_track()
    other = observations(track, HEAD)
    with pytest.raises(InputError, match="the alignment that the track was fitted to"):
        point_residuals(track, HEAD, dataclasses.replace(other, frame_ids=other.frame_ids + 1))


def test_points_give_their_own_vertex_their_value_and_distant_ones_none():
    positions = np.asarray([[0, 0, 0], [0.001, 0, 0], [0.5, 0, 0]])
    surface = SurfacePoints(np.asarray([[0, 0, 0], [1, 1, 1]]), np.asarray([[1.0, 0, 0]] * 2))
    carried = over_vertices(np.asarray([3.0, np.nan]), surface, positions)
    np.testing.assert_allclose(carried, [3, 3, np.nan])


def test_a_track_is_no_error_away_from_itself():
    sequence = sequence_of_track(reported_track(), HEAD, "itself")
    compared = compare_with_truth(sequence, sequence)
    np.testing.assert_allclose(compared.motion.mean, 0, atol=1e-4)
    np.testing.assert_allclose(compared.vertices.placed_mm, 0, atol=1e-3)


def test_a_shift_counts_as_it_lies_and_not_once_placed():
    truth = sequence_of_track(reported_track(), HEAD, "truth")
    moved = dataclasses.replace(truth, vertices=truth.vertices + np.float32([0.003, 0, 0.004]))
    compared = compare_with_truth(moved, truth)
    np.testing.assert_allclose(compared.vertices.in_place_mm, 5.0, atol=1e-3)
    np.testing.assert_allclose(compared.vertices.placed_mm, 0, atol=1e-3)
    np.testing.assert_allclose(compared.vertices.in_place_by_frame_mm[:4], 5.0, atol=1e-3)
    assert np.isnan(compared.vertices.in_place_by_frame_mm[4])
    expected = sequence_motion_error(moved, truth)
    assert compared.motion.of("face") == expected.of("face")


def test_another_mesh_has_a_motion_error_but_none_of_vertices():
    truth = sequence_of_track(reported_track(), HEAD, "truth")
    fewer = dataclasses.replace(truth, triangles=truth.triangles[::-1])
    assert compare_with_truth(fewer, truth).vertices is None


def test_the_truth_of_another_clip_is_refused():
    truth = sequence_of_track(reported_track(), HEAD, "truth")
    shorter = dataclasses.replace(truth, vertices=truth.vertices[:3], valid=truth.valid[:3])
    with pytest.raises(InputError, match="truth has 3 frames, the track 5"):
        compare_with_truth(truth, shorter)
