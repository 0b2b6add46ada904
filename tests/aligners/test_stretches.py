"""Parts of a source: whose frames they are, and how often the source is decoded."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

from flowface_jax.aligners.frames import Frame, FrameSource, SourceInfo
from flowface_jax.aligners.stretches import MOST_OPEN, ForwardReader


class Numbered:
    """A film whose pictures hold their number; it counts how often each was decoded."""

    def __init__(self, frames=100, broken_at=None):
        self.info = SourceInfo("film.mp4", (4, 4), frames, 25.0, True)
        self.decoded, self.opened, self._broken_at = 0, 0, broken_at

    def __iter__(self):
        self.opened += 1
        for k in range(self.info.frame_count):
            if k == self._broken_at:
                self._broken_at = None
                raise OSError("unreadable")
            self.decoded += 1
            yield Frame(k, k / 25, np.full((4, 4, 3), k, np.uint8))


def _numbers(frames):
    return [int(frame.image[0, 0, 0]) for frame in frames]


def test_a_stretch_is_a_source_with_the_numbers_and_times_of_the_whole():
    stretch = ForwardReader(Numbered()).stretch(30, 40)
    assert isinstance(stretch, FrameSource) and stretch.info.frame_count == 10
    frames = list(stretch)
    assert [frame.frame_id for frame in frames] == list(range(30, 40)) == _numbers(frames)
    assert frames[0].time_s == 1.2
    assert _numbers(stretch) == list(range(30, 40))


def test_reading_scene_after_scene_decodes_the_film_once():
    film = Numbered()
    reader = ForwardReader(film)
    for first in range(0, 100, 10):
        assert _numbers(reader.stretch(first, first + 10)) == list(range(first, first + 10))
    assert (film.opened, film.decoded) == (1, 100)


def test_reading_every_scene_twice_decodes_the_film_twice():
    film = Numbered()
    reader = ForwardReader(film)
    for first in range(0, 100, 10):
        for _ in range(2):
            assert _numbers(reader.stretch(first, first + 10)) == list(range(first, first + 10))
    assert film.opened == 2 and film.decoded <= 200


def test_a_stretch_that_is_given_up_does_not_disturb_the_next():
    reader = ForwardReader(Numbered())
    begun = iter(reader.stretch(10, 50))
    assert _numbers(itertools.islice(begun, 3)) == [10, 11, 12]
    begun.close()
    assert _numbers(reader.stretch(13, 16)) == [13, 14, 15]
    assert _numbers(reader.stretch(11, 13)) == [11, 12]


def test_stretches_can_be_read_side_by_side():
    reader = ForwardReader(Numbered())
    pairs = zip(reader.stretch(0, 40), reader.stretch(20, 60), strict=True)
    assert [(a.frame_id, b.frame_id) for a, b in pairs] == [(k, k + 20) for k in range(40)]
    results = {}
    threads = [
        threading.Thread(target=lambda k=k: results.update({k: _numbers(reader.stretch(k, k + 30))})) for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {k: list(range(k, k + 30)) for k in range(8)}
    assert len(reader._places) <= MOST_OPEN


def test_a_stretch_beyond_the_end_is_empty_and_one_across_it_short():
    reader = ForwardReader(Numbered(20))
    assert _numbers(reader.stretch(15, 30)) == [15, 16, 17, 18, 19]
    assert _numbers(reader.stretch(25, 30)) == []


def test_an_error_of_the_source_is_raised_and_not_taken_for_its_end():
    reader = ForwardReader(Numbered(broken_at=12))
    with pytest.raises(OSError, match="unreadable"):
        list(reader.stretch(10, 20))
    assert _numbers(reader.stretch(10, 20)) == list(range(10, 20))
