"""What `fit` promises beside accuracy: determinism, honest notes, refusals, and a track that survives the disk."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.cameras.model import make_cameras
from flowface_jax.demo import first_camera
from flowface_jax.errors import InputError
from flowface_jax.fitting import adamw
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.sequences import make_performance, observe

QUICK = FitConfig(solver="adamw", max_steps=60, error_bars=False)


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def performance(head):
    return make_performance(head, 1, 8, 2)


@pytest.fixture(scope="module")
def alignment(head, performance):
    return observe(performance, head, 2, points=np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::4])


@pytest.fixture(scope="module")
def track(alignment, head):
    return fit(alignment, head, config=dataclasses.replace(QUICK, error_bars=True))


def test_a_track_without_error_bars_still_loads(track, tmp_path):
    dataclasses.replace(track, uncertainty=None).save(tmp_path)
    assert Track.load(tmp_path).uncertainty is None


def test_error_bars_of_another_shape_are_refused(track, tmp_path):
    stated = dataclasses.replace(track.uncertainty, identity=track.uncertainty.identity[:-1])
    dataclasses.replace(track, uncertainty=stated).save(tmp_path)
    with pytest.raises(InputError, match="std_identity has shape"):
        Track.load(tmp_path)


def test_the_same_input_gives_the_same_bytes(alignment, head, track, tmp_path):
    track.save(tmp_path / "a")
    fit(alignment, head, config=dataclasses.replace(QUICK, error_bars=True)).save(tmp_path / "b")
    assert (tmp_path / "a/track.npz").read_bytes() == (tmp_path / "b/track.npz").read_bytes()


def test_a_track_survives_the_disk(track, head, tmp_path):
    track.save(tmp_path)
    loaded = Track.load(tmp_path)
    for field in dataclasses.fields(track):
        if field.name not in ("cameras", "record", "uncertainty"):
            np.testing.assert_array_equal(getattr(loaded, field.name), getattr(track, field.name), err_msg=field.name)
    for field in dataclasses.fields(track.uncertainty):
        stated, read = (getattr(each.uncertainty, field.name) for each in (track, loaded))
        np.testing.assert_array_equal(read, stated, err_msg=field.name)
    assert loaded.summary["head"] == track.summary["head"]
    np.testing.assert_array_equal(np.asarray(loaded.image_vertices(head, 3)), np.asarray(track.image_vertices(head, 3)))
    stored = json.loads((tmp_path / "track.json").read_text())
    assert stored["conventions"]["camera_axes"].startswith("OpenCV")


def test_a_track_is_not_decoded_with_another_head(track, head):
    other = dataclasses.replace(head, template=head.template * 1.01)
    with pytest.raises(InputError, match="the track was made with head 'generic'"):
        track.world_vertices(other, 0)


def test_a_damaged_track_is_refused_in_one_line(track, tmp_path):
    with pytest.raises(InputError, match="holds no track.npz"):
        Track.load(tmp_path)
    track.save(tmp_path)
    data = (tmp_path / "track.npz").read_bytes()
    (tmp_path / "track.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match="damaged or truncated") as caught:
        Track.load(tmp_path)
    assert "\n" not in str(caught.value)


def test_clips_of_nearby_lengths_share_one_compiled_loop(alignment, head):
    def of_length(frames):
        return dataclasses.replace(
            alignment,
            mean=alignment.mean[:, :frames],
            std=alignment.std[:, :frames],
            valid=alignment.valid[:, :frames],
            frame_times=alignment.frame_times[:frames],
            frame_ids=alignment.frame_ids[:frames],
        )

    fit(of_length(8), head, config=QUICK)
    before = adamw._advance._cache_size()
    fit(of_length(7), head, config=QUICK)
    fit(of_length(6), head, config=QUICK)
    assert adamw._advance._cache_size() == before


def test_energy_falls_and_convergence_is_reported(alignment, head):
    finished = fit(
        first_camera(alignment), head, config=dataclasses.replace(QUICK, max_steps=1000, plateau_tolerance=1e-2)
    )
    history = finished.energy_history
    assert finished.summary["solver"]["converged"]
    assert finished.summary["solver"]["steps"] == len(history) < 1000
    assert history[-1] < history[0]
    short = fit(first_camera(alignment), head, config=dataclasses.replace(QUICK, max_steps=5))
    assert not short.summary["solver"]["converged"]


@pytest.mark.minutes
def test_an_unobservable_focal_length_is_said_and_a_known_one_is_not(head):
    """A far, still, frontal face fills too little of the picture to tell focal length from distance."""
    performance = make_performance(head, 3, 1, 1)
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::16]
    alignment = observe(performance, head, 4, noise_px=4.0, points=points)
    unknown = fit(alignment, head, config=QUICK)
    assert unknown.summary["focal_relative_std"][0] > 0.08
    assert "focal length cannot be observed" in unknown.summary["notes"][0]
    known = fit(alignment, head, performance.cameras, QUICK)
    assert known.summary["notes"] == [] and known.summary["focal_relative_std"] == [0.0]


def test_a_photo_collection_has_no_motion_between_its_pictures(alignment, head):
    photos = dataclasses.replace(alignment, frame_times=np.zeros(alignment.frame_count))
    assert fit(photos, head, config=QUICK).summary["solver"]["energy"]["temporal"] == 0
    assert fit(alignment, head, config=QUICK).summary["solver"]["energy"]["temporal"] > 0


def test_counts_and_sizes_that_differ_are_refused(alignment, head, performance):
    one = make_cameras([500.0], [[64.0, 64.0]], np.eye(3)[None], [[0.0, 0.0, 1.0]], [[128, 128]])
    with pytest.raises(InputError, match=r"2 camera\(s\), the calibration 1"):
        fit(alignment, head, one)
    with pytest.raises(InputError, match="1024 x 1024 px, the calibration is for 128 x 128"):
        fit(first_camera(alignment), head, one)
    with pytest.raises(InputError, match=r"shape \[\d+, 3\] in metres"):
        fit(alignment, head, neutral_template=np.zeros((3, 3)))


def test_no_visible_face_and_unlinked_cameras_are_refused(alignment, head):
    nothing = dataclasses.replace(alignment, valid=np.zeros_like(alignment.valid))
    with pytest.raises(InputError, match="no frame of any camera has a visible face"):
        fit(nothing, head)
    valid = alignment.valid.copy()
    valid[0, :4], valid[1, 4:] = False, False
    with pytest.raises(InputError, match="never see the face in the same frame"):
        fit(dataclasses.replace(alignment, valid=valid), head)
