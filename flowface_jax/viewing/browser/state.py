"""What is shown, as one value: every control replaces it, and one loop draws what it says."""

from __future__ import annotations

import dataclasses

from flowface_jax.viewing.browser.values import PLAIN
from flowface_jax.viewing.browser.vertices import NO_EDITS, Edits

SLOWEST, FASTEST = 0.5, 60.0
"""Frames per second that playing can be set to."""
MOST_LEFT_OUT = 3
_ROUNDING = 1e-6


@dataclasses.dataclass(frozen=True)
class ViewState:
    """frame: place among all frames. rate: frames per second when `playing`. camera: the chosen one, of every track.
    colour: of `values`. opacity: of the mesh. edits: coefficients that are held, by track.
    """

    frame: int = 0
    playing: bool = False
    rate: float = 25.0
    camera: int = 0
    side_by_side: bool = True
    pictures: bool = True
    frusta: bool = True
    mesh: bool = True
    wireframe: bool = False
    opacity: float = 1.0
    colour: str = PLAIN
    edits: tuple[Edits, ...] = ()

    def edits_of(self, track: int) -> Edits:
        """What is held in a track."""
        return self.edits[track] if track < len(self.edits) else NO_EDITS

    def with_edits(self, track: int, edits: Edits) -> ViewState:
        """The same with other coefficients held in a track."""
        count = max(track + 1, len(self.edits))
        every = [self.edits_of(i) for i in range(count)]
        every[track] = edits
        return dataclasses.replace(self, edits=tuple(every))


@dataclasses.dataclass(frozen=True)
class Clock:
    """Which frame is due while playing: `frame` was due at `since` s."""

    frame: int
    since: float

    def advanced(self, now: float, rate: float, count: int) -> tuple[Clock, int]:
        """The clock and the frame that is due `now`, s, round and round through `count` frames.

        Where drawing is slower than the rate, frames are left out, but few at a time: pictures have to be decoded one
        after the other, so the film slows down rather than leaping ever farther.
        """
        passed = int((now - self.since) * rate + _ROUNDING)
        if passed <= 0:
            return self, self.frame
        frame = (self.frame + min(passed, MOST_LEFT_OUT + 1)) % count
        return Clock(frame, now if passed > MOST_LEFT_OUT + 1 else self.since + passed / rate), frame
