"""Where a film cuts from one scene to the next, found as its frames stream by."""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

from flowface_jax.aligners.detection import check_image
from flowface_jax.settings import check_settings

SLOWEST_RATE, FASTEST_RATE = 1.0, 240.0
"""Frames per second that are believed; some files state others."""


@dataclasses.dataclass(frozen=True)
class SceneCutSettings:
    """least_change: how much a picture changes at a cut, at least; 0 is no change and 1 black to white. least_ratio:
    how many times as much as from frame to frame around it. memory_s: over how many seconds before it that is measured.
    longest_flash_s: a change that is taken back within that time is a flash, not a cut, so scenes that are shorter are
    not told apart. thumbnail_px: side of the pictures that are compared. colours: levels of each of red, green and blue
    that are counted.
    """

    least_change: float = 0.075
    least_ratio: float = 3.5
    memory_s: float = 1.0
    longest_flash_s: float = 0.15
    thumbnail_px: int = 32
    colours: int = 6

    def __post_init__(self) -> None:
        check_settings(self, "cuts")


class _Glance(NamedTuple):
    """What is kept of a frame: thumbnail [S,S,3] in [0,1], share of its pixels in each colour [K³]."""

    thumbnail: np.ndarray
    histogram: np.ndarray


class CutFinder:
    """Frames in, cuts out, a few frames later. Memory does not grow with the film.

    The change between two frames is the geometric mean of how much their thumbnails differ (mean absolute difference)
    and how much their colours do (half the summed difference of histograms): a hand that passes changes the one, a
    cloud that passes the other, a cut both. A cut stands between two frames where all of the next few frames differ
    from all of the last few (a flash passes, after which the picture is as before), by `least_change` and by
    `least_ratio` times the median change from frame to frame in the second before, and in the frames just after.
    Dissolves, fades and pans are no cuts, nor is what happens within a flash's length of either end of the film.

    frame_rate: 1/s.
    """

    def __init__(self, frame_rate: float, settings: SceneCutSettings | None = None) -> None:
        self._settings = settings or SceneCutSettings()
        rate = believable_rate(frame_rate)
        self._span = 1 + max(1, int(np.ceil(self._settings.longest_flash_s * rate)))
        self._steps: deque[float] = deque(maxlen=max(4, round(self._settings.memory_s * rate)) + self._span)
        self._glances: deque[_Glance] = deque(maxlen=2 * self._span)
        self._changes: deque[np.ndarray] = deque(maxlen=2 * self._span)
        self._count = 0
        self.cuts: list[int] = []
        """Numbers of the first frames of all scenes but the first, ascending."""

    def add(self, image: np.ndarray) -> None:
        """The next frame [H,W,3] RGB uint8. `cuts` grows by the number of a scene's first frame once it is sure."""
        check_image(image)
        self._enter(_glance(image, self._settings))
        if self._count >= 2 * self._span and self._is_cut():
            self.cuts.append(self._count - self._span)

    def _enter(self, glance: _Glance) -> None:
        """Remember a frame and how much it differs from each of those remembered, oldest first."""
        changes = np.asarray([_change(earlier, glance) for earlier in self._glances])
        if len(changes):
            self._steps.append(float(changes[-1]))
        self._glances.append(glance)
        self._changes.append(changes)
        self._count += 1

    def _is_cut(self) -> bool:
        """Whether the last `span` frames are a new scene after the `span` before them."""
        span = self._span
        # A row ends with the change from the frame just before; the j-th row has j frames of its own scene there.
        rows = [self._changes[j - span] for j in range(span)]
        change = min(float(row[len(row) - j - span : len(row) - j].min()) for j, row in enumerate(rows))
        steps = list(self._steps)
        around = [part for part in (steps[:-span], steps[len(steps) - span + 1 :]) if part]
        level = max(float(np.median(part)) for part in around)
        return change >= max(self._settings.least_change, self._settings.least_ratio * level)


def believable_rate(frame_rate: float) -> float:
    """The frame rate that a file states, 1/s, within reason."""
    return float(np.clip(frame_rate, SLOWEST_RATE, FASTEST_RATE)) if np.isfinite(frame_rate) else SLOWEST_RATE


def _glance(image: np.ndarray, settings: SceneCutSettings) -> _Glance:
    side = settings.thumbnail_px
    thumbnail = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    # Twice the thumbnail's side, so that the colours of small things are not averaged away.
    fine = cv2.resize(image, (2 * side, 2 * side), interpolation=cv2.INTER_AREA)
    counts = cv2.calcHist([fine], [0, 1, 2], None, [settings.colours] * 3, [0, 256] * 3)
    # Neighbouring levels share their counts, so that a slight change of light does not move them all at once.
    smooth = counts.reshape([settings.colours] * 3)
    for axis in range(3):
        padded = np.concatenate([smooth.take([0], axis), smooth, smooth.take([-1], axis)], axis)
        low, high = (padded.take(range(start, start + settings.colours), axis) for start in (0, 2))
        smooth = 0.25 * low + 0.5 * smooth + 0.25 * high
    return _Glance(thumbnail.astype(np.float32) / 255, (smooth / smooth.sum()).ravel())


def _change(earlier: _Glance, later: _Glance) -> float:
    places = float(np.abs(earlier.thumbnail - later.thumbnail).mean())
    colours = 0.5 * float(np.abs(earlier.histogram - later.histogram).sum())
    return float(np.sqrt(places * colours))
