"""Exact point location on triangle meshes: in the atlas (the UV layout that all heads share) and in space."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from flowface_jax.errors import InputError
from flowface_jax.heads.model import SurfacePoints

_FIRST_CANDIDATES = 8
_PAIRS_AT_ONCE = 400_000


def locate(uv: np.ndarray, triangles: np.ndarray, query: np.ndarray) -> SurfacePoints:
    """The surface points whose atlas coordinates are `query`.

    uv: [V,2] atlas coordinates. triangles: [T,3]. query: [P,2]. A query that no triangle holds (in a hole, outside the
    outline) goes to the nearest point of the nearest edge. Returns P points, NumPy arrays. Raises InputError for NaN or
    wrong shapes.
    """
    uv, query = np.asarray(uv, np.float64), np.asarray(query, np.float64)
    if uv.ndim != 2 or uv.shape[1] != 2 or query.ndim != 2 or query.shape[1] != 2:
        raise InputError(f"expected uv [V,2] and query [P,2], found {list(uv.shape)} and {list(query.shape)}")
    flat = np.pad(uv, ((0, 0), (0, 1)))
    return closest_points(np.pad(query, ((0, 0), (0, 1))), flat, triangles)[0]


def closest_points(
    points: np.ndarray,
    vertices: np.ndarray,
    triangles: np.ndarray,
    normals: np.ndarray | None = None,
    min_cosine: float = 0.0,
    max_distance: float = np.inf,
) -> tuple[SurfacePoints, np.ndarray]:
    """The nearest point of a triangle mesh to each query point, exactly.

    points: [N,3] m. vertices: [V,3] m. triangles: [T,3]. With `normals` [N,3] (unit), only triangles whose normal makes
    a cosine ≥ `min_cosine` with the query's count. Returns the surface points and their distances [N] m, float64; where
    nothing that counts lies within `max_distance` the distance is infinite and the point is meaningless. Raises
    InputError for NaN, wrong shapes or no triangle.

    Triangles are sorted by size into groups; in each group, a triangle can be nearer than the best distance so far only
    if its centroid is within that distance plus the group's largest radius, so candidates grow until none is left out.
    """
    return TriangleIndex(vertices, triangles).closest(points, normals, min_cosine, max_distance)


class TriangleIndex:
    """A triangle mesh made ready for many `closest_points` queries: vertices [V,3] m, triangles [T,3]."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        vertices, self.triangles = _checked_mesh(vertices, triangles)
        self.corners = vertices[self.triangles]
        cross = np.cross(self.corners[:, 1] - self.corners[:, 0], self.corners[:, 2] - self.corners[:, 0])
        self.normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-300)
        centroids = self.corners.mean(1)
        radii = np.linalg.norm(self.corners - centroids[:, None], axis=2).max(1)
        size = np.floor(np.log2(np.maximum(radii, radii.max() * 2.0**-6 + 1e-300))).astype(int)
        # Most triangles first: their distances keep the later, sparser groups short.
        order = sorted(np.unique(size).tolist(), key=lambda s: -int((size == s).sum()))
        members = [np.flatnonzero(size == group) for group in order]
        self._groups = [(m, cKDTree(centroids[m]), float(radii[m].max())) for m in members]

    def closest(
        self,
        points: np.ndarray,
        normals: np.ndarray | None = None,
        min_cosine: float = 0.0,
        max_distance: float = np.inf,
    ) -> tuple[SurfacePoints, np.ndarray]:
        """As `closest_points`."""
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
            raise InputError(f"expected finite points [N,3], found shape {list(points.shape)} or NaN")
        facing = None if normals is None else (np.asarray(normals, np.float64), self.normals, min_cosine)
        search = _Search(points, self.corners, facing, max_distance)
        for members, tree, radius in self._groups:
            _search_group(search, members, tree, radius)
        ids = self.triangles[search.triangle].astype(np.int32)
        return SurfacePoints(ids, search.barycentric.astype(np.float32)), np.sqrt(search.squared)


