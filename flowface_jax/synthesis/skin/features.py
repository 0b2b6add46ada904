"""Where the features of the face lie on the atlas, in millimetres and relative to the 68 landmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from flowface_jax.synthesis.skin.anatomy import (
    FaceMap,
    blob,
    both_sides,
    curve,
    distance,
    inside,
    on_face,
    rise,
)

Array = NDArray[np.float64]

FAR = 60.0
"""Millimetres at which distances stop growing."""


@dataclass(frozen=True)
class Brow:
    """along: [A,A] 0 inner to 1 outer end. across: [A,A] mm above the middle line. tangent: [A,A,3] outwards."""

    along: Array
    across: Array
    tangent: Array


@dataclass(frozen=True)
class Eye:
    """distance: [A,A] mm outside the opening. above: [A,A] 1 above. along: [A,A] 0 inner to 1 outer corner."""

    distance: Array
    above: Array
    along: Array


@dataclass(frozen=True)
class Lips:
    """edge: [A,A] mm inside the border. upper: [A,A] 1 on the upper lip. line: [A,A] mm from the line between the
    lips.
    """

    edge: Array
    upper: Array
    line: Array


def brow_coordinates(face: FaceMap) -> Brow:
    """Coordinates along and across the nearer brow; the middle line runs a little below landmarks 17 to 26."""
    nearest = np.full((face.side, face.side), np.inf)
    along, across = np.zeros_like(nearest), np.full_like(nearest, FAR)
    tangent = np.zeros((*nearest.shape, 3))
    for ids in ((21, 20, 19, 18, 17), (22, 23, 24, 25, 26)):
        line = curve(face.landmarks[list(ids)] - np.array([0.0, 1.2, 0.0]))
        step = np.linalg.norm(np.diff(line, axis=0), axis=1)
        length = np.concatenate([[0], np.cumsum(step)])
        forward = np.gradient(line, axis=0)
        forward /= np.linalg.norm(forward, axis=1, keepdims=True)
        up = np.array([0.0, 1.0, 0.0]) - forward * forward[:, 1:2]
        up /= np.linalg.norm(up, axis=1, keepdims=True)
        gap, at = cKDTree(line).query(face.place)
        offset = face.place - line[at]
        closer = gap < nearest
        nearest[closer] = gap[closer]
        past = (offset * forward[at]).sum(-1)
        along[closer] = ((length[at] + past) / length[-1])[closer]
        across[closer] = np.clip((offset * up[at]).sum(-1), -FAR, FAR)[closer]
        tangent[closer] = forward[at][closer]
    far = nearest > 45.0
    across[far] = np.where(across[far] < 0, -FAR, FAR)
    return Brow(along, across, tangent)


def eye_coordinates(face: FaceMap) -> Eye:
    """Coordinates about the nearer eye, from its six landmarks (outer corner, upper lid, inner corner, lower lid)."""
    result = [np.full((face.side, face.side), FAR), np.zeros((face.side, face.side)), np.zeros((face.side, face.side))]
    for outer, start in ((36, 36), (45, 42)):
        loop = np.array([*range(start, start + 6)])
        inner = 39 if outer == 36 else 42
        upper_ids = loop[:4]
        lower_ids = np.concatenate([loop[3:], loop[:1]])
        upper, lower = curve(face.landmarks[upper_ids]), curve(face.landmarks[lower_ids])
        to_upper, to_lower = distance(face, upper), distance(face, lower)
        outline = np.concatenate([curve(face.landmark_uv[upper_ids]), curve(face.landmark_uv[lower_ids])])
        sign = np.where(inside(face, outline), -1.0, 1.0)
        reach = np.minimum(to_upper, to_lower)
        corner, axis = face.landmarks[inner], face.landmarks[outer] - face.landmarks[inner]
        along = ((face.place - corner) @ axis) / (axis @ axis)
        height = face.uv[..., 1] - np.interp(
            face.uv[..., 0],
            *_sorted(face.landmark_uv[[inner, outer]]),
        )
        texels = 3.0 / face.side
        above = rise(height, -texels, texels)
        closer = reach < np.abs(result[0])
        for kept, mine in zip(result, (sign * reach, above, along), strict=True):
            kept[closer] = mine[closer]
    return Eye(*result)


def _sorted(ends: Array) -> tuple[Array, Array]:
    order = np.argsort(ends[:, 0])
    return ends[order, 0], ends[order, 1]


def lip_coordinates(face: FaceMap) -> Lips:
    """Coordinates about the lips, from landmarks 48 to 67."""
    marks, uv = face.landmarks, face.landmark_uv
    top, bottom = [48, 49, 50, 51, 52, 53, 54], [54, 55, 56, 57, 58, 59, 48]
    border = np.concatenate([curve(marks[top]), curve(marks[bottom])])
    outline = np.concatenate([curve(uv[top]), curve(uv[bottom])])
    edge = np.minimum(distance(face, border), FAR) * np.where(inside(face, outline), 1, -1)
    contact = np.concatenate([curve(marks[[48, 60, 61, 62, 63, 64, 54]]), curve(marks[[48, 60, 67, 66, 65, 64, 54]])])
    corner_v = uv[[48, 54], 1].mean()
    upper = rise(face.uv[..., 1], corner_v - 2 / face.side, corner_v + 2 / face.side)
    return Lips(edge, upper, np.minimum(distance(face, contact), FAR))


def hairline_distance(face: FaceMap) -> Array:
    """Millimetres behind an average hairline [A,A]: forehead, temples, sideburns, round the ears, nape."""
    x, y, z = np.moveaxis(face.place, -1, 0)
    front = np.interp(y, [-30, 0, 12, 34, 44, 52, 62, 72, 84, 96, 104], [14, 19, 21, 30, 43, 50, 51, 49, 55, 78, 140])
    # The widow's peak lies lower than the recesses at its sides.
    front = front + 5.0 * np.exp(-((x / 16.0) ** 2)) - 6.0 * np.exp(-(((np.abs(x) - 34.0) / 13.0) ** 2)) * (y > 70)
    low = np.interp(z, [-100, -60, -42, -34, -20, 4, 10, 16, 40], [-58, -52, -38, 0, 40, 44, 24, 4, 4])
    signed = np.minimum((front - z) * 0.85, (y - low) * 0.8)
    ear = gaussian_filter(face.regions["ears"], face.side / 256)
    signed = np.minimum(signed, 6.0 - 20.0 * ear)
    return np.clip(gaussian_filter(signed, 1.2 * face.side / 256), -FAR, FAR)


def masks(face: FaceMap, eye: Eye, lips: Lips, hairline: Array) -> dict[str, Array]:
    """Soft masks [A,A] in [0,1] by name.

    face, neck, ears, nostrils, cheeks (where blood shows), nose, nose_tip, t_zone (oily), forehead, chin, under_eye,
    eyelid (between lash and crease), even (1 where the atlas is not stretched), socket (shaded round the eye), blush
    (where rouge goes), nasolabial (shaded beside the mouth), wet_rim (the lids' inner edge and the eyes' corners),
    freckled, lips.
    """
    soft = face.side / 256
    x, y, z = np.moveaxis(face.place, -1, 0)
    region = {name: gaussian_filter(values, 1.0 * soft) for name, values in face.regions.items()}
    below, above = 1 - eye.above, eye.above
    front = rise(z, 20.0, 45.0) * rise(hairline, 2.0, -6.0)
    outside = rise(eye.distance, -0.6, 0.6)
    return {
        "face": front * rise(y, -95.0, -80.0),
        "neck": gaussian_filter(face.regions["neck"], 6.0 * soft),
        "ears": region["ears"],
        "nostrils": np.clip(1.6 * region["nostrils"], 0, 1),
        "cheeks": both_sides(face, (40.0, -4.0, 76.0), (19.0, 19.0, 30.0)),
        "nose": both_sides(face, (6.0, 0.0, 105.0), (14.0, 20.0, 18.0)),
        "nose_tip": blob(face, (0.0, -3.0, 113.0), (14.0, 9.0, 12.0)) + both_sides(face, (15, -9, 96), (6, 7, 9)),
        "t_zone": np.maximum(blob(face, (0, 72, 88), (34, 24, 30)), blob(face, (0, 12, 106), (11, 30, 25))),
        "forehead": blob(face, (0.0, 74.0, 86.0), (46.0, 24.0, 45.0)),
        "chin": blob(face, (0.0, -68.0, 94.0), (17.0, 12.0, 16.0)),
        "under_eye": np.exp(-(((eye.distance - 6.5) / 4.5) ** 2)) * below * rise(eye.along, 1.35, 0.6) * outside,
        "eyelid": rise(eye.distance, 9.5, 5.0) * above * outside,
        "socket": np.exp(-((np.maximum(eye.distance, 0) / 9.0) ** 2)) * (0.55 + 0.45 * rise(eye.along, 0.6, -0.1)),
        "blush": both_sides(face, (46.0, 2.0, 68.0), (16.0, 11.0, 26.0)),
        "nasolabial": both_sides(face, (26.0, -20.0, 92.0), (7.0, 14.0, 14.0)),
        "wet_rim": rise(eye.distance, 0.8, -0.4),
        "freckled": np.maximum(both_sides(face, (30, 4, 84), (24, 17, 30)), blob(face, (0, 12, 105), (12, 18, 25)))
        + 0.35 * front,
        # Where the atlas is badly stretched, near its rim, noise would turn into streaks.
        "even": rise(gaussian_filter(np.linalg.norm(face.metric, ord=2, axis=(-2, -1)), 2 * soft) * soft, 6.5, 3.0),
        "lips": rise(lips.edge, -0.7, 1.0),
    }


def beard_parts(face: FaceMap, lips: Lips, hairline: Array) -> dict[str, Array]:
    """Soft masks [A,A] of a beard's parts: moustache, goatee, soul_patch, jaw, cheek, sideburn, throat."""
    x, y, z = np.moveaxis(face.place, -1, 0)
    wide = np.abs(x)
    cheek_line = np.interp(wide, [0, 14, 24, 32, 46, 58, 66, 72], [-17, -17, -19, -24, -22, -10, 8, 30])
    neck = gaussian_filter(face.regions["neck"], 1.5 * face.side / 256)
    bare = rise(lips.edge, -0.6, -2.6)
    hairy = rise(cheek_line - y, 0.0, 7.0) * bare * rise(z, 3.0, 12.0) * rise(y, -108.0, -92.0)
    moustache = rise(wide, 37.0, 29.0) * rise(y, -50.0, -38.0) * rise(cheek_line - y, -0.5, 3.0)
    bald_corner = both_sides(face, (16.0, -56.0, 94.0), (5.0, 6.0, 14.0))
    goatee = rise(wide, 31.0, 22.0) * rise(y, -40.0, -48.0) * (1 - 0.7 * bald_corner)
    soul_patch = rise(wide, 8.0, 4.0) * rise(y, -40.0, -46.0) * rise(y, -66.0, -60.0)
    high = rise(y, -36.0, -14.0) * rise(wide, 30.0, 42.0)
    sideburn = rise(y, -16.0, -4.0) * rise(wide, 56.0, 62.0) * rise(hairline, -14.0, -4.0)
    jaw = hairy * (1 - neck) * rise(wide, 14.0, 26.0) * (1 - high) * rise(y, -18.0, -32.0)
    return {
        "moustache": moustache * bare * rise(z, 20.0, 40.0),
        "goatee": goatee * hairy * (1 - neck),
        "soul_patch": soul_patch * bare * rise(z, 60.0, 75.0),
        "jaw": jaw,
        "cheek": hairy * high * (1 - sideburn),
        "sideburn": np.maximum(sideburn, hairy * rise(wide, 60.0, 66.0) * (1 - neck)) * (face.regions["ears"] < 0.2),
        "throat": neck * rise(y, -112.0, -90.0) * rise(z, 10.0, 30.0),
    }


