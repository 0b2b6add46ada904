"""The 68 Multi-PIE landmarks of the built-in head: loop vertices for lids and lips, surface points elsewhere."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.atlas import closest_points
from flowface_jax.heads.generic import eyes, mouth
from flowface_jax.heads.generic.anatomy import Point
from flowface_jax.heads.generic.mesh import GenericMesh
from flowface_jax.heads.model import SurfacePoints

# Left half, mm; the landmark is the nearest point of the skin. From the chin up to the ear, then brow, inner to outer.
_CONTOUR: Final[tuple[Point, ...]] = (
    (0, -81, 88),
    (15.5, -79, 86),
    (30, -73.5, 72),
    (43, -65, 57),
    (54, -50, 45),
    (62, -28, 36),
    (67, -9, 29),
    (70, 10, 24),
    (70.5, 31, 22),
)
_BROW: Final[tuple[Point, ...]] = ((11.5, 53, 91), (24, 56, 88), (37, 57, 82), (48.5, 54, 74), (57, 46.5, 63))
_NOSE_BRIDGE: Final[tuple[Point, ...]] = ((0, 33.5, 90), (0, 22, 97), (0, 11.5, 106), (0, -2, 115))
_NOSE_BASE: Final[tuple[Point, ...]] = ((0, -15.5, 99), (6, -15.5, 97.5), (12.5, -15.2, 93.5))


def landmarks(mesh: GenericMesh) -> SurfacePoints:
    """The 68 points in the usual order, the subject's right first: [68,3] vertices and weights, NumPy arrays."""
    left = _left_points(mesh)
    ids = np.empty((68, 3), np.int64)
    weights = np.empty((68, 3))
    for landmark, (corners, shares) in left.items():
        ids[landmark], weights[landmark] = corners, shares
        twin = _TWIN[landmark]
        if twin != landmark:
            ids[twin], weights[twin] = mesh.mirror[corners], shares
    return SurfacePoints(ids.astype(np.int32), weights.astype(np.float32))


def _left_points(mesh: GenericMesh) -> dict[int, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Left half and midline: landmark → three vertices and their weights."""
    targets = dict(zip(range(8, 17), _CONTOUR, strict=True))
    targets |= dict(zip(range(22, 27), _BROW, strict=True))
    targets |= dict(zip(range(27, 31), _NOSE_BRIDGE, strict=True))
    targets |= dict(zip(range(33, 36), _NOSE_BASE, strict=True))
    left_skin = np.zeros(len(mesh.vertices), bool)
    left_skin[mesh.parts["skin"]] = True
    skin = mesh.triangles[np.all(left_skin[mesh.triangles], axis=1)]
    found, _ = closest_points(np.array(list(targets.values()), float), mesh.vertices, skin)
    points = {
        landmark: (np.asarray(found.vertex_ids[k], np.int64), np.asarray(found.barycentric[k], float))
        for k, landmark in enumerate(targets)
    }
    for landmark in (8, 27, 28, 29, 30, 33):
        points[landmark] = _on_midline(mesh, np.asarray(targets[landmark], float))
    for landmark, vertex in _loop_vertices(mesh).items():
        points[landmark] = (np.full(3, vertex), np.array([1.0, 0.0, 0.0]))
    contact, h = mesh.parts["lip_contact"], mouth.HALF
    # The inner corner is where the parted lips are seen to meet, a little inside the corner of the mouth.
    points[64] = (contact[[h - 1, h + 1, h]], np.array([0.5, 0.5, 0.0]))
    return points


def _on_midline(mesh: GenericMesh, target: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The point of the midline nearest to a target, between two neighbouring vertices, so that x is exactly 0."""
    ids = np.concatenate([mesh.parts["midline_below"], mesh.parts["midline_above"]])
    start, end = mesh.vertices[ids[:-1]], mesh.vertices[ids[1:]]
    edge = end - start
    along = np.clip(np.sum((target - start) * edge, axis=1) / np.sum(edge**2, axis=1), 0.0, 1.0)
    distance = np.linalg.norm(start + along[:, None] * edge - target, axis=1)
    distance[len(mesh.parts["midline_below"]) - 1] = np.inf
    k = int(distance.argmin())
    return np.array([ids[k], ids[k + 1], ids[k]]), np.array([1.0 - along[k], along[k], 0.0])


def _loop_vertices(mesh: GenericMesh) -> dict[int, int]:
    margin, n = mesh.parts["lid_margin"], eyes.LID_COUNT
    border, contact, h = mesh.parts["lip_border"], mesh.parts["lip_contact"], mouth.HALF
    lids = {42: 0, 43: round(0.38 * n), 44: round(0.7 * n), 45: n, 46: n + round(0.32 * n), 47: n + round(0.67 * n)}
    outer = {51: 0, 52: 3, 53: 7, 55: h + 6, 56: h + 9, 57: 2 * h}
    inner = {62: 0, 63: 5, 65: 2 * h - 5, 66: 2 * h}
    chosen = {k: margin[i] for k, i in lids.items()} | {k: border[i] for k, i in outer.items()}
    chosen |= {k: contact[i] for k, i in inner.items()} | {54: mesh.parts["lip_middle"][h]}
    return {k: int(v) for k, v in chosen.items()}


def _twins() -> dict[int, int]:
    """The landmark on the other side of each one."""
    twin = {k: 16 - k for k in range(17)} | {k: 43 - k for k in range(17, 27)} | {k: k for k in range(27, 31)}
    twin |= {k: 66 - k for k in range(31, 36)}
    for a, b in ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)):
        twin |= {a: b, b: a}
    twin |= {k: 102 - k for k in range(48, 55)} | {k: 114 - k for k in range(55, 60)}
    twin |= {k: 124 - k for k in range(60, 65)} | {k: 132 - k for k in range(65, 68)}
    return twin


_TWIN: Final[dict[int, int]] = _twins()
