"""Which detection belongs to whom: boxes of single frames linked into one track per face, the largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowface_jax.errors import InputError

SEARCH_GROWTH = 0.1
"""How much the search box grows, as a fraction of its size, for each frame in which the face was not seen."""

LARGEST_SEARCH = 3.0
"""The largest search box, in sizes of the last seen box, however long the gap."""


@dataclass(frozen=True)
class FaceTrack:
    """One face through time. frames: [N] ascending frame numbers. detections: [N] its index among each frame's boxes.

    total_area: sum of its box areas over all frames, px².
    """

    frames: np.ndarray
    detections: np.ndarray
    total_area: float


def link_faces(boxes: Sequence[np.ndarray], minimum_overlap: float = 0.3) -> list[FaceTrack]:
    """Link per-frame boxes, each [N,4] as (left, top, right, bottom) px, into face tracks, largest total area first.

    A box joins the track whose last box it overlaps most (intersection over union of at least `minimum_overlap`), best
    pairs first. A face that went unseen is searched for in a box that grows with the gap (`SEARCH_GROWTH` a frame), so
    someone who turns away and returns stays one track while a face elsewhere becomes a new one.
    """
    members: list[list[tuple[int, int]]] = []
    last_boxes: list[np.ndarray] = []
    areas: list[float] = []
    for frame, found in enumerate(boxes):
        found = np.asarray(found, np.float64).reshape(-1, 4)
        ages = np.asarray([frame - track[-1][0] for track in members], np.float64)
        pairs = _match(last_boxes, ages, found, minimum_overlap)
        for index, box in enumerate(found):
            track = pairs.get(index)
            if track is None:
                track = len(members)
                members.append([])
                last_boxes.append(box)
                areas.append(0.0)
            members[track].append((frame, index))
            last_boxes[track] = box
            areas[track] += float(np.prod(np.maximum(box[2:] - box[:2], 0)))
    tracks = [FaceTrack(*np.asarray(track, int).T, area) for track, area in zip(members, areas, strict=True)]
    # `sorted` is stable: of equal faces, the one seen first comes first.
    return sorted(tracks, key=lambda track: -track.total_area)


def choose_face(tracks: Sequence[FaceTrack], face: int, name: str) -> FaceTrack:
    """The track of rank `face` (1 is the largest). Raises InputError, naming the source, if there are fewer faces."""
    check_rank(face, len(tracks), name)
    return tracks[face - 1]


def check_rank(face: int, count: int | None = None, name: str = "") -> None:
    """Raise InputError unless there can be a face of that rank: 1 or more, and of `count` faces that `name` shows."""
    if face < 1:
        raise InputError(f"face: expected a rank of 1 (the largest) or more, found {face}")
    if count == 0:
        raise InputError(
            f"no face was found in any frame of {name}; check that the face is visible, upright and in focus"
        )
    if count is not None and face > count:
        raise InputError(f"face {face} was asked for, but {name} shows only {count}; choose 1 to {count}")


def boxes_of_points(points: np.ndarray) -> np.ndarray:
    """Bounding boxes [...,4] (left, top, right, bottom) of point sets [...,P,2 or more], px."""
    return np.concatenate([points[..., :2].min(axis=-2), points[..., :2].max(axis=-2)], axis=-1)


def overlap(boxes_a: np.ndarray, boxes_b: np.ndarray) -> np.ndarray:
    """Intersection over union [A,B] of boxes [A,4] and [B,4]."""
    a, b = boxes_a[:, None], boxes_b[None]
    sides = np.maximum(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0)
    shared = sides.prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    return shared / np.maximum(union, 1e-12)


def _match(last_boxes: list[np.ndarray], ages: np.ndarray, found: np.ndarray, minimum: float) -> dict[int, int]:
    """Index of the track for each matched detection, best overlaps first, recently seen tracks before stale ones."""
    if not last_boxes or not len(found):
        return {}
    search = np.minimum(1 + SEARCH_GROWTH * (ages - 1), LARGEST_SEARCH)
    scores = np.stack(
        [overlap(enlarged(box[None], s), enlarged(found, s))[0] for box, s in zip(last_boxes, search, strict=True)]
    )
    # A face seen a frame ago wins over one that left long ago near the same place.
    order = sorted(np.ndindex(scores.shape), key=lambda pair: (search[pair[0]], -scores[pair]))
    matched: dict[int, int] = {}
    for track, index in order:
        if scores[track, index] >= minimum and index not in matched and track not in matched.values():
            matched[index] = track
    return matched


def enlarged(boxes: np.ndarray, factor: float) -> np.ndarray:
    """Boxes [N,4] with the same centres and `factor` times the sides."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * factor
    return np.concatenate([centre - half, centre + half], axis=1)
