"""The fit finds known truth with calibrated, uncalibrated and single cameras, and with outliers."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.evaluation.geometry import surface_errors_mm, vertex_errors_mm
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import vertices
from flowface_jax.synthesis.sequences import make_performance, observe

FRAMES = 30
CONFIG = FitConfig(error_bars=False)


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def points(head):
    return np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::4]


def _errors(track, performance, head, align):
    face = np.asarray(head.regions["face"])
    world = np.stack([np.asarray(track.world_vertices(head, f)) for f in range(track.frame_count)])
    return float(np.median(vertex_errors_mm(world[:, face], performance.world[:, face], align)))


def _neutral_error(track, performance, head):
    neutral = vertices(head, jnp.asarray(performance.identity, jnp.float32), jnp.zeros(head.expression_size))
    face = np.asarray(head.regions["face"])
    predicted = np.asarray(track.neutral_vertices(head))
    return float(np.median(surface_errors_mm(predicted, np.asarray(neutral), np.asarray(head.triangles), face)))


@pytest.fixture(scope="module")
def four(head):
    return make_performance(head, 1, FRAMES, 4)


@pytest.fixture(scope="module")
def four_error(head, four, points):
    return _errors(fit(observe(four, head, 2, points=points), head, four.cameras, CONFIG), four, head, align=False)


@pytest.mark.minutes
def test_four_calibrated_cameras_recover_the_face_to_half_a_millimetre(four_error):
    assert four_error < 0.5


@pytest.mark.minutes
def test_ten_per_cent_gross_outliers_cost_at_most_half_as_much_again(head, four, points, four_error):
    spoilt = observe(four, head, 2, outlier_share=0.1, points=points)
    error = _errors(fit(spoilt, head, four.cameras, CONFIG), four, head, align=False)
    assert error < max(1.5 * four_error, 0.05)


@pytest.mark.minutes
def test_three_uncalibrated_cameras_recover_face_and_rig(head, points):
    performance = make_performance(head, 3, FRAMES, 3)
    track = fit(observe(performance, head, 4, dropout_share=0.1, points=points), head, config=CONFIG)
    assert _errors(track, performance, head, align=True) < 1.5
    ratio = np.asarray(track.cameras.focal) / np.asarray(performance.cameras.focal)
    assert np.abs(ratio - 1).max() < 0.05
    np.testing.assert_array_equal(np.asarray(track.cameras.rotation[0]), np.eye(3))


def test_one_camera_of_known_focal_recovers_the_neutral_shape(head, points):
    performance = make_performance(head, 5, FRAMES, 1)
    clean = _neutral_error(
        fit(observe(performance, head, 6, points=points), head, performance.cameras, CONFIG), performance, head
    )
    spoilt_observations = observe(performance, head, 6, outlier_share=0.1, points=points)
    spoilt = _neutral_error(fit(spoilt_observations, head, performance.cameras, CONFIG), performance, head)
    assert clean < 1.5
    assert spoilt < max(1.5 * clean, 0.2)


def test_frames_without_a_face_are_bridged_and_flagged(head, points):
    performance = make_performance(head, 7, FRAMES, 1)
    alignment = observe(performance, head, 8, points=points)
    valid = alignment.valid.copy()
    valid[0, 10:14] = False
    track = fit(dataclasses.replace(alignment, valid=valid), head, performance.cameras, CONFIG)
    flagged = {flag["frame"]: flag["reasons"] for flag in track.summary["flags"]}
    assert {frame for frame, reasons in flagged.items() if "no face" in reasons} == {10, 11, 12, 13}
    assert np.isnan(track.residual_px[0, 10:14]).all()
    assert np.isfinite(track.head_translation).all()
    gap = np.linalg.norm(np.asarray(track.world_vertices(head, 12)) - performance.world[12], axis=1)
    assert np.median(gap) < 0.02


@pytest.mark.minutes
def test_a_given_neutral_head_is_followed_where_the_image_is_silent(head, points):
    performance = make_performance(head, 9, 4, 1)
    true = np.asarray(vertices(head, jnp.asarray(performance.identity, jnp.float32), jnp.zeros(head.expression_size)))
    few = observe(performance, head, 10, noise_px=8.0, points=points[::10])
    without = _neutral_error(fit(few, head, performance.cameras, CONFIG), performance, head)
    given = _neutral_error(fit(few, head, performance.cameras, CONFIG, neutral_template=true), performance, head)
    assert given < 0.5 * without


@pytest.mark.minutes
def test_several_views_let_the_nose_leave_the_model(head, points):
    performance = make_performance(head, 11, 6, 4)
    nose = np.asarray(head.regions["nose"])
    bump = np.zeros((head.vertex_count, 3), np.float32)
    bump[nose, 2] = 0.004
    rotated = np.einsum("fij,vj->fvi", performance.head_rotation, bump)
    changed = dataclasses.replace(performance, world=performance.world + rotated)
    everything = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    alignment = observe(changed, head, 12, points=everything)
    with_offsets = fit(alignment, head, performance.cameras, CONFIG)
    without = fit(alignment, head, performance.cameras, FitConfig(offsets="fixed", error_bars=False))
    assert np.abs(with_offsets.offsets[~nose]).max() == 0
    assert np.abs(with_offsets.offsets[nose]).max() > 5e-4

    def nose_error(track):
        world = np.stack([np.asarray(track.world_vertices(head, f)) for f in range(6)])
        return np.linalg.norm(world[:, nose] - changed.world[:, nose], axis=-1).mean()

    assert nose_error(with_offsets) < nose_error(without)
