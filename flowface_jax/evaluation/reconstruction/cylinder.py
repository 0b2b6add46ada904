"""Heads unrolled onto a cylinder, as the FaceScape benchmark compares them: rays from the axis outwards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flowface_jax.evaluation.reconstruction import cylinder_kernels
from flowface_jax.evaluation.reconstruction.surface import checked_mesh
from flowface_jax.evaluation.reconstruction.surface_kernels import compiled

SIDE = 256
HALF_HEIGHT = 150.0
"""mm: rows run from +150 at the top to −150."""
JUMP = 15.0
"""mm: neighbouring cells whose radii differ by as much are not joined."""


class CylinderMap(NamedTuple):
    """radius: [256,256] mm, 0 where a ray meets nothing. normal: [256,256,3] unit normals of the triangles met, 0
    likewise.
    """

    radius: np.ndarray
    normal: np.ndarray


def cylinder_map(vertices: np.ndarray, triangles: np.ndarray, name: str = "the mesh") -> CylinderMap:
    """The mesh (vertices [V,3] mm, about the origin, y up) as seen from the y axis.

    Ray of row i and column j: from (0, y_i, 0) along (−sin a_j, 0, −cos a_j), a_j = 2πj/255, so that first and last
    columns are the same ray. Where a ray meets several triangles the farthest counts: the published program keeps the
    last one that its ray caster lists, which goes outwards. Raises InputError for meshes that are not usable.
    """
    vertices, triangles = checked_mesh(vertices, triangles, name)
    corners = np.ascontiguousarray(vertices[triangles])
    rows = np.linspace(HALF_HEIGHT, -HALF_HEIGHT, SIDE)
    angles = 2 * np.pi * np.arange(SIDE) / (SIDE - 1)
    directions = np.ascontiguousarray(np.stack([-np.sin(angles), -np.cos(angles)], axis=1))
    radius, found = np.zeros((SIDE, SIDE)), np.full((SIDE, SIDE), -1, np.int64)
    compiled(cylinder_kernels.cast)(corners, rows, directions, radius, found)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1, keepdims=True)
    normals = np.where(length > 0, cross / np.where(length > 0, length, 1), 0)
    return CylinderMap(radius, np.where((found >= 0)[..., None], normals[found], 0.0))


def cylinder_mesh(radius: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A mesh from radii [256,256] mm (0: nothing): vertices [V,3] mm, triangles [T,3].

    A cell and its neighbours below and to the right make two triangles where the cell is not empty and its radius
    differs from that of the neighbours below, right and below right by less than JUMP. The last column's right
    neighbours are, as published, first cells of the next rows.
    """
    angles = 2 * np.pi * np.arange(SIDE) / (SIDE - 1)
    heights = -np.linspace(-HALF_HEIGHT, HALF_HEIGHT, SIDE)
    places = np.stack(
        [-radius * np.sin(angles), np.broadcast_to(heights[:, None], radius.shape), -radius * np.cos(angles)], axis=-1
    )
    below = np.roll(radius, -1, axis=0)
    jumps = [radius - below, radius - np.roll(radius, -1, axis=1), radius - np.roll(below, -1, axis=1)]
    joined = (np.abs(jumps).max(0) < JUMP) & (radius != 0)
    first = np.flatnonzero(joined)
    quads = np.stack([first, first + 1, first + SIDE, first + SIDE + 1, first + SIDE, first + 1], axis=1)
    triangles = quads[quads.max(1) < radius.size].reshape(-1, 3)
    used, compact = np.unique(triangles, return_inverse=True)
    return places.reshape(-1, 3)[used], compact.reshape(-1, 3)
