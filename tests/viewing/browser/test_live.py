"""A followed folder tells of each newer track once, and prefers the newest of result and snapshot."""

import os

import numpy as np

from flowface_jax.fitting.snapshots import LIVE_FOLDER
from flowface_jax.fitting.track import ARRAYS, RECORD
from flowface_jax.viewing.browser.live import FollowedFolder
from tests.viewing.browser.shows import shown_track


def _written(folder, second):
    shown_track().save(folder)
    for name in (ARRAYS, RECORD):
        os.utime(folder / name, (second, second))


def test_nothing_there_then_a_snapshot_then_the_result(tmp_path):
    followed = FollowedFolder(tmp_path / "track")
    assert followed.newer() is None
    _written(tmp_path / "track" / LIVE_FOLDER, 100)
    snapshot = followed.newer()
    assert snapshot.place == tmp_path / "track" / LIVE_FOLDER and not snapshot.finished
    followed.show(snapshot)
    assert followed.newer() is None
    _written(tmp_path / "track" / LIVE_FOLDER, 102)
    assert followed.newer().written > snapshot.written
    _written(tmp_path / "track", 104)
    result = followed.newer()
    assert result.finished and result.place == tmp_path / "track"
    followed.show(result)
    assert followed.newer() is None


def test_an_old_result_does_not_hide_a_new_fit(tmp_path):
    _written(tmp_path, 100)
    _written(tmp_path / LIVE_FOLDER, 200)
    assert not FollowedFolder(tmp_path).newer().finished


def test_half_a_track_is_none(tmp_path):
    np.savez(tmp_path / ARRAYS, a=1)
    assert FollowedFolder(tmp_path).newer() is None