_CREASES: dict[str, tuple[tuple[tuple[float, float], ...], ...]] = {
    "forehead": (
        ((-42, 66), (-20, 69), (0, 67), (20, 69), (42, 66)),
        ((-40, 76), (-18, 79), (0, 77), (18, 79), (40, 76)),
        ((-34, 86), (-14, 88), (0, 87), (14, 88), (34, 86)),
    ),
    "glabella": (((6, 40), (7, 48), (6.5, 58)), ((-5.5, 40), (-6.5, 48), (-5.5, 57))),
    "crow_feet": (
        ((50, 31), (56, 35), (61, 41)),
        ((51, 29), (58, 29), (64, 31)),
        ((50, 26), (56, 22), (61, 17)),
        ((49, 23), (53, 17), (57, 10)),
    ),
    "nasolabial": (((17, -4), (20.5, -10), (26, -18), (31, -27), (34, -36)),),
    "marionette": (((28.5, -39), (30, -46), (30, -55)),),
    "under_eye": (((16, 22), (24, 16.5), (33, 15), (42, 18.5)), ((19, 17), (27, 11), (36, 7))),
}
_CREASE_WIDTH = {
    "forehead": 1.5,
    "glabella": 1.3,
    "crow_feet": 1.0,
    "nasolabial": 2.4,
    "marionette": 1.7,
    "under_eye": 1.5,
}


