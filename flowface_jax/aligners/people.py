"""Who is who in a scene: the faces of single frames linked into people, who keep their identity when they cross."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from flowface_jax.aligners.appearance import difference
from flowface_jax.aligners.face_paths import FacePath
from flowface_jax.aligners.faces import LARGEST_SEARCH, SEARCH_GROWTH, enlarged, overlap
from flowface_jax.aligners.following import SAME_FACE
from flowface_jax.settings import check_settings

_REMEMBERED = 4
"""Sightings that tell how fast someone moves."""
_NEWEST = 0.3
"""Share of the newest sighting in what a person is known to look like."""
_APART = 1.6
"""Times their size within which two boxes must not touch for either's looks to be its own."""


@dataclasses.dataclass(frozen=True)
class PeopleSettings:
    """detections_per_second: how often faces are looked for; between, boxes are interpolated. least_overlap:
    intersection over union of where a face is expected and found, from which on it can be the same. look_weight: how
    much looking different counts against overlapping. largest_look_difference: who looks more different (Hellinger's
    distance of colours, 0 to 1) after having been out of sight is somebody else. patience_s: how long someone out of
    sight is waited for. shortest_s: for how long a person is seen, at least. smallest_face_px: width of a person's
    median face, at least.
    """

    detections_per_second: float = 8.0
    least_overlap: float = 0.2
    look_weight: float = 1.5
    largest_look_difference: float = 0.6
    patience_s: float = 2.0
    shortest_s: float = 0.5
    smallest_face_px: float = 24.0

    def __post_init__(self) -> None:
        check_settings(self, "people")


class Sighting(NamedTuple):
    """The faces seen in a frame: boxes [N,4] (left, top, right, bottom) px and what their owners look like [N,K]
    (see `appearance.looks`); K = 0 where that is not known.
    """

    frame: int
    boxes: np.ndarray
    looks: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """One person in a scene: in the frames `first` to `end` − 1, along a path whose first box is of frame `first`.

    frames: [N] ascending, in which the face was detected.
    """

    first: int
    end: int
    path: FacePath
    frames: np.ndarray

    @property
    def area(self) -> float:
        """Sum of the boxes' areas, px²."""
        sides = self.path.boxes[:, 2:] - self.path.boxes[:, :2]
        return float(np.nansum(sides.prod(axis=1)))


def find_people(
    sightings: Sequence[Sighting],
    first: int,
    end: int,
    stride: int,
    frame_rate: float,
    settings: PeopleSettings | None = None,
) -> list[Person]:
    """The people of a scene of the frames `first` to `end` − 1, the largest first.

    sightings: of every `stride`-th frame, ascending. frame_rate: 1/s. Each frame's faces are matched to the people so
    far at once (Hungarian method), by how much a face overlaps where its owner would be at an unchanged speed, or was
    last, and how alike they look. A person reaches up to the frames just before and after, in which nobody looked.
    Where someone is hidden behind another, the path has no box.
    """
    settings = settings or PeopleSettings()
    patience = max(stride, round(settings.patience_s * frame_rate))
    members = [m for m in _link(sightings, stride, patience, settings) if _counts(m, stride, frame_rate, settings)]
    people = [_person(member, others, first, end, stride) for member, others in _with_others(members)]
    # Of equal people, the one seen first comes first.
    return sorted(people, key=lambda person: (-person.area, person.first))


class _Member:
    """Somebody in the making."""

    def __init__(self, frame: int, box: np.ndarray, look: np.ndarray) -> None:
        self.frames, self.boxes, self.look = [frame], [box], look

    def add(self, frame: int, box: np.ndarray, look: np.ndarray, clear: bool) -> None:
        self.frames.append(frame)
        self.boxes.append(box)
        if clear:
            self.look = (1 - _NEWEST) * self.look + _NEWEST * look

    def expected(self, frame: int) -> np.ndarray:
        """Boxes [2,4] where the face would be at an unchanged speed, and where it was last."""
        last = self.boxes[-1]
        count = min(_REMEMBERED, len(self.boxes))
        if count < 2:
            return np.stack([last, last])
        moved = (last - self.boxes[-count]).reshape(2, 2).mean(axis=0)
        steps = (frame - self.frames[-1]) / (self.frames[-1] - self.frames[-count])
        # Nobody is known to go on for longer than they were seen to.
        return np.stack([last + np.tile(moved, 2) * min(steps, 1.5), last])