class _Search:
    """The best point found so far for every query, and the test that a new candidate must pass."""

    def __init__(
        self,
        points: np.ndarray,
        corners: np.ndarray,
        facing: tuple[np.ndarray, np.ndarray, float] | None,
        max_distance: float,
    ) -> None:
        self.points, self.corners, self.facing = points, corners, facing
        self.limit = float(max_distance) ** 2
        self.squared = np.full(len(points), np.inf)
        self.triangle = np.zeros(len(points), np.int64)
        self.barycentric = np.tile([1.0, 0.0, 0.0], (len(points), 1))

    def reach(self, rows: np.ndarray) -> np.ndarray:
        """Distance within which a better point could still lie: [len(rows)]."""
        return np.sqrt(np.minimum(self.squared[rows], self.limit))

    def offer(self, rows: np.ndarray, candidates: np.ndarray) -> None:
        """Compare queries [R] with their candidate triangles [R,K] and keep what is nearer."""
        step = max(1, _PAIRS_AT_ONCE // candidates.shape[1])
        for start in range(0, len(rows), step):
            self._offer(rows[start : start + step], candidates[start : start + step])

    def _offer(self, rows: np.ndarray, candidates: np.ndarray) -> None:
        count = candidates.shape[1]
        flat = candidates.ravel()
        barycentric, squared = closest_on_triangle(np.repeat(self.points[rows], count, axis=0), self.corners[flat])
        if self.facing is not None:
            query_normals, triangle_normals, min_cosine = self.facing
            cosine = np.einsum("rc,rkc->rk", query_normals[rows], triangle_normals[candidates])
            squared = np.where(cosine.ravel() >= min_cosine, squared, np.inf)
        squared = np.where(squared <= self.limit, squared, np.inf).reshape(-1, count)
        best = squared.argmin(1)
        at = np.arange(len(rows))
        better = squared[at, best] < self.squared[rows]
        chosen = rows[better]
        self.squared[chosen] = squared[at, best][better]
        self.triangle[chosen] = candidates[at, best][better]
        self.barycentric[chosen] = barycentric.reshape(-1, count, 3)[at, best][better]


def _search_group(search: _Search, members: np.ndarray, tree: cKDTree, radius: float) -> None:
    """Offer every query the triangles of one size group, nearest centroids first, until none can be nearer."""
    rows = np.arange(len(search.points))
    done, count = 0, min(_FIRST_CANDIDATES, len(members))
    while len(rows):
        bound = search.reach(rows) + radius
        distance, near = tree.query(search.points[rows], k=np.arange(done + 1, count + 1))
        inside = distance[:, 0] <= bound
        if inside.any():
            search.offer(rows[inside], members[near[inside]])
        if count == len(members):
            return
        # A query is finished once its farthest candidate is out of reach.
        rows = rows[distance[:, -1] <= search.reach(rows) + radius]
        done, count = count, min(4 * count, len(members))


def closest_on_triangle(points: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Barycentric coordinates [M,3] of the point of triangle [M,3,3] nearest to point [M,3]; squared distance [M]."""
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ap = points - a
    bb, bc, cc = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    pb, pc = _dot(ap, ab), _dot(ap, ac)
    determinant = bb * cc - bc * bc
    safe = np.where(determinant > 1e-14 * bb * cc, determinant, np.inf)
    v, w = (cc * pb - bc * pc) / safe, (bb * pc - bc * pb) / safe
    inside = (v >= 0) & (w >= 0) & (v + w <= 1) & np.isfinite(safe)
    # Outside, the nearest point lies on one of the three edges; squared distance is a quadratic in (v, w).
    on_ab = np.clip(pb / np.maximum(bb, 1e-300), 0, 1)
    on_ac = np.clip(pc / np.maximum(cc, 1e-300), 0, 1)
    edge = bb - 2 * bc + cc
    on_bc = np.clip((pc - pb + bb - bc) / np.maximum(edge, 1e-300), 0, 1)
    zero = np.zeros_like(v)
    vs = np.stack([np.where(inside, v, on_ab), on_ab, zero, 1 - on_bc], 1)
    ws = np.stack([np.where(inside, w, zero), zero, on_ac, on_bc], 1)
    rest = ap[:, None] - vs[..., None] * ab[:, None] - ws[..., None] * ac[:, None]
    squared = np.einsum("mkc,mkc->mk", rest, rest)
    best = np.where(inside, 0, squared.argmin(1))
    at = np.arange(len(best))
    v, w = vs[at, best], ws[at, best]
    return np.stack([1 - v - w, v, w], 1), squared[at, best]


def _checked_mesh(vertices: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] float64 and triangles [T,3], usable."""
    vertices, triangles = np.asarray(vertices, np.float64), np.asarray(triangles)
    if vertices.ndim != 2 or vertices.shape[1] != 3 or not np.isfinite(vertices).all():
        raise InputError(f"expected finite vertices [V,3], found shape {list(vertices.shape)} or NaN")
    if triangles.ndim != 2 or triangles.shape[1] != 3 or len(triangles) == 0:
        raise InputError(f"expected at least one triangle [T,3], found shape {list(triangles.shape)}")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise InputError(
            f"triangles name vertices {int(triangles.min())} to {int(triangles.max())}, but there are {len(vertices)}"
        )
    return vertices, triangles


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("mc,mc->m", a, b)
