"""Smooth curves through a few anatomical points, resampled at even arc length."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator

Array = NDArray[np.float64]


def _cumulative(points: Array) -> Array:
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def open_curve(points: ArrayLike, count: int) -> Array:
    """[count,D] points, evenly spaced along a monotone curve through the given points [N,D], ends included."""
    given = np.asarray(points, float)
    curve = PchipInterpolator(_cumulative(given), given)
    fine = curve(np.linspace(0.0, curve.x[-1], 40 * count))
    length = _cumulative(fine)
    wanted = np.linspace(0.0, length[-1], count)
    return np.stack([np.interp(wanted, length, fine[:, d]) for d in range(given.shape[1])], axis=1)


def closed_curve(points: ArrayLike, count: int) -> Array:
    """[count,D] points evenly spaced along a periodic curve through the given points [N,D], starting at the first."""
    given = np.asarray(points, float)
    ring = np.concatenate([given, given[:1]])
    curve = CubicSpline(_cumulative(ring), ring, bc_type="periodic")
    fine = curve(np.linspace(0.0, curve.x[-1], 40 * count + 1))
    length = _cumulative(fine)
    wanted = np.linspace(0.0, length[-1], count + 1)[:-1]
    return np.stack([np.interp(wanted, length, fine[:, d]) for d in range(given.shape[1])], axis=1)


def inside_polygon(polygon: Array, points: Array) -> NDArray[np.bool_]:
    """Which points [N,2] lie inside a simple polygon [M,2] (even-odd rule)."""
    start, end = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, 0, None], points[:, 1, None]
    crosses = (start[:, 1] > y) != (end[:, 1] > y)
    rise = np.where(end[:, 1] == start[:, 1], 1.0, end[:, 1] - start[:, 1])
    at = start[:, 0] + (y - start[:, 1]) * (end[:, 0] - start[:, 0]) / rise
    return np.sum(crosses & (x < at), axis=1) % 2 == 1
