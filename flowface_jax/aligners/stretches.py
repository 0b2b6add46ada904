"""Parts of a source, read one after the other: the numbers and times of their frames stay those of the whole."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

from flowface_jax.aligners.frames import Frame, FrameSource, SourceInfo

MOST_OPEN = 4
"""Places in a source that stay open for what is read next."""


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Frames `first` to `end` − 1 of what a reader reads, as a source of their own."""

    reader: ForwardReader
    first: int
    end: int

    @property
    def info(self) -> SourceInfo:
        return dataclasses.replace(self.reader.info, frame_count=self.end - self.first)

    def __iter__(self) -> Iterator[Frame]:
        return self.reader.frames(self.first, self.end)


@dataclasses.dataclass
class _Place:
    """How far an iterator has come: `position` is the number of the frame that it gives next."""

    position: int
    frames: Iterator[Frame]


class ForwardReader:
    """A source of which stretches are read, mostly forward, without beginning at its first frame each time.

    Where a stretch ends, the source stays open, and a later stretch goes on from there; so reading every scene of a
    film a few times decodes the film a few times, not once a scene. Stretches may be read from any thread, and several
    at a time.
    """

    def __init__(self, source: FrameSource) -> None:
        self._source = source
        self._places: list[_Place] = []
        self._lock = threading.Lock()

    @property
    def info(self) -> SourceInfo:
        return self._source.info

    def stretch(self, first: int, end: int) -> Stretch:
        """Frames `first` to `end` − 1, or to the end of the source where that comes earlier."""
        return Stretch(self, first, end)

    def frames(self, first: int, end: int) -> Iterator[Frame]:
        """The frames of a stretch in order."""
        place = self._take(first)
        while place.position < end:
            # An iterator that raises is spent, and is not put back.
            frame = next(place.frames, None)
            if frame is None:
                return
            place.position += 1
            if place.position > first:
                try:
                    yield frame
                except GeneratorExit:
                    self._put_back(place)
                    raise
        self._put_back(place)

    def _take(self, first: int) -> _Place:
        """The open place that is nearest before a frame, or the beginning."""
        with self._lock:
            before = [place for place in self._places if place.position <= first]
            if not before:
                return _Place(0, iter(self._source))
            place = max(before, key=lambda one: one.position)
            self._places = [other for other in self._places if other is not place]
            return place

    def _put_back(self, place: _Place) -> None:
        with self._lock:
            self._places.append(place)
            # Dropping an iterator closes its file.
            del self._places[:-MOST_OPEN]
