"""The loop that finds nearest points on a mesh, compiled by numba."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

_OPTIONS = dict(nogil=True, error_model="numpy")
_DEEPEST = 64


@functools.cache
def compiled(function: Callable[..., None]) -> Any:
    """The function at native speed, kept on disk where that is possible."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except (RuntimeError, OSError):
        # No folder to cache in (a read-only installation without a home): compiled anew by each process.
        return njit(**_OPTIONS)(function)


@njit(inline="always", **_OPTIONS)
def _on_segment(
    point: tuple[float, float, float], start: np.ndarray, end: np.ndarray
) -> tuple[float, float, float, float]:
    """Squared distance of a point from a segment, and the nearest place on it."""
    x, y, z = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    length = x * x + y * y + z * z
    along = (point[0] - start[0]) * x + (point[1] - start[1]) * y + (point[2] - start[2]) * z
    share = min(max(along / length, 0.0), 1.0) if length > 0.0 else 0.0
    px, py, pz = start[0] + share * x, start[1] + share * y, start[2] + share * z
    return (point[0] - px) ** 2 + (point[1] - py) ** 2 + (point[2] - pz) ** 2, px, py, pz


@njit(inline="always", **_OPTIONS)
def _on_triangle(point: tuple[float, float, float], corners: np.ndarray) -> tuple[float, float, float, float]:
    """Squared distance of a point from a triangle [3,3], and the nearest place on it."""
    a = corners[0]
    ux, uy, uz = corners[1, 0] - a[0], corners[1, 1] - a[1], corners[1, 2] - a[2]
    vx, vy, vz = corners[2, 0] - a[0], corners[2, 1] - a[1], corners[2, 2] - a[2]
    px, py, pz = point[0] - a[0], point[1] - a[1], point[2] - a[2]
    uu, uv, vv = ux * ux + uy * uy + uz * uz, ux * vx + uy * vy + uz * vz, vx * vx + vy * vy + vz * vz
    pu, pv = px * ux + py * uy + pz * uz, px * vx + py * vy + pz * vz
    area = uu * vv - uv * uv
    if area > 1e-14 * uu * vv:
        s, t = (vv * pu - uv * pv) / area, (uu * pv - uv * pu) / area
        if s >= 0.0 and t >= 0.0 and s + t <= 1.0:
            qx, qy, qz = a[0] + s * ux + t * vx, a[1] + s * uy + t * vy, a[2] + s * uz + t * vz
            return (point[0] - qx) ** 2 + (point[1] - qy) ** 2 + (point[2] - qz) ** 2, qx, qy, qz
    best = _on_segment(point, corners[0], corners[1])
    second = _on_segment(point, corners[1], corners[2])
    third = _on_segment(point, corners[2], corners[0])
    if second[0] < best[0]:
        best = second
    if third[0] < best[0]:
        best = third
    return best


@njit(inline="always", **_OPTIONS)
def _to_box(point: tuple[float, float, float], box: np.ndarray) -> float:
    """Squared distance of a point from a box [6]: lowest, then highest corner."""
    x = max(box[0] - point[0], 0.0, point[0] - box[3])
    y = max(box[1] - point[1], 0.0, point[1] - box[4])
    z = max(box[2] - point[2], 0.0, point[2] - box[5])
    return x * x + y * y + z * z


def nearest(
    points: np.ndarray,
    corners: np.ndarray,
    boxes: np.ndarray,
    starts: np.ndarray,
    squared: np.ndarray,
    places: np.ndarray,
    triangles: np.ndarray,
) -> None:
    """For points [N,3]: squared distances [N], nearest places [N,3] and which triangle [N] they are on.

    corners: [T,3,3] in the tree's order. boxes: [2L,6] of a complete binary tree, root 1, children 2n and 2n+1, leaves
    L to 2L−1. starts: [L+1], the triangles of each leaf.
    """
    leaves = starts.shape[0] - 1
    nodes = np.empty(_DEEPEST, np.int64)
    reaches = np.empty(_DEEPEST, np.float64)
    found = np.int64(0)
    for i in range(points.shape[0]):
        point = (points[i, 0], points[i, 1], points[i, 2])
        # Queries that follow one another are mostly neighbours: the last one's triangle is a good first bound.
        best, qx, qy, qz = _on_triangle(point, corners[found])
        nodes[0], reaches[0], count = 1, _to_box(point, boxes[1]), 1
        while count > 0:
            count -= 1
            if reaches[count] >= best:
                continue
            node = nodes[count]
            if node >= leaves:
                for t in range(starts[node - leaves], starts[node - leaves + 1]):
                    other, x, y, z = _on_triangle(point, corners[t])
                    if other < best:
                        best, qx, qy, qz, found = other, x, y, z, np.int64(t)
                continue
            left, right = _to_box(point, boxes[2 * node]), _to_box(point, boxes[2 * node + 1])
            near, far = 2 * node, 2 * node + 1
            if right < left:
                near, far, left, right = far, near, right, left
            if right < best:
                nodes[count], reaches[count] = far, right
                count += 1
            if left < best:
                nodes[count], reaches[count] = near, left
                count += 1
        squared[i], triangles[i] = best, found
        places[i, 0], places[i, 1], places[i, 2] = qx, qy, qz
