"""Drawing the left half of the skin on the disc: fixed loops, graded filling, Delaunay triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from flowface_jax.heads.generic import domain
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
    # The neck is a cylinder of 60 mm about its axis: towards its rim, directions lie ever farther from the centre.
    off_axis = np.linalg.norm(np.cross(unit, domain.NECK_AXIS), axis=1)
    wanted = np.minimum(wanted, wanted * (_SPHERE / 60.0) * np.where(unit @ domain.NECK_AXIS > 0, 0.85 * off_axis, 1.0))
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


def draw(fixed: Array, loops: list[Ids]) -> Drawing:
    """Fill the half disc around fixed points [N,2] (loops, midline, rim) and triangulate it, leaving holes open.

    loops: closed polygons of ids of fixed points; their inside stays open and their edges are edges of the mesh.
    """
    holes = [fixed[loop] for loop in loops]
    filler = _scatter(fixed, holes)
    for _ in range(_RELAXATIONS):
        filler = _relax(fixed, filler)
    filler = _prune(fixed, filler, holes)
    disc = np.concatenate([fixed, filler])
    return Drawing(disc, _triangulate(disc, loops))


def _scatter(fixed: Array, holes: list[Array]) -> Array:
    """Greedy graded scatter: of many candidates, each is kept if no kept one is too close."""
    candidates = _candidates()
    size = spacing(candidates)
    keep = ~np.any([inside_polygon(hole, candidates) for hole in holes], axis=0)
    nearest, _ = cKDTree(fixed).query(candidates)
    keep &= (nearest > 0.85 * size) & (candidates[:, 0] > 0.6 * size)
    candidates, size = candidates[keep], size[keep]
    order = np.lexsort((candidates[:, 1], candidates[:, 0], np.round(size / 1e-4)))
    tree = cKDTree(candidates)
    blocked = np.zeros(len(candidates), bool)
    chosen = []
    for i in order:
        if not blocked[i]:
            chosen.append(i)
            blocked[tree.query_ball_point(candidates[i], 0.93 * size[i])] = True
    return candidates[chosen]


def _candidates() -> Array:
    """Centres of a quadtree's cells over the half disc, several to each wanted spacing everywhere."""
    pitch = 1.0 / 16.0
    x, y = np.meshgrid(np.arange(16), np.arange(-16, 16))
    cells = (np.column_stack([x.ravel(), y.ravel()]) + 0.5) * pitch
    kept = []
    while len(cells):
        coarse = spacing(cells) < 3.0 * pitch
        kept.append(cells[~coarse])
        pitch /= 2.0
        corners = 0.5 * pitch * np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])
        cells = (cells[coarse, None] + corners).reshape(-1, 2)
    candidates = np.concatenate(kept)
    return candidates[np.linalg.norm(candidates, axis=1) < 0.99]


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


def _triangulate(disc: Array, loops: list[Ids]) -> Ids:
    """Delaunay triangles, counter-clockwise, with every loop's edges enforced and its inside removed."""
    triangles = Delaunay(disc).simplices.astype(np.int64)
    triangles = np.where(_doubled_area(disc, triangles)[:, None] < 0, triangles[:, [0, 2, 1]], triangles)
    for loop in loops:
        triangles = _with_edges(disc, triangles, np.column_stack([loop, np.roll(loop, -1)]))
    centroid = disc[triangles].mean(axis=1)
    return triangles[~np.any([inside_polygon(disc[loop], centroid) for loop in loops], axis=0)]


def _doubled_area(disc: Array, triangles: Ids) -> Array:
    a, b, c = (disc[triangles[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _with_edges(disc: Array, triangles: Ids, edges: Ids) -> Ids:
    """Flip edges until the wanted edges [N,2] exist; each may be crossed by one edge only (loops are finely drawn)."""
    triangles = triangles.copy()
    for a, b in edges:
        has_a, has_b = np.any(triangles == a, axis=1), np.any(triangles == b, axis=1)
        on_axis = disc[a, 0] == 0.0 and disc[b, 0] == 0.0
        if np.any(has_a & has_b) or on_axis:
            continue
        first, second = _facing_pair(disc, triangles, int(a), int(b))
        u, v = np.intersect1d(triangles[first], triangles[second])
        pair = np.array([[a, u, b], [a, b, v]])
        triangles[[first, second]] = np.where(_doubled_area(disc, pair)[:, None] < 0, pair[:, [0, 2, 1]], pair)
    return triangles


def _facing_pair(disc: Array, triangles: Ids, a: int, b: int) -> tuple[int, int]:
    """The triangle at a and the triangle at b that share the edge crossed by the segment from a to b."""
    for first in np.flatnonzero(np.any(triangles == a, axis=1)):
        u, v = (int(k) for k in triangles[first] if k != a)
        for second in np.flatnonzero(np.any(triangles == u, axis=1) & np.any(triangles == v, axis=1)):
            if b in triangles[second]:
                return int(first), int(second)
    raise AssertionError(f"no single edge between the loop's points {a} and {b}")
