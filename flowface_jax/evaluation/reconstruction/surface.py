"""Exact distances from many points to a triangle mesh, through a tree of boxes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction import surface_kernels

_LEAF = 4
_AT_ONCE = 16384
"""Points of one batch. Fixed, so that the result does not depend on the number of cores."""


class Nearest(NamedTuple):
    """distance: [N]. point: [N,3], the nearest place on the surface. triangle: [N] the triangle it lies on."""

    distance: np.ndarray
    point: np.ndarray
    triangle: np.ndarray


class Surface:
    """A triangle mesh made ready for `nearest`: vertices [V,3] in any unit, triangles [T,3].

    normals: [T,3] unit, zero for triangles without area. Raises InputError as `checked_mesh`.
    """

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray, name: str = "the mesh") -> None:
        self.vertices, self.triangles = checked_mesh(vertices, triangles, name)
        corners = self.vertices[self.triangles]
        cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        length = np.linalg.norm(cross, axis=1, keepdims=True)
        self.normals = np.where(length > 0, cross / np.where(length > 0, length, 1), 0)
        self._order, self._starts = _tree_order(corners.mean(1))
        self._corners = np.ascontiguousarray(corners[self._order])
        self._boxes = _boxes(self._corners, self._starts)

    def nearest(self, points: np.ndarray) -> Nearest:
        """The nearest point of the surface to each of points [N,3], exactly (double precision, edges and corners too).

        Where several are equally near, one of them. Raises InputError for NaN or wrong shapes.
        """
        points = checked_points(points)
        count = len(points)
        squared, places, found = np.empty(count), np.empty((count, 3)), np.empty(count, np.int64)
        kernel = surface_kernels.compiled(surface_kernels.nearest)

        def run(first: int) -> None:
            part = slice(first, first + _AT_ONCE)
            kernel(points[part], self._corners, self._boxes, self._starts, squared[part], places[part], found[part])

        firsts = range(0, count, _AT_ONCE)
        if len(firsts) > 1:
            with ThreadPoolExecutor(_cores()) as pool:
                list(pool.map(run, firsts))
        else:
            for first in firsts:
                run(first)
        return Nearest(np.sqrt(squared), places, self._order[found])


def distances_to_surface(points: np.ndarray, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances [N] of points [N,3] from the surface of a mesh, in its unit. Raises InputError as `Surface`."""
    return Surface(vertices, triangles).nearest(points).distance


def checked_mesh(vertices: np.ndarray, triangles: np.ndarray, name: str = "the mesh") -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] float64 and triangles [T,3] int64 of a usable mesh.

    Raises InputError for wrong shapes, no triangle, triangles beyond the vertices, and triangles whose corners are not
    finite; vertices that no triangle uses may hold anything.
    """
    vertices, triangles = np.asarray(vertices, np.float64), np.asarray(triangles)
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise InputError(f"{name}: expected vertices [V,3], found shape {list(vertices.shape)}")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
        raise InputError(f"{name}: expected at least one triangle [T,3], found shape {list(triangles.shape)}")
    if triangles.dtype.kind not in "iu" or triangles.min() < 0 or triangles.max() >= len(vertices):
        raise InputError(
            f"{name}: expected triangles of vertices 0 to {len(vertices) - 1}, found {triangles.dtype} "
            f"{triangles.min()} to {triangles.max()}"
        )
    bad = ~np.isfinite(vertices[triangles]).all((1, 2))
    if bad.any():
        raise InputError(
            f"{name}: {int(bad.sum())} of {len(triangles)} triangles have a corner that is NaN or infinite; "
            "leave such triangles out"
        )
    return vertices, triangles.astype(np.int64)


def checked_points(points: np.ndarray, name: str = "points") -> np.ndarray:
    """Points [N,3] float64 in a row. Raises InputError for NaN or another shape."""
    points = np.ascontiguousarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"{name}: expected [N,3], found shape {list(points.shape)}")
    bad = ~np.isfinite(points).all(1)
    if bad.any():
        raise InputError(f"{name}: {int(bad.sum())} of {len(points)} are NaN or infinite; leave them out")
    return points


def _tree_order(centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order [T] of triangles in a balanced tree that halves along the longest side, and the bounds of its leaves.

    centres: [T,3]. Returns order and bounds [L+1], L a power of two.
    """
    count = len(centres)
    depth = max(0, int(np.ceil(np.log2(count / _LEAF))))
    order = np.arange(count)
    for level in range(depth):
        bounds = (np.arange(2**level + 1) * count) // 2**level
        part = np.repeat(np.arange(2**level), np.diff(bounds))
        placed = centres[order]
        extent = np.maximum.reduceat(placed, bounds[:-1]) - np.minimum.reduceat(placed, bounds[:-1])
        along = placed[np.arange(count), extent.argmax(1)[part]]
        order = order[np.lexsort((along, part))]
    return order, (np.arange(2**depth + 1) * count) // 2**depth


def _boxes(corners: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """[2L,6] boxes of the tree's nodes, root 1; node 0 is not used."""
    leaves = len(starts) - 1
    low = np.minimum.reduceat(corners.min(1), starts[:-1])
    high = np.maximum.reduceat(corners.max(1), starts[:-1])
    boxes = np.zeros((2 * leaves, 6))
    boxes[leaves:] = np.concatenate([low, high], axis=1)
    while leaves > 1:
        children = boxes[leaves : 2 * leaves].reshape(-1, 2, 6)
        leaves //= 2
        boxes[leaves : 2 * leaves, :3] = children[:, :, :3].min(1)
        boxes[leaves : 2 * leaves, 3:] = children[:, :, 3:].max(1)
    return boxes


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
