"""Jumps: frames between which the head moves as no head does, judged by its motion just before and after."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

JUMP_MM = 12.0
JUMP_DEGREES = 6.0
"""A step that departs this far from the motion about it, at 25 frames a second or more, may be a jump. In seven real
clips of people who talk, nod and turn, steps depart by at most 9 mm and 4.6 degrees."""

STEP_S = 0.04
"""At longer intervals between frames, what a head may do grows in proportion to the interval."""

JUMP_RATIO = 5.0
BRISK_QUANTILE = 0.75
"""A jump also departs this many times as far as the brisker steps about it (a quantile of theirs): a head that is
shaken accelerates by 20 mm per frame² all the time, and does not jump. In a clip of such a head, whose recording also
dropped frames, steps depart by 34 mm and 10 degrees, but by at most 4 times as far as the brisker steps about them."""

NEIGHBOUR_STEPS = 3
"""The motion about a step is the median of this many steps before and after it, each coordinate by itself: the two
jumps of a frame or two gone astray leave it alone."""

BRISK_STEPS = 12
"""The brisker steps are those among this many before and after: half a second each way."""

RETURN_FRAMES = 30
"""A jump that is undone within this many frames is one excursion, and all frames in between are astray."""

RETURN_SHARE = 0.5
"""A jump is undone by one that takes back more than this share of it."""

GAP = 1.5
"""Frames further apart than this many times the usual interval are not neighbours."""


@dataclasses.dataclass(frozen=True)
class Jump:
    """A jump onto a frame. frame: index. distance_mm, angle_degrees: how far the step departs from the motion about it.
    last_frame: index of the last frame astray, where a later jump undoes it; else `frame`.
    """

    frame: int
    distance_mm: float
    angle_degrees: float
    last_frame: int


def find_jumps(
    rotation: np.ndarray, position: np.ndarray, seen: np.ndarray, times: np.ndarray
) -> tuple[list[Jump], int]:
    """Jumps of a head, and how many steps could be judged.

    rotation: [F,3,3] head-to-world. position: [F,3] m of a point in the middle of the face. seen: [F] bool. times: [F]
    s; frames whose times do not ascend are not neighbours (photographs), nor are those on either side of a gap.
    """
    known = np.asarray(seen) & np.isfinite(rotation).all((1, 2)) & np.isfinite(position).all(1)
    steps, turns, stretch = _steps(rotation, position, known, np.asarray(times, np.float64))
    moved, brisk_mm = _departures(1e3 * steps)
    turned, brisk_degrees = _departures(np.degrees(turns))
    distance, angle = (np.linalg.norm(departure, axis=1) for departure in (moved, turned))
    limit_mm = np.maximum(JUMP_MM * stretch, JUMP_RATIO * brisk_mm)
    limit_degrees = np.maximum(JUMP_DEGREES * stretch, JUMP_RATIO * brisk_degrees)
    # Comparisons with NaN, where a step cannot be judged, are false.
    jumping = (distance > limit_mm) | (angle > limit_degrees)
    departure = np.concatenate([moved / JUMP_MM, turned / JUMP_DEGREES], axis=1)
    jumps, spent = [], set()
    for step in np.flatnonzero(jumping).tolist():
        if step in spent:
            continue
        back = _undone(step, departure, jumping)
        if back is not None:
            spent.add(back)
        last = step + 1 if back is None else back
        jumps.append(Jump(step + 1, float(distance[step]), float(angle[step]), last))
    return jumps, int(np.isfinite(distance).sum())


def _steps(
    rotation: np.ndarray, position: np.ndarray, known: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From each frame to the next: shift [F-1,3] m and turn [F-1,3] rad, NaN between frames that are no neighbours, and
    the interval over STEP_S, at least 1, [F-1]."""
    interval = np.diff(times)
    ascending = len(interval) > 0 and (interval > 0).all()
    usual = np.median(interval) if ascending else 0.0
    neighbours = known[1:] & known[:-1] & ascending & (interval <= GAP * usual)
    rotation = np.where(known[:, None, None], rotation, np.eye(3))
    turn = Rotation.from_matrix(rotation[1:] @ rotation[:-1].transpose(0, 2, 1)).as_rotvec() if len(interval) else None
    turns = np.zeros((0, 3)) if turn is None else np.where(neighbours[:, None], turn, np.nan)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.where(neighbours[:, None], np.diff(position.astype(np.float64), axis=0), np.nan)
    return steps, turns, np.maximum(interval / STEP_S, 1.0)


def _departures(steps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How each step [N,3] departs from the median of its neighbours [N,3], and how far brisk steps about it do [N]."""
    others = _window(steps, NEIGHBOUR_STEPS)
    judged = (np.isfinite(others[..., 0]).sum(1) >= 2)[:, None]
    departure = np.where(judged, steps - _quantile(others, 0.5), np.nan)
    size = np.linalg.norm(departure, axis=1)
    return departure, _quantile(_window(size[:, None], BRISK_STEPS), BRISK_QUANTILE)[:, 0]


def _window(values: np.ndarray, reach: int) -> np.ndarray:
    """The `reach` values [N,D] before and after each, without itself: [N,2 reach,D], NaN beyond the ends."""
    padded = np.pad(values, ((reach, reach), (0, 0)), constant_values=np.nan)
    places = [k for k in range(2 * reach + 1) if k != reach]
    return np.stack([padded[k : k + len(values)] for k in places], axis=1)


def _quantile(values: np.ndarray, share: float) -> np.ndarray:
    """Quantile over axis 1 of what is finite in [N,K,D], between neighbours linearly: [N,D]; 0 where nothing is."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.inf), axis=1)
    last = np.maximum(np.isfinite(values).sum(1, keepdims=True) - 1, 0)
    place = share * last
    below = np.floor(place).astype(int)
    lower, upper = (np.take_along_axis(ordered, k, axis=1)[:, 0] for k in (below, np.minimum(below + 1, last)))
    lower, upper = (np.where(np.isfinite(ends), ends, 0.0) for ends in (lower, upper))
    return lower + (place - below)[:, 0] * (upper - lower)


def _undone(step: int, departure: np.ndarray, jumping: np.ndarray) -> int | None:
    """The later jump that takes this one back, if there is one soon."""
    for later in np.flatnonzero(jumping[step + 1 : step + 1 + RETURN_FRAMES]) + step + 1:
        sizes = np.linalg.norm(departure[step]), np.linalg.norm(departure[later])
        if np.linalg.norm(departure[step] + departure[later]) < (1.0 - RETURN_SHARE) * max(sizes):
            return int(later)
    return None