def _link(sightings: Sequence[Sighting], stride: int, patience: int, settings: PeopleSettings) -> list[_Member]:
    everyone: list[_Member] = []
    for frame, boxes, looks in sightings:
        present = [member for member in everyone if frame - member.frames[-1] <= patience]
        matched = _match(present, frame, boxes, looks, stride, settings)
        alone = (overlap(enlarged(boxes, _APART), enlarged(boxes, _APART)) > 0).sum(axis=1) < 2
        for index, (box, look) in enumerate(zip(boxes, looks, strict=True)):
            if index in matched:
                matched[index].add(frame, box, look, bool(alone[index]))
            else:
                everyone.append(_Member(frame, box, look))
    return everyone


def _match(
    present: Sequence[_Member],
    frame: int,
    boxes: np.ndarray,
    looks: np.ndarray,
    stride: int,
    settings: PeopleSettings,
) -> dict[int, _Member]:
    """Whose each of the faces is, by its index; new ones are left out."""
    if not present or not len(boxes):
        return {}
    scores = np.full((len(present), len(boxes)), -np.inf)
    for row, member in enumerate(present):
        gap = frame - member.frames[-1]
        search = min(1 + SEARCH_GROWTH * (gap - 1), LARGEST_SEARCH)
        shared = overlap(enlarged(member.expected(frame), search), enlarged(boxes, search)).max(axis=0)
        unlike = difference(member.look, looks) if looks.shape[1] else np.zeros(len(boxes))
        allowed = shared >= settings.least_overlap
        if gap > stride:
            allowed &= unlike <= settings.largest_look_difference
        # Large boxes overlap easily: who was seen a moment ago comes before who has been out of sight.
        scores[row] = np.where(allowed, shared / search - settings.look_weight * unlike, -np.inf)
    # A pair that is not allowed must cost more than leaving both alone, whatever the others do.
    prices = np.where(np.isfinite(scores), -scores, 1e6)
    rows, columns = linear_sum_assignment(prices)
    return {int(c): present[r] for r, c in zip(rows, columns, strict=True) if np.isfinite(scores[r, c])}


def _counts(member: _Member, stride: int, frame_rate: float, settings: PeopleSettings) -> bool:
    """Whether somebody was seen for long enough, and near enough."""
    widths = [box[2] - box[0] for box in member.boxes]
    seen_s = (member.frames[-1] - member.frames[0] + stride) / frame_rate
    return seen_s >= settings.shortest_s and float(np.median(widths)) >= settings.smallest_face_px


def _with_others(members: Sequence[_Member]) -> list[tuple[_Member, list[_Member]]]:
    return [(member, [other for other in members if other is not member]) for member in members]


def _person(member: _Member, others: Sequence[_Member], first: int, end: int, stride: int) -> Person:
    """Somebody's path through every frame, without those in which another's face is where theirs would be."""
    start = max(first, member.frames[0] - stride + 1)
    stop = min(end, member.frames[-1] + stride)
    every = np.arange(start, stop)
    path = _between(member, every)
    after = np.searchsorted(member.frames, every)
    inner = (after > 0) & (after < len(member.frames))
    gaps = np.diff(member.frames)[np.clip(after - 1, 0, max(len(member.frames) - 2, 0))] if inner.any() else 0
    missed = inner & (gaps > stride)
    for other in others:
        both = missed & (every >= other.frames[0]) & (every <= other.frames[-1])
        if both.any():
            theirs = _between(other, every[both])
            shared = np.asarray([overlap(a[None], b[None])[0, 0] for a, b in zip(path[both], theirs, strict=True)])
            path[np.flatnonzero(both)[shared >= SAME_FACE]] = np.nan
    return Person(start, stop, FacePath(path), np.asarray(member.frames))


def _between(member: _Member, frames: np.ndarray) -> np.ndarray:
    """Boxes [N,4] in any frames: interpolated, and held before the first and after the last sighting."""
    boxes = np.stack(member.boxes)
    return np.stack([np.interp(frames, member.frames, boxes[:, k]) for k in range(4)], axis=1)
