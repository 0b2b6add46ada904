"""The job itself: which tracks a video is made into, and what is left alone when it is run again."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.aligners import FacePath, ForwardReader, open_frames
from flowface_jax.aligners.parts import Part
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.batches import BatchSettings, VideoJob, plans, run_batch, track_video, tracking
from flowface_jax.batches.records import ROW_FILE
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.track import Track
from flowface_jax.job_folders import REQUEST_FILE
from flowface_jax.viewing.video_writer import write_video

SIZE = (160, 120)
FIRST, SECOND = 40, 30
"""Frames of the two scenes."""


def _picture(people):
    """A picture whose lower half tells how many people are in it."""
    picture = np.full((SIZE[1], SIZE[0], 3), (30, 60, 200) if people == 2 else (190, 160, 40), np.uint8)
    picture[SIZE[1] // 2 :] = 120 * people
    return picture


def _detect(image):
    """Boxes of the people in a picture, the larger first."""
    boxes = np.asarray([[10.0, 10, 70, 70], [100, 50, 140, 90]])[: round(float(image[-10, 10].mean()) / 120)]
    return boxes, np.ones(len(boxes))


@pytest.fixture
def video(tmp_path):
    """Two scenes: two people who stand still, then one."""
    write_video(tmp_path / "film.mp4", [_picture(2)] * FIRST + [_picture(1)] * SECOND, 25.0)
    return tmp_path / "film.mp4"


@pytest.fixture
def tracked(monkeypatch):
    """Tracking replaced by writing down what was to be tracked."""
    asked = []

    @dataclasses.dataclass
    class Result:
        frame_count: int
        verdict: str = "good"
        summary = {"residual": {"median_percent_of_face_width": 0.5}}

    def track(inputs, folder, head, part=None, existing="refuse", **options):
        asked.append((folder.relative_to(folder.parents[2]).as_posix(), part, existing))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / REQUEST_FILE).write_text("{}")
        return Result(70 if part is None else part.frames.end - part.frames.first)

    monkeypatch.setattr(tracking, "track", track)
    monkeypatch.setattr(plans, "load_detector", lambda name: _detect)
    return asked


def _job(video, tmp_path, **settings):
    return VideoJob("film.mp4", str(video), str(tmp_path / "out"), "film", BatchSettings(**settings).checked())


def _unhurried(rows):
    return [dataclasses.replace(row, seconds=None) for row in rows]


def _stretches(asked):
    return [(folder, part.frames.first, part.frames.end) for folder, part, _ in asked]


def test_everybody_in_every_scene_is_a_track(video, tmp_path, tracked):
    rows = track_video(_job(video, tmp_path))
    assert _stretches(tracked) == [
        ("film/scene_000/person_00", 0, FIRST),
        ("film/scene_000/person_01", 0, FIRST),
        ("film/scene_001/person_00", FIRST, FIRST + SECOND),
    ]
    assert [(row.scene, row.person, row.first_frame, row.frames, row.status) for row in rows] == [
        (0, 0, 0, FIRST, "done"),
        (0, 1, 0, FIRST, "done"),
        (1, 0, FIRST, SECOND, "done"),
    ]
    assert all(row.residual == 0.5 and row.verdict == "good" for row in rows)
    assert np.abs(tracked[1][1].path.boxes - [100, 50, 140, 90]).max() == 0


def test_one_person_a_scene_and_no_cuts_when_asked(video, tmp_path, tracked):
    track_video(_job(video, tmp_path / "one", people="one"))
    assert [folder for folder, _, _ in tracked] == ["film/scene_000/person_00", "film/scene_001/person_00"]
    tracked.clear()
    track_video(_job(video, tmp_path / "uncut", cuts=None))
    assert {folder.split("/")[1] for folder, _, _ in tracked} == {"scene_000"}
    tracked.clear()
    rows = track_video(_job(video, tmp_path / "whole", people="one", cuts=None))
    assert [(folder, part) for folder, part, _ in tracked] == [("film/scene_000/person_00", None)]
    assert rows[0].frames == FIRST + SECOND


def test_complete_tracks_are_left_alone_and_begun_ones_resumed(video, tmp_path, tracked):
    job = _job(video, tmp_path)
    rows = track_video(job)
    before = list(tracked)
    tracked.clear()
    unfinished = job.place / "scene_000" / "person_01"
    (unfinished / ROW_FILE).unlink()
    (unfinished / ".track.npz.half").write_bytes(b"half")
    missing = job.place / "scene_001" / "person_00"
    (missing / ROW_FILE).unlink()
    (missing / REQUEST_FILE).unlink()
    again = track_video(job)
    assert _unhurried(again) == _unhurried(rows)
    assert [(folder, existing) for folder, _, existing in tracked] == [
        ("film/scene_000/person_01", "resume"),
        ("film/scene_001/person_00", "overwrite"),
    ]
    assert not (unfinished / ".track.npz.half").exists()
    # The boxes are those of the first time, to the last bit.
    assert tracked[0][1].path.digest() == before[1][1].path.digest()


def test_another_video_of_the_same_name_starts_over(video, tmp_path, tracked):
    job = _job(video, tmp_path)
    track_video(job)
    write_video(video, [_picture(1)] * 30, 25.0)
    rows = track_video(job)
    assert [(row.scene, row.person, row.frames) for row in rows] == [(0, 0, 30)]
    assert not (job.place / "scene_001").exists()


def test_a_person_who_cannot_be_tracked_leaves_the_others(video, tmp_path, tracked, monkeypatch):
    work = tracking.track

    def fails_for_one(inputs, folder, head, **options):
        if folder.name == "person_01":
            raise InputError("the network is sure of the face in no frame\nof film.mp4")
        return work(inputs, folder, head, **options)

    monkeypatch.setattr(tracking, "track", fails_for_one)
    rows = track_video(_job(video, tmp_path))
    assert [row.status for row in rows] == ["done", "failed", "done"]
    assert rows[1].error == "the network is sure of the face in no frame" and rows[1].seconds is not None


def test_a_film_without_faces_is_one_failed_row(tmp_path, tracked):
    write_video(tmp_path / "empty.mp4", [_picture(0)] * 20, 25.0)
    batch = run_batch(tmp_path / "empty.mp4", tmp_path / "out")
    assert [row.status for row in batch.rows] == ["failed"] and "no face was found" in batch.rows[0].error
    assert not tracked


@pytest.mark.minutes
def test_two_people_in_real_tracks_keep_the_numbers_of_the_film(tmp_path):
    """Rendered heads side by side, a cut, and the same job resumed after its first track."""
    from tests.batches.rendered import write_two_scenes

    video = write_two_scenes(tmp_path / "film.mp4")
    fit = FitConfig(solver="adamw", max_steps=30, error_bars=False, maximum_points=300)
    settings = BatchSettings(fit=fit)
    batch = run_batch(video, tmp_path / "out", settings)
    assert [row.place[1:] for row in batch.rows] == [(0, 0), (0, 1), (1, 0)] and not batch.failures
    last = tmp_path / "out" / batch.rows[-1].folder
    track, alignment = Track.load(last), Alignment.load(last / "alignment.npz")
    first = batch.rows[-1].first_frame
    assert track.frame_ids[0] == alignment.frame_ids[0] == first > 0
    assert track.frame_times[0] == pytest.approx(first / 25)
    # Killed between two tracks: what is missing is made, with the same bytes.
    before = {path: path.read_bytes() for path in last.iterdir() if path.suffix in (".npz", ".mp4")}
    (last.parents[1] / "video.json").unlink()
    for name in (ROW_FILE, "track.npz", "track.json", "overlay.mp4"):
        (last / name).unlink()
    again = run_batch(video, tmp_path / "out", settings)
    assert _unhurried(again.rows) == _unhurried(batch.rows)
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.minutes
def test_a_part_is_recorded_in_the_request_of_a_track(tmp_path):
    from flowface_jax.heads.generic import generic_head
    from flowface_jax.pipeline import track
    from tests.batches.rendered import write_two_scenes

    video = write_two_scenes(tmp_path / "film.mp4")
    part = Part(ForwardReader(open_frames(video)).stretch(2, 8), None)
    fit = FitConfig(solver="adamw", max_steps=3, error_bars=False)
    track([video], tmp_path / "out", generic_head(), config=fit, part=part, overlay=False)
    request = json.loads((tmp_path / "out" / REQUEST_FILE).read_text())
    assert request["part"] == {"first": 2, "end": 8, "path": None}
    other = dataclasses.replace(part, path=FacePath(np.tile([10.0, 10, 90, 90], (6, 1))))
    with pytest.raises(InputError, match="other part"):
        track([video], tmp_path / "out", generic_head(), config=fit, part=other, existing="resume")
    with pytest.raises(InputError, match="a part is one of a single video"):
        track([video, video], tmp_path / "two", generic_head(), part=part)
