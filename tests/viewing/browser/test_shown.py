"""Tracks are opened with what belongs to them, and anything else is refused in one line."""

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.viewing.browser.shown import make_show, open_show
from flowface_jax.viewing.browser.values import PLAIN, RESIDUAL, UNCERTAINTY
from tests.fitting.small import small_head
from tests.viewing.browser.shows import frame_of, shaped_head, shown_track, two_camera_track, write_show


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_show(tmp_path_factory.mktemp("show"))


@pytest.fixture(scope="module")
def two_cameras(tmp_path_factory):
    return write_show(tmp_path_factory.mktemp("two"), two_camera_track())


def test_a_track_its_clip_and_its_alignment(folder):
    track, _, clip = folder
    show = open_show([track], [shaped_head()], [clip])
    assert show.frame_count == 5 and show.frame_rate == pytest.approx(25)
    assert frame_of(show.tracks[0].clips[0].picture(3)) == 3
    assert {PLAIN, UNCERTAINTY, RESIDUAL} <= set(show.colours)
    assert "lips" in show.notes(1) and show.notes(0) == ""


def test_tracks_are_compared_frame_by_frame_on_one_scale(folder):
    track, _, clip = folder
    show = open_show([track, track], [shaped_head()], [clip])
    assert [shown.name for shown in show.tracks] == ["track (1)", "track (2)"]
    assert show.tracks[0].clips[0] is show.tracks[1].clips[0], "one clip is decoded once"
    assert show.notes(1).startswith("track (1): ")
    later = show.tracks[1]
    moved = dataclasses.replace(later.performance, track=dataclasses.replace(later.track, frame_ids=np.arange(5) + 3))
    show = make_show([show.tracks[0], dataclasses.replace(later, performance=moved)])
    assert show.frame_ids.tolist() == list(range(8))
    assert show.span(UNCERTAINTY) == show.tracks[0].values.span(UNCERTAINTY)


def test_clips_are_counted_against_the_cameras(folder, two_cameras):
    (one, _, clip), (two, _, _) = folder, two_cameras
    head = [shaped_head()]
    assert [len(t.clips) for t in open_show([one, two], head, [clip] * 3).tracks] == [1, 2]
    assert len(open_show([two], head, [clip] * 2).tracks[0].clips) == 2
    for tracks, count in (([one], 2), ([two], 1), ([one, two], 2)):
        with pytest.raises(InputError, match=f"--video: expected one clip per camera .* found {count}"):
            open_show(tracks, head, [clip] * count)


def test_what_is_not_the_tracks_is_refused(folder, tmp_path):
    track, _, clip = folder
    for arguments, expected in (
        (([tmp_path], [shaped_head()]), "holds no track.npz"),
        (([track], [small_head()]), "load the same head"),
        (([track], [shaped_head()] * 2), "--head: expected one"),
        (([track], [shaped_head()], [tmp_path / "no.mp4"]), "no such file"),
        (([track], [shaped_head()], [clip], [tmp_path / "a.npz"] * 2), "--alignment: expected one"),
        (([track], [shaped_head()], [clip], [tmp_path / "a.npz"]), "a.npz"),
    ):
        with pytest.raises(InputError, match=expected):
            open_show(*arguments)


def test_a_track_with_fewer_cameras_shows_its_last(folder, two_cameras):
    show = open_show([folder[0], two_cameras[0]], [shaped_head()])
    assert show.camera_names == ("left", "right")
    assert [shown.camera(1) for shown in show.tracks] == [0, 1]
    assert shown_track().cameras.count == 1
