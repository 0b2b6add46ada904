"""Region masks on a head of any topology of which nothing is known but its shape: no landmarks, no axes.

The built-in head is laid on the mesh (rotation, translation and in the end scale; points of the mesh that are close and
face the same way), starting from the rotations of a cube and of an icosahedron, and the start that ends nearest wins.
Each vertex of the mesh then takes the region of the nearest point of the built-in head's skin that faces the same way.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import Similarity, fit_similarity
from flowface_jax.heads.atlas import TriangleIndex
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.registration import vertex_normals

REACH = 0.015
"""m: a vertex farther than this from the built-in head laid on it belongs to no region."""
_HEAD_SIZE = (0.12, 0.8)
"""m: longest side of the box round a head, with or without shoulders."""
_SAME_DIRECTION = 0.3
_SAMPLES = 400
_FIRST_ROUNDS, _HEAD_ROUNDS, _FACE_ROUNDS, _EXACT_ROUNDS = 10, 40, 20, 15
_KEPT_STARTS = 10
_NORMAL_LENGTH = 0.05
"""m that opposite normals count for half of, when the nearest point is looked for."""
_SHARE = 0.75
"""Of the closest points, the nearest that count: hair, necks and ears differ between heads."""
_SCALES = (0.8, 1.25)
_WORST_FIT = 0.005
"""m: mean distance of the face above which the mesh is taken to be none."""
_INNER = ("eyeballs", "teeth", "tongue", "mouth_interior", "nostrils")


@dataclasses.dataclass(frozen=True, eq=False)
class RedrawnRegions:
    """masks: [V] bool by name. placement: takes the built-in head (x to the subject's left, y up, z out of the face)
    to the mesh. distance: mean distance [m] of the built-in face from the mesh, of the nearest three quarters.
    """

    masks: dict[str, np.ndarray]
    placement: Similarity
    distance: float


def redraw_regions(vertices: np.ndarray, triangles: np.ndarray, names: Sequence[str]) -> RedrawnRegions:
    """Masks of the built-in head's named regions on a neutral head [V,3] m with triangles [T,3], as this module says.

    A vertex belongs to a region where the built-in head's mask, interpolated at the nearest point, exceeds one half;
    the inside of the mouth, teeth and eyeballs are not matched, so that a mesh which covers the eyes has them in
    "eyes". Deterministic, some seconds. Raises InputError for a region that the built-in head has not, NaN, and a mesh
    that no placement comes near to (no head, or not in metres).
    """
    head = generic_head()
    absent = [name for name in names if name not in head.regions]
    if absent:
        raise InputError(
            f"expected regions of the built-in head, found '{absent[0]}'; it has {', '.join(head.regions)}"
        )
    vertices, triangles = np.asarray(vertices, np.float64), _outward(vertices, np.asarray(triangles))
    index = TriangleIndex(vertices, triangles)
    side = float(np.ptp(vertices[triangles.ravel()], axis=0).max())
    if not _HEAD_SIZE[0] <= side <= _HEAD_SIZE[1]:
        raise InputError(f"expected a head in metres, found a mesh {side:.3g} m long; convert it to metres")
    placement, distance = _placed(head, vertices, index)
    return RedrawnRegions(_masks(head, vertices, triangles, placement, names), placement, distance)


def _outward(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """The triangles, turned over if most look inwards."""
    corners = np.asarray(vertices, np.float64)[triangles]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = corners.mean(1)
    outwards = np.einsum("tc,tc->", area, middle - middle.mean(0)) > 0
    return triangles if outwards else triangles[:, ::-1]


class _Target:
    """The mesh as vertices with normals, to look up what is close and faces the same way."""

    def __init__(self, vertices: np.ndarray, triangles: np.ndarray) -> None:
        used = np.unique(triangles)
        self.points = vertices[used]
        self._tree = cKDTree(np.c_[self.points, _NORMAL_LENGTH * vertex_normals(vertices, triangles)[used]])

    def iterated(
        self, placement: Similarity, points: np.ndarray, normals: np.ndarray, rounds: int
    ) -> tuple[Similarity, float]:
        """The placement after so many rounds of closest points, and how far the nearest share of points then is.

        Without scale, which would let the head shrink into a cheek while it is still turned wrongly.
        """
        for step in range(rounds + 1):
            facing = _NORMAL_LENGTH * normals @ placement.rotation.T
            distances, nearest = self._tree.query(np.c_[placement.apply(points), facing])
            if step < rounds:
                placement = _step(points, self.points[nearest], distances, with_scale=False)
        return placement, _nearest_share(distances)


def _placed(head: HeadModel, vertices: np.ndarray, index: TriangleIndex) -> tuple[Similarity, float]:
    """The best placement of the built-in head, and the mean distance of its face."""
    template = np.asarray(head.template, np.float64)
    normals = vertex_normals(template, np.asarray(head.triangles))
    inner = _inner(head)
    face = _sampled(np.asarray(head.regions["face"]) & ~inner)
    whole = _sampled(~inner)
    target = _Target(vertices, index.triangles)
    middle = _centroid(vertices, index.triangles)
    own_middle = _centroid(template, np.asarray(head.triangles))
    starts = []
    for turn in np.concatenate([Rotation.create_group(group).as_matrix() for group in "OI"]):
        start = Similarity(1.0, turn, middle - turn @ own_middle)
        starts.append(target.iterated(start, template[whole], normals[whole], _FIRST_ROUNDS))
    starts.sort(key=lambda start: start[1])
    close = []
    for start, _ in starts[:_KEPT_STARTS]:
        rough, _ = target.iterated(start, template[whole], normals[whole], _HEAD_ROUNDS)
        close.append(target.iterated(rough, template[face], normals[face], _FACE_ROUNDS))
    placement, _ = min(close, key=lambda found: found[1])
    for _ in range(_EXACT_ROUNDS):
        moved, facing = placement.apply(template[face]), normals[face] @ placement.rotation.T
        found, distances = index.closest(moved, facing, _SAME_DIRECTION)
        placement = _step(template[face], np.asarray(found.of(vertices)), distances, with_scale=True)
    least = _nearest_share(index.closest(placement.apply(template[face]))[1])
    if not least <= _WORST_FIT:
        raise InputError(
            f"the built-in face stays {least * METRES_TO_MILLIMETRES:.3g} mm from the mesh; expected a whole head"
        )
    return placement, least


def _inner(head: HeadModel) -> np.ndarray:
    """[V] bool: vertices of the built-in head behind its skin."""
    return np.any([np.asarray(head.regions[name]) for name in _INNER if name in head.regions], axis=0)


def _sampled(mask: np.ndarray) -> np.ndarray:
    rows = np.flatnonzero(mask)
    return rows[:: max(1, len(rows) // _SAMPLES)]


def _centroid(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Of the surface: [3]."""
    corners = vertices[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    return area @ corners.mean(1) / area.sum()


def _step(points: np.ndarray, targets: np.ndarray, distances: np.ndarray, with_scale: bool) -> Similarity:
    known = np.isfinite(distances)
    kept = known & (distances <= np.quantile(distances[known], _SHARE)) if known.any() else ~known
    if kept.sum() < 3:
        raise InputError("no part of the mesh faces as the built-in head does; expected a closed head in metres")
    found = fit_similarity(points[kept], targets[kept], with_scale)
    scale = float(np.clip(found.scale, *_SCALES))
    return Similarity(scale, found.rotation, targets[kept].mean(0) - scale * found.rotation @ points[kept].mean(0))


def _nearest_share(distances: np.ndarray) -> float:
    return float(np.sort(distances)[: max(1, int(_SHARE * len(distances)))].mean())


def _masks(
    head: HeadModel, vertices: np.ndarray, triangles: np.ndarray, placement: Similarity, names: Sequence[str]
) -> dict[str, np.ndarray]:
    own = np.asarray(head.triangles)
    inner = _inner(head)
    skin = own[~inner[own].any(1)]
    index = TriangleIndex(placement.apply(np.asarray(head.template, np.float64)), skin)
    used = np.unique(triangles)
    found, distance = index.closest(vertices[used], vertex_normals(vertices, triangles)[used], _SAME_DIRECTION, REACH)
    near = np.isfinite(distance)
    masks = {}
    for name in names:
        values = np.asarray(head.regions[name], np.float64)[np.asarray(found.vertex_ids)]
        masks[name] = np.zeros(len(vertices), bool)
        masks[name][used] = near & ((values * np.asarray(found.barycentric)).sum(1) > 0.5)
    return masks
