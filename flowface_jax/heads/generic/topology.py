"""Drawing the left half of the skin on the disc: fixed loops, graded filling, Delaunay triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from flowface_jax.heads.generic import anatomy, domain
from flowface_jax.heads.generic.curves import inside_polygon

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

_SPHERE = 100.0
_RELAXATIONS = 30

# Where the mesh is fine: (centre mm, spacing there mm, growth per mm of distance).
_FOCUS: tuple[tuple[tuple[float, float, float], float, float], ...] = (
    ((31.5, 30.0, 77.0), 2.4, 0.085),
    ((12.0, -5.0, 103.0), 2.4, 0.085),
    ((0.0, -10.0, 108.0), 2.6, 0.085),
    ((12.0, -37.0, 96.0), 2.6, 0.085),
    ((70.0, 0.0, -5.0), 4.5, 0.12),
)
_COARSEST = 12.5


def spacing(disc: Array) -> Array:
    """Wanted distance [N] between neighbouring points, in disc units, at disc coordinates [N,2]."""
    unit = domain.from_disc(disc)
    wanted = np.full(len(disc), _COARSEST)
    for centre, finest, growth in _FOCUS:
        towards = domain.directions(np.array([centre]))[0]
        away = _SPHERE * np.arccos(np.clip(unit @ towards, -1.0, 1.0))
        wanted = np.minimum(wanted, finest + growth * np.maximum(away - 12.0, 0.0))
    step = 1e-4
    stretch = np.linalg.norm(domain.from_disc(disc + [step, 0.0]) - unit, axis=1) / step
    return wanted / (_SPHERE * stretch)


@dataclass(frozen=True)
class Drawing:
    """The half skin on the disc.

    disc: [N,2], the fixed points first in the order given. triangles: [T,3] counter-clockwise.
    """

    disc: Array
    triangles: Ids


def midline(start: float, end: float) -> Array:
    """Points [N,2] on the disc's vertical axis between two heights, both included, graded by `spacing`."""
    heights = np.linspace(start, end, 400)
    density = 1.0 / spacing(np.column_stack([np.zeros(400), heights]))
    count = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(heights))])
    wanted = np.linspace(0.0, count[-1], max(2, round(count[-1])) + 1)
    return np.column_stack([np.zeros(len(wanted)), np.interp(wanted, count, heights)])


def rim(count: int) -> Array:
    """Points [count+1,2] on the left half of the unit circle, from the bottom to the top."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, count + 1)
    points = np.column_stack([np.cos(angle), np.sin(angle)])
    points[[0, -1], 0] = 0.0
    return points


def draw(fixed: Array, holes: list[Array]) -> Drawing:
    """Fill the half disc around fixed points [N,2] (loops, midline, rim) and triangulate it, leaving holes open."""
    filler = _scatter(fixed, holes)
    for _ in range(_RELAXATIONS):
        filler = _relax(fixed, filler)
    filler = _prune(fixed, filler, holes)
    disc = np.concatenate([fixed, filler])
    return Drawing(disc, _triangulate(disc, holes))


def _scatter(fixed: Array, holes: list[Array]) -> Array:
    """Greedy graded scatter: a fine triangular lattice, each point kept if no kept point is too close."""
    lattice = _lattice()
    size = spacing(lattice)
    keep = ~np.any([inside_polygon(hole, lattice) for hole in holes], axis=0)
    nearest, _ = cKDTree(fixed).query(lattice)
    keep &= (nearest > 0.85 * size) & (lattice[:, 0] > 0.6 * size)
    lattice, size = lattice[keep], size[keep]
    order = np.lexsort((lattice[:, 1], lattice[:, 0], np.round(size / 1e-4)))
    tree = cKDTree(lattice)
    blocked = np.zeros(len(lattice), bool)
    chosen = []
    for i in order:
        if not blocked[i]:
            chosen.append(i)
            blocked[tree.query_ball_point(lattice[i], 0.93 * size[i])] = True
    return lattice[chosen]


def _lattice() -> Array:
    """Candidate points in the half disc, about four times as dense as wanted everywhere."""
    levels = []
    for level in range(7):
        pitch = 0.06 / 2**level
        rows = np.arange(-1.0, 1.0, pitch * np.sqrt(3) / 2)
        columns = np.arange(0.0, 1.0, pitch)
        x, y = np.meshgrid(columns, rows)
        x = x + 0.5 * pitch * (np.arange(len(rows))[:, None] % 2)
        points = np.column_stack([x.ravel(), y.ravel()])
        points = points[np.linalg.norm(points, axis=1) < 0.99]
        size = spacing(points)
        levels.append(points[(size < 5.0 * pitch) & (size >= 2.5 * pitch)])
    return np.concatenate(levels)


def _relax(fixed: Array, filler: Array) -> Array:
    """One step of repulsion between neighbours that are closer than wanted."""
    points = np.concatenate([fixed, filler])
    triangles = Delaunay(points).simplices
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1), axis=0
    )
    offset = points[edges[:, 0]] - points[edges[:, 1]]
    length = np.linalg.norm(offset, axis=1)
    wanted = 1.12 * spacing(0.5 * (points[edges[:, 0]] + points[edges[:, 1]]))
    push = (np.clip(wanted - length, 0.0, 0.5 * wanted) / np.maximum(length, 1e-12))[:, None] * offset
    force = np.zeros_like(points)
    np.add.at(force, edges[:, 0], push)
    np.add.at(force, edges[:, 1], -push)
    moved = filler + 0.2 * force[len(fixed) :]
    size = spacing(moved)
    moved[:, 0] = np.maximum(moved[:, 0], 0.4 * size)
    radius = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.where(radius > 0.985, moved * 0.985 / radius, moved)


def _prune(fixed: Array, filler: Array, holes: list[Array]) -> Array:
    """Drop what has drifted into a hole or onto a loop."""
    nearest, _ = cKDTree(fixed).query(filler)
    keep = nearest > 0.45 * spacing(filler)
    keep &= ~np.any([inside_polygon(hole, filler) for hole in holes], axis=0)
    return filler[keep]


def _triangulate(disc: Array, holes: list[Array]) -> Ids:
    triangles = Delaunay(disc).simplices.astype(np.int64)
    a, b, c = (disc[triangles[:, k]] for k in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    triangles = np.where(area[:, None] < 0, triangles[:, [0, 2, 1]], triangles)
    centroid = disc[triangles].mean(axis=1)
    keep = ~np.any([inside_polygon(hole, centroid) for hole in holes], axis=0) & (np.abs(area) > 1e-14)
    return triangles[keep]