def wrinkles(face: FaceMap, lip_edge: Array, eye_distance: Array) -> dict[str, Array]:
    """Creases [A,A] by kind, 1 at their deepest and 0 away: those of `_CREASES`, and throat, lips, fine."""
    random = np.random.default_rng(3)
    wobble = [gaussian_filter(random.normal(size=(face.side, face.side)), 5 * face.side / 256) for _ in range(2)]
    wobble = [w / w.std() for w in wobble]
    y = face.place[..., 1]
    result = {}
    for name, lines in _CREASES.items():
        width = _CREASE_WIDTH[name]
        mirrored = (
            lines
            if name in ("forehead", "glabella")
            else lines + tuple(tuple((-a, b) for a, b in line) for line in lines)
        )
        depth = np.zeros((face.side, face.side))
        for line in mirrored:
            path = curve(np.asarray(line, float))
            fade = np.sin(np.linspace(0.12, np.pi - 0.12, len(path))) ** 0.7
            gap, at = cKDTree(on_face(face, path)).query(face.place)
            depth = np.maximum(depth, np.exp(-((gap / width) ** 2)) * fade[at])
        result[name] = depth * rise(eye_distance, -0.5, 1.5) * (1 + 0.25 * wobble[0].clip(-2, 2))
    throat = sum(np.exp(-(((y + 2.5 * wobble[0] - level) / 1.6) ** 2)) for level in (-102.0, -116.0, -130.0))
    result["throat"] = throat * face.regions["neck"]
    across = np.sin(face.place[..., 0] * 2.6 + 0.7 * wobble[1])
    result["lips"] = np.clip(across, 0, 1) ** 2 * rise(lip_edge, -1.0, 1.5)
    return result
