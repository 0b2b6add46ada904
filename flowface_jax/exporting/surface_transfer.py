"""Which point of one head's surface each vertex of another corresponds to, found in the atlas that all heads share."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads.atlas import closest_points, locate
from flowface_jax.heads.binding import fit_sphere
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.registration import positions_of, similarity

_SAME_PLACE = 1e-4
"""Atlas distance within which a vertex counts as lying on the other head's surface, and not beside it."""
_SKIN_REGIONS = ("face", "ears", "neck", "scalp")
_UNLIKE_M = 0.008
"""Distance between the mean heads, laid on each other, at which a correspondence counts half: two mean heads differ by
2 or 3 mm, and by more where the atlas binds them badly (deep nostrils, the rim of the neck).
"""


@dataclasses.dataclass(frozen=True, eq=False)
class SurfaceTransfer:
    """N vertices of a target head and where they lie on a source head.

    vertex_ids: [N] int32 of the target. points: N points of the source's surface. confidence: [N] in (0, 1].
    """

    vertex_ids: np.ndarray
    points: SurfacePoints
    confidence: np.ndarray

    def of(self, vertices: np.ndarray) -> np.ndarray:
        """Places [N,3] m, float64, on the source's surface with vertices [V,3] m."""
        return positions_of(self.points, np.asarray(vertices))

    def thinned(self, rows: np.ndarray) -> SurfaceTransfer:
        """Only the vertices in the given rows."""
        points = SurfacePoints(np.asarray(self.points.vertex_ids)[rows], np.asarray(self.points.barycentric)[rows])
        return SurfaceTransfer(self.vertex_ids[rows], points, self.confidence[rows])


def surface_transfer(source: HeadModel, target: HeadModel) -> SurfaceTransfer:
    """Skin to skin and eyeball to eyeball of the same side; vertex to vertex where both heads are of one mesh.

    What only one of the heads has (teeth, the inside of the mouth, a longer neck) is left out. Raises InputError where
    hardly anything corresponds.
    """
    same = np.array_equal(np.asarray(source.triangles), np.asarray(target.triangles))
    if same and source.vertex_count == target.vertex_count:
        ids = np.arange(target.vertex_count, dtype=np.int32)
        weights = np.tile(np.float32([1, 0, 0]), (len(ids), 1))
        return SurfaceTransfer(ids, SurfacePoints(np.repeat(ids[:, None], 3, axis=1), weights), np.ones(len(ids)))
    skin, *eyes = (_skin_match(source, target), *(_eye_match(source, target, side) for side in (-1, 1)))
    if len(skin[0]) < max(4, _LEAST_SHARE * _skin(target).sum()):
        raise InputError(
            f"only {len(skin[0])} of the {int(_skin(target).sum())} skin vertices of head '{target.name}' lie on head "
            f"'{source.name}' in the atlas; load both heads with their 68 landmarks, which bind them to it"
        )
    ids, near, weights = (np.concatenate(parts) for parts in zip(skin, *eyes, strict=True))
    points = SurfacePoints(near.astype(np.int32), weights.astype(np.float32))
    return SurfaceTransfer(ids.astype(np.int32), points, _confidence(source, target, ids, points))


def eyeball_of(head: HeadModel, side: int) -> np.ndarray:
    """Vertices [V] bool of the right (side −1) or left (1) eyeball."""
    return np.asarray(head.regions["eyeballs"]) & (np.sign(np.asarray(head.template)[:, 0]) == side)


_LEAST_SHARE = 0.2
_Match = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vertices [n] of the target, and the surface points of the source as vertex ids and barycentric weights [n,3]."""


def _skin_match(source: HeadModel, target: HeadModel) -> _Match:
    rows = np.flatnonzero(_skin(target))
    triangles = np.asarray(source.triangles)
    triangles = triangles[_skin(source)[triangles].all(1)]
    uv, query = np.asarray(source.uv, np.float64), np.asarray(target.uv, np.float64)[rows]
    points = locate(uv, triangles, query)
    kept = np.abs(positions_of(points, uv) - query).max(1) < _SAME_PLACE
    return rows[kept], np.asarray(points.vertex_ids)[kept], np.asarray(points.barycentric)[kept]


def _eye_match(source: HeadModel, target: HeadModel, side: int) -> _Match:
    """By the direction from the eyeball's centre: eyeballs are spheres, and their patch of the atlas has a seam."""
    rows, members = np.flatnonzero(eyeball_of(target, side)), eyeball_of(source, side)
    triangles = np.asarray(source.triangles)
    triangles = triangles[members[triangles].all(1)]
    if not len(triangles) or not len(rows):
        return np.zeros(0, np.int32), np.zeros((0, 3), np.int32), np.zeros((0, 3), np.float32)
    own, other = (np.asarray(head.template, np.float64) for head in (target, source))
    centre, _ = fit_sphere(own[rows])
    other_centre, radius = fit_sphere(other[members])
    direction = own[rows] - centre
    direction /= np.maximum(np.linalg.norm(direction, axis=1, keepdims=True), 1e-9)
    points, _ = closest_points(other_centre + radius * direction, other, triangles)
    return rows, np.asarray(points.vertex_ids), np.asarray(points.barycentric)


def _confidence(source: HeadModel, target: HeadModel, ids: np.ndarray, points: SurfacePoints) -> np.ndarray:
    own = np.asarray(target.template, np.float64)[ids]
    other = positions_of(points, np.asarray(source.template, np.float64))
    scale, rotation, translation = similarity(own, other, np.asarray(target.vertex_weights, np.float64)[ids])
    apart = np.linalg.norm(scale * own @ rotation.T + translation - other, axis=1)
    return 1 / (1 + (apart / _UNLIKE_M) ** 2)


def _skin(head: HeadModel) -> np.ndarray:
    masks = [np.asarray(head.regions[name]) for name in _SKIN_REGIONS]
    return np.logical_or.reduce(masks) & ~np.asarray(head.regions["eyeballs"])
