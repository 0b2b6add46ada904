"""Where the skin of a head lies on the atlas, and distances in millimetres to features of the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree

from flowface_jax.heads.atlas import locate
from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.materials.surfaces import triangle_materials
from flowface_jax.synthesis.scene import Material

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LOCATED_SIDE = 256

_REFERENCE = {
    0: (-69.9, 31.0, 21.9),
    4: (-54.5, -50.2, 45.1),
    8: (0.0, -79.4, 87.0),
    12: (54.5, -50.2, 45.1),
    16: (69.9, 31.0, 21.9),
    27: (0.0, 33.5, 89.8),
    30: (0.0, -2.1, 114.6),
    33: (0.0, -15.6, 99.1),
    36: (-44.8, 30.2, 70.0),
    45: (44.8, 30.2, 70.0),
    48: (-26.2, -38.0, 85.6),
    54: (26.2, -38.0, 85.6),
}
"""Landmarks of an average face, mm: the frame in which places on the face are named below."""


@dataclass(frozen=True)
class FaceMap:
    """A head's skin laid out on the atlas, A texels square; row 0 is the top (v = 1).

    place: [A,A,3] mm, in the frame of an average face. metric: [A,A,3,2] mm per texel along columns and rows.
    landmarks: [68,3] mm in the same frame. landmark_uv: [68,2]. regions: name → [A,A] in [0,1].
    """

    place: Array
    metric: Array
    landmarks: Array
    landmark_uv: Array
    regions: dict[str, Array]

    @property
    def side(self) -> int:
        """Texels along the atlas, A."""
        return self.place.shape[0]

    @property
    def uv(self) -> Array:
        """[A,A,2] atlas coordinates of the texels' centres."""
        return texel_uv(self.side)


def texel_uv(side: int) -> Array:
    """[side,side,2] atlas coordinates (u right, v up) of texel centres."""
    along = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(along, 1 - along), -1)


def map_face(head: HeadModel, side: int) -> FaceMap:
    """Lay the head's skin out on an atlas of `side` texels."""
    material, drawn = triangle_materials(head)
    skin = np.asarray(head.triangles)[(material == Material.SKIN) & drawn]
    template = np.asarray(head.template, np.float64) * 1000
    landmarks = np.asarray(head.landmarks.of(head.template), np.float64) * 1000
    scale, shift = _to_reference(landmarks)
    coarse = min(side, _LOCATED_SIDE)
    points = locate(np.asarray(head.uv), skin, texel_uv(coarse).reshape(-1, 2))

    def laid_out(values: Array) -> Array:
        mixed = np.einsum("pkd,pk->pd", values[points.vertex_ids], points.barycentric)
        flat = mixed.reshape(coarse, coarse, -1)
        if side == coarse:
            return flat
        return zoom(flat, (side / coarse, side / coarse, 1), order=1, mode="nearest", grid_mode=True)

    # A little blur: where the atlas is cramped, features would otherwise step from texel to texel.
    place = gaussian_filter(laid_out(template * scale + shift), (0.6 * side / 256, 0.6 * side / 256, 0))
    names = [n for n in ("ears", "neck", "scalp", "nostrils", "face", "lips") if n in head.regions]
    masks = laid_out(np.stack([np.asarray(head.regions[n], np.float64) for n in names], 1))
    rows, columns = np.gradient(place, axis=(0, 1))
    return FaceMap(
        place=place,
        metric=np.stack([columns, rows], -1),
        landmarks=landmarks * scale + shift,
        landmark_uv=np.asarray(head.landmarks.of(head.uv), np.float64),
        regions={name: masks[..., i] for i, name in enumerate(names)},
    )


def _to_reference(landmarks: Array) -> tuple[Array, Array]:
    """Scale [3] and shift [3] that take a head's landmarks [68,3] mm nearest to the average face, axis by axis."""
    mine = landmarks[list(_REFERENCE)]
    average = np.array(list(_REFERENCE.values()))
    spread = mine - mine.mean(0)
    scale = (spread * (average - average.mean(0))).sum(0) / (spread**2).sum(0)
    return scale, average.mean(0) - scale * mine.mean(0)


def curve(points: Array, closed: bool = False, count: int = 200) -> Array:
    """A smooth curve [count,D] through points [N,D] (centripetal-like: cubic Hermite with chord tangents)."""
    points = np.asarray(points, np.float64)
    if closed:
        points = np.concatenate([points[-1:], points, points[:2]])
    else:
        points = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    segments = len(points) - 3
    at = np.linspace(0, segments, count, endpoint=not closed)
    index = np.minimum(at.astype(int), segments - 1)
    t = (at - index)[:, None]
    a, b, c, d = (points[index + k] for k in range(4))
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def distance(face: FaceMap, line: Array) -> Array:
    """Distance [A,A] mm of each texel from a densely sampled line [N,3] mm."""
    return cKDTree(line).query(face.place.reshape(-1, 3))[0].reshape(face.side, face.side)


def inside(face: FaceMap, outline_uv: Array) -> Mask:
    """Which texels [A,A] lie inside a closed line [N,2] in the atlas."""
    pixels = np.column_stack([outline_uv[:, 0], 1 - outline_uv[:, 1]]) * face.side - 0.5
    canvas = np.zeros((face.side, face.side), np.uint8)
    cv2.fillPoly(canvas, [np.round(pixels * 256).astype(np.int32)], 1, shift=8)
    return canvas.astype(bool)


def on_face(face: FaceMap, points: Array) -> Array:
    """The points of the face's front at (x, y) [N,2] mm: [N,3] mm."""
    place = face.place.reshape(-1, 3)
    front = place[(face.regions["face"].ravel() > 0.5) & (place[:, 2] > 0)]
    near = cKDTree(front[:, :2]).query(points)[1]
    return np.column_stack([points, front[near, 2]])


def blob(face: FaceMap, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """A soft spot [A,A]: 1 at `centre` mm, about 0.37 at `radii` mm from it."""
    return np.exp(-(((face.place - np.array(centre)) / np.array(radii)) ** 2).sum(-1))


def both_sides(face: FaceMap, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """`blob` on both halves of the face."""
    x, y, z = centre
    return np.maximum(blob(face, (x, y, z), radii), blob(face, (-x, y, z), radii))


def rise(values: Array, start: float, end: float) -> Array:
    """0 up to `start`, 1 from `end` on, smooth between (start may exceed end)."""
    t = np.clip((values - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)
