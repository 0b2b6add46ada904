"""Non-rigid registration: one head mesh is deformed onto another, given the 68 landmarks on both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.interpolate import RBFInterpolator
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import splu

from flowface_jax.heads.atlas import TriangleIndex
from flowface_jax.heads.model import SurfacePoints

CONTOUR = slice(0, 17)
"""The jaw line among the 68 landmarks: a silhouette, defined differently by every head model."""

# Landmarks on the two sides of a slit (mouth, right eye, left eye): a surface near one side never matches the other.
_SLITS = (
    ((49, 50, 51, 52, 53, 61, 62, 63), (55, 56, 57, 58, 59, 65, 66, 67)),
    ((37, 38), (40, 41)),
    ((43, 44), (46, 47)),
)
_SLIT_REACH = 0.03

# Per level: length below which the deformation is smooth (m), longest and least aligned correspondence (m, cosine).
_LEVELS = (
    (0.080, 0.040, 0.3),
    (0.050, 0.030, 0.4),
    (0.030, 0.020, 0.5),
    (0.018, 0.015, 0.5),
    (0.011, 0.012, 0.6),
    (0.007, 0.010, 0.6),
)
_STEPS_PER_LEVEL = 3
_LANDMARK_AREA = 2e-4
_MEMBRANE = 0.25


class Surface:
    """A mesh prepared for matching.

    vertices [V,3] m, triangles [T,3], landmarks (68 points, or None), sides [V,3] in {−1, 0, 1}: above (1) and below
    (−1) the slits of mouth, right eye and left eye, 0 elsewhere. rim [V]: vertices of edges that only one triangle has.
    """

    def __init__(
        self, vertices: np.ndarray, triangles: np.ndarray, landmarks: SurfacePoints | None, sides: np.ndarray
    ) -> None:
        self.vertices, self.triangles = np.asarray(vertices, np.float64), np.asarray(triangles)
        self.landmarks, self.sides = landmarks, sides
        self._indices: dict[tuple[int, ...], TriangleIndex | None] = {}
        edges = np.sort(self.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        unique, count = np.unique(edges, axis=0, return_counts=True)
        self.rim = np.zeros(len(self.vertices), bool)
        self.rim[unique[count == 1]] = True

    def closest(
        self,
        points: np.ndarray,
        sides: np.ndarray,
        normals: np.ndarray | None = None,
        cosine: float = 0.0,
        reach: float = np.inf,
    ) -> tuple[SurfacePoints, np.ndarray]:
        """`atlas.closest_points` among the triangles that lie on no opposite side of a slit.

        points: [N,3] m with slit sides [N,3]; normals [N,3] optional. Returns N surface points and distances [N] m.
        """
        ids, barycentric = np.zeros((len(points), 3), np.int32), np.zeros((len(points), 3), np.float32)
        distance = np.full(len(points), np.inf)
        for combination in np.unique(sides, axis=0):
            rows = np.flatnonzero((sides == combination).all(1))
            index = self._index(tuple(combination.tolist()))
            if index is None:
                continue
            facing = None if normals is None else normals[rows]
            found, distance[rows] = index.closest(points[rows], facing, cosine, reach)
            ids[rows], barycentric[rows] = found.vertex_ids, found.barycentric
        return SurfacePoints(ids, barycentric), distance

    def on_rim(self, points: SurfacePoints) -> np.ndarray:
        """[P] bool: the point lies on an edge that only one triangle has, where the nearest point is no counterpart."""
        used = np.asarray(points.barycentric) > 1e-4
        return np.where(used, self.rim[np.asarray(points.vertex_ids)], True).all(1)

    def _index(self, combination: tuple[int, ...]) -> TriangleIndex | None:
        """The search index of what does not oppose this combination of sides, built on first use."""
        if combination not in self._indices:
            opposite = (self.sides[self.triangles] * np.asarray(combination) < 0).any((1, 2))
            rest = self.triangles[~opposite]
            self._indices[combination] = TriangleIndex(self.vertices, rest) if len(rest) else None
        return self._indices[combination]


@dataclass(frozen=True)
class Registration:
    """vertices [V,3] m: the source deformed onto the target. confidence [V] in [0, 1]: 0 where nothing was matched."""

    vertices: np.ndarray
    confidence: np.ndarray


def prepare(vertices: np.ndarray, triangles: np.ndarray, landmarks: SurfacePoints) -> Surface:
    """The mesh [V,3] m, [T,3] with its slit sides: above (1) and below (−1) the mouth's and each eye's slit, else 0.

    A vertex within 3 cm along the surface belongs to the side whose landmarks are nearer along the surface, which tells
    touching lips and closed lids apart.
    """
    vertices = np.asarray(vertices, np.float64)
    graph = _edge_graph(vertices, triangles)
    ids = np.asarray(landmarks.vertex_ids)
    sides = np.zeros((len(vertices), len(_SLITS)), np.int8)
    for column, (upper, lower) in enumerate(_SLITS):
        above, below = (
            dijkstra(graph, indices=np.unique(ids[list(group)]), limit=_SLIT_REACH, min_only=True)
            for group in (upper, lower)
        )
        sides[above < below, column], sides[below < above, column] = 1, -1
    return Surface(vertices, np.asarray(triangles), landmarks, sides)


def register(source: Surface, target: Surface, matched: np.ndarray | None = None) -> Registration:
    """Deform the source onto the target (similarity, landmark warp, then non-rigid ICP of falling stiffness).

    matched: [V] bool, the source vertices that look for a counterpart; the others (inside of the mouth, eyeballs)
    follow the smooth deformation. The displacement d minimises ∫|d − e|² + ℓ⁴∫|Δd|² + (ℓ/4)²∫|∇d|² plus the
    landmarks, e being the way to the nearest compatible point (after Amberg et al., Optimal Step Nonrigid ICP, CVPR
    2007, with a displacement field in place of affine maps). Deterministic.
    """
    matched = np.ones(len(source.vertices), bool) if matched is None else np.asarray(matched, bool)
    start = _landmark_warp(source, target)
    membrane, bending, area = smoothness(start, source.triangles)
    landmarks = interpolation(source.landmarks, len(start))[17:]
    goal = positions_of(target.landmarks, target.vertices)[17:]
    current, weight, distance = start, np.zeros(len(start)), np.full(len(start), np.inf)
    for length, reach, cosine in _LEVELS:
        stiffness = length**4 * bending + (_MEMBRANE * length) ** 2 * membrane
        for _ in range(_STEPS_PER_LEVEL):
            nearest, distance = match(current, source, target, matched, reach, cosine)
            weight = np.where(np.isfinite(distance), area, 0.0)
            system = stiffness + sparse.diags(weight + 1e-9 * area) + _LANDMARK_AREA * (landmarks.T @ landmarks)
            right = weight[:, None] * (nearest - start) + _LANDMARK_AREA * (landmarks.T @ (goal - landmarks @ start))
            current = start + splu(system.tocsc()).solve(right)
    _, distance = match(current, source, target, matched, _LEVELS[-1][1], _LEVELS[-1][2])
    confidence = np.where(np.isfinite(distance), np.exp(-((np.minimum(distance, 1.0) / 0.004) ** 2)), 0.0)
    return Registration(current, confidence)


def match(
    positions: np.ndarray, source: Surface, target: Surface, matched: np.ndarray, reach: float, cosine: float
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest compatible target points [V,3] of the moved source [V,3] m, and distances [V] m (infinite where none).

    Compatible: within `reach`, normals within `cosine`, the same side of every slit, and not on the target's rim.
    """
    rows = np.flatnonzero(matched)
    normals = vertex_normals(positions, source.triangles)
    found, distance = target.closest(positions[rows], source.sides[rows], normals[rows], cosine, reach)
    distance[target.on_rim(found)] = np.inf
    nearest, distances = positions.copy(), np.full(len(positions), np.inf)
    ok = np.isfinite(distance)
    nearest[rows[ok]] = positions_of(found, target.vertices)[ok]
    distances[rows] = distance
    return nearest, distances


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals [V,3]; zero where a vertex has no triangle."""
    corners = vertices[triangles]
    face = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(face[:, c], 3), minlength=len(vertices)) for c in range(3)], 1
    )
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-30)


def components(count: int, triangles: np.ndarray) -> np.ndarray:
    """Connected component [V] of each of `count` vertices, joined by triangles."""
    rows, columns = triangles[:, [0, 1]].ravel(), triangles[:, [1, 2]].ravel()
    graph = sparse.coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _landmark_warp(source: Surface, target: Surface) -> np.ndarray:
    """Source vertices after a robust similarity and a biharmonic warp by the landmarks: [V,3]."""
    from_points = positions_of(source.landmarks, source.vertices)
    to_points = positions_of(target.landmarks, target.vertices)
    weights = np.ones(68)
    weights[CONTOUR] = 0.1
    robust = weights
    for _ in range(10):
        scale, rotation, translation = similarity(from_points, to_points, robust)
        miss = np.linalg.norm(scale * from_points @ rotation.T + translation - to_points, axis=1)
        robust = weights / (1 + (miss / 0.006) ** 2)
    moved = scale * source.vertices @ rotation.T + translation
    from_points = scale * from_points @ rotation.T + translation
    smoothing = np.full(68, 0.01)
    smoothing[CONTOUR] = 0.1
    warp = RBFInterpolator(from_points, to_points - from_points, kernel="linear", degree=0, smoothing=smoothing)
    return moved + warp(moved)


def similarity(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and translation that take a [N,3] to b [N,3] (Umeyama, PAMI 1991), weighted."""
    w = weights / weights.sum()
    mean_a, mean_b = w @ a, w @ b
    u, s, vt = np.linalg.svd((w[:, None] * (b - mean_b)).T @ (a - mean_a))
    sign = np.asarray([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = (u * sign) @ vt
    scale = float((s * sign).sum() / (w @ ((a - mean_a) ** 2).sum(1)))
    return scale, rotation, mean_b - scale * rotation @ mean_a


def smoothness(vertices: np.ndarray, triangles: np.ndarray) -> tuple[sparse.csr_matrix, sparse.csr_matrix, np.ndarray]:
    """Membrane energy (cotangent Laplacian), bending energy L M⁻¹ L, and vertex areas [V] m²."""
    count = len(vertices)
    corners = vertices[triangles]
    double_area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    rows, columns, weights = [], [], []
    for k in range(3):
        a, b = corners[:, (k + 1) % 3] - corners[:, k], corners[:, (k + 2) % 3] - corners[:, k]
        # Slivers would give unbounded or negative weights, which make the system indefinite.
        cotangent = np.clip(np.einsum("tc,tc->t", a, b) / np.maximum(double_area, 1e-12), 0.05, 5.0)
        rows.append(triangles[:, (k + 1) % 3])
        columns.append(triangles[:, (k + 2) % 3])
        weights.append(cotangent / 2)
    i, j, w = np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)
    adjacency = sparse.coo_matrix((np.r_[w, w], (np.r_[i, j], np.r_[j, i])), shape=(count, count)).tocsr()
    laplacian = sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    area = np.bincount(triangles.ravel(), np.repeat(double_area / 6, 3), minlength=count)
    area = np.maximum(area, 0.05 * np.median(area[area > 0]))
    bending = laplacian @ sparse.diags(1 / area) @ laplacian
    return laplacian.tocsr(), bending.tocsr(), area


def interpolation(points: SurfacePoints, count: int) -> sparse.csr_matrix:
    """The sparse matrix [P,V] that interpolates vertex values to surface points."""
    ids, barycentric = np.asarray(points.vertex_ids), np.asarray(points.barycentric, np.float64)
    rows = np.repeat(np.arange(len(ids)), 3)
    return sparse.coo_matrix((barycentric.ravel(), (rows, ids.ravel())), shape=(len(ids), count)).tocsr()


def positions_of(points: SurfacePoints, vertices: np.ndarray) -> np.ndarray:
    """Places [P,3] of surface points on a mesh with vertices [V,3], in float64."""
    corners = vertices[np.asarray(points.vertex_ids)]
    return np.einsum("pkc,pk->pc", corners, np.asarray(points.barycentric, np.float64))


def _edge_graph(vertices: np.ndarray, triangles: np.ndarray) -> sparse.csr_matrix:
    """Edge lengths as a symmetric sparse graph."""
    edges = np.unique(np.sort(triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    i, j = edges.T
    length = np.maximum(np.linalg.norm(vertices[i] - vertices[j], axis=1), 1e-9)
    return sparse.coo_matrix((np.r_[length, length], (np.r_[i, j], np.r_[j, i])), shape=(len(vertices),) * 2).tocsr()
