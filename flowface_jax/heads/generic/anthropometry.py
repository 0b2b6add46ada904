"""The deformations by which adult heads differ, each with its standard deviation in millimetres (or as a share).

The standard deviations are of the order found in adult populations (Farkas 1994; NIOSH head-and-face survey, Zhuang
and Bradtmiller 2005): head breadth 6, length 7, face width 6.5, face height 7, nose height 4, nose width 3.5, mouth
width 3.5, lip height 2.5, jaw width 7, biocular width 4.5, ear length 4.5.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy, ears
from flowface_jax.heads.generic.anatomy import Point
from flowface_jax.heads.generic.carrying import carry_eyes, mirrored
from flowface_jax.heads.generic.fields import HeadFields, bump, eye_offsets, near_eye, smooth_step
from flowface_jax.heads.generic.lids import lid_motion
from flowface_jax.heads.generic.surface import lip_contact_height

Array = NDArray[np.float64]

# Local deformations: name, centre on the left half (mm), Gaussian widths (mm), displacement for one deviation (mm).
# Each acts on both sides; the entries of `_ASYMMETRIC` act in opposite senses.
_LOCAL: Final[tuple[tuple[str, Point, Point, Point], ...]] = (
    ("forehead bulge", (0, 74, 90), (38, 20, 30), (0, 0, 3.0)),
    ("forehead eminences", (28, 80, 84), (15, 15, 20), (0.4, 0.5, 1.5)),
    ("forehead width", (58, 68, 55), (22, 24, 30), (3.0, 0, 0)),
    ("temple hollow", (64, 48, 46), (16, 18, 20), (-2.4, 0, -0.6)),
    ("glabella", (0, 49, 92), (11, 9, 16), (0, 0, 1.5)),
    ("brow ridge", (24, 49, 89), (15, 7, 16), (0, 0, 1.8)),
    ("brow ridge outside", (46, 48, 75), (10, 8, 16), (0.8, 0, 1.5)),
    ("brow height", (28, 50, 87), (22, 9, 20), (0, 2.3, 0)),
    ("brow slant", (46, 50, 75), (12, 9, 16), (0, 1.8, 0)),
    ("eye depth", (31.5, 30, 72), (19, 13, 20), (0, 0, 1.9)),
    ("eye spacing", (31.5, 30, 72), (19, 15, 22), (1.6, 0, 0)),
    ("eye height", (31.5, 30, 72), (21, 16, 22), (0, 1.8, 0)),
    ("upper lid fullness", (33, 39, 80), (14, 5, 12), (0, -0.6, 1.3)),
    ("eye bags", (31, 18, 78), (12, 5, 12), (0, -0.3, 1.0)),
    ("tear trough", (18, 21, 79), (8, 6, 10), (0, 0, 0.9)),
    ("cheekbone forward", (48, 9, 71), (16, 13, 18), (0.8, 0, 2.0)),
    ("cheekbone width", (62, 12, 48), (16, 17, 24), (2.7, 0, 0)),
    ("cheekbone height", (50, 8, 70), (16, 13, 20), (0, 2.2, 0)),
    ("zygomatic arch", (69, 10, 30), (12, 14, 20), (2.2, 0, 0)),
    ("front cheek", (34, -3, 81), (13, 13, 14), (0, 0, 1.9)),
    ("cheek fullness", (48, -24, 66), (18, 17, 22), (2.6, 0, 2.0)),
    ("cheek hollow", (57, -22, 54), (11, 13, 17), (-2.0, 0, -0.8)),
    ("jowls", (44, -56, 58), (14, 12, 18), (1.8, -0.8, 0.8)),
    ("nasolabial fold", (28, -20, 87), (7, 12, 12), (0, 0, 1.1)),
    ("nasion depth", (0, 35, 89), (8, 9, 12), (0, 0, 1.9)),
    ("nose bridge height", (0, 20, 98), (8, 15, 14), (0, 0, 1.9)),
    ("nose bridge width", (9, 20, 90), (6, 16, 12), (1.3, 0, 0)),
    ("nose hump", (0, 18, 100), (7, 6.5, 12), (0, 0, 1.2)),
    ("nose projection", (0, -3, 112), (15, 13, 14), (0, 0, 2.4)),
    ("nose tip height", (0, -3, 115), (13, 9, 14), (0, 2.0, 0)),
    ("nose tip roundness", (6, -2, 113), (5.5, 7, 8), (1.2, 0, 0.4)),
    ("nose width", (16, -7, 99), (8, 9, 12), (1.7, 0, 0)),
    ("nostril flare", (15, -10, 102), (6, 5, 9), (0.9, 0.7, 0)),
    ("alar height", (15, -5, 100), (7, 8, 10), (0, 1.1, 0)),
    ("columella", (0, -12, 106), (5, 5, 9), (0, -1.2, 0)),
    ("nose base depth", (0, -17, 97), (20, 8, 14), (0, 0, 1.5)),
    ("philtrum depth", (0, -22, 99), (3.5, 6, 8), (0, 0, -0.6)),
    ("upper lip projection", (0, -31, 102), (17, 8, 14), (0, 0, 1.9)),
    ("lower lip projection", (0, -42, 101), (16, 8, 14), (0, 0, 1.9)),
    ("mouth projection", (0, -37, 97), (24, 18, 20), (0, 0, 2.2)),
    ("mouth width", (25.5, -38, 86), (12, 12, 16), (2.0, 0, -0.6)),
    ("mouth corner height", (25.5, -38, 86), (10, 9, 14), (0, 1.2, 0)),
    ("mouth corner depth", (25.5, -38, 86), (9, 10, 12), (0, 0, 1.2)),
    ("labiomental fold", (0, -54, 92), (17, 6, 12), (0, 0, 1.4)),
    ("chin projection", (0, -69, 94), (20, 14, 18), (0, 0, 2.9)),
    ("chin width", (19, -72, 86), (11, 12, 16), (2.3, 0, 0)),
    ("chin height", (0, -78, 88), (24, 14, 20), (0, -2.7, 0)),
    ("chin point", (0, -76, 91), (8, 9, 12), (0, -0.9, 1.1)),
    ("jaw width", (55, -52, 20), (20, 20, 30), (3.3, 0, 0)),
    ("jaw angle height", (55, -56, 16), (20, 16, 28), (0, -3.2, 0)),
    ("jaw middle", (44, -64, 52), (16, 14, 20), (2.1, -0.8, 0)),
    ("double chin", (0, -94, 56), (34, 15, 26), (0, -4.0, 2.0)),
    ("neck width", (58, -115, -20), (34, 40, 60), (4.5, 0, 0)),
    ("neck front", (0, -125, 42), (40, 32, 34), (0, 0, 4.0)),
    ("neck back", (0, -105, -66), (50, 45, 40), (0, 0, -5.0)),
    ("head breadth", (76, 62, -14), (34, 42, 62), (3.0, 0, 0)),
    ("occiput", (0, 40, -98), (48, 44, 40), (0, 0, -5.0)),
    ("vertex height", (0, 128, 0), (58, 34, 60), (0, 4.0, 0)),
    ("crown back height", (0, 115, -55), (48, 36, 42), (0, 3.0, -2.0)),
)

_ASYMMETRIC: Final[tuple[tuple[str, Point, Point, Point], ...]] = (
    ("brow height difference", (28, 50, 87), (22, 9, 20), (0, 0.9, 0)),
    ("eye height difference", (31.5, 30, 72), (21, 16, 22), (0, 0.6, 0)),
    ("cheek difference", (48, -20, 66), (22, 22, 24), (0.9, 0, 0.8)),
    ("mouth corner difference", (25.5, -38, 86), (12, 12, 16), (0.5, 0.8, 0)),
    ("jaw difference", (50, -58, 35), (22, 20, 30), (1.2, 0.8, 0)),
    ("alar difference", (16, -7, 99), (8, 8, 12), (0.4, 0.5, 0)),
    ("ear difference", (75, 0, -10), (18, 34, 24), (0.6, 1.0, 1.0)),
)

_SHIFTS: Final[tuple[tuple[str, Point, Point, Point], ...]] = (
    ("nose deviation", (0, 2, 110), (14, 20, 16), (1.0, 0, 0)),
    ("chin deviation", (0, -66, 90), (30, 22, 30), (1.3, 0, 0)),
    ("mouth deviation", (0, -37, 96), (26, 16, 22), (0.8, 0, 0)),
)


def deformations(fields: HeadFields) -> Array:
    """[V,3,N] mm for one standard deviation each."""
    made = [*_global(fields), *_face_proportions(fields)]
    for _, centre, width, way in _LOCAL:
        one = bump(fields.points, centre, width)[:, None] * np.asarray(way, float)
        scale = 1.0 if centre[0] > 0 else 0.5
        made.append(scale * (one + mirrored(fields, one)))
    for _, centre, width, way in _ASYMMETRIC:
        one = bump(fields.points, centre, width)[:, None] * np.asarray(way, float)
        made.append(one - mirrored(fields, one))
    for _, centre, width, way in _SHIFTS:
        made.append(bump(fields.points, centre, width)[:, None] * np.asarray(way, float))
    carried = [carry_eyes(fields, shape) for shape in made]
    return np.stack([*carried, *_ears(fields), *_eyelids(fields), *_lips(fields)], axis=-1)


def _global(fields: HeadFields) -> list[Array]:
    """Size and proportions of the whole head, and its sexual dimorphism in outline; eyeballs keep their size."""
    p = fields.points
    zero = np.zeros(len(p))
    upper = smooth_step(p[:, 1], 35.0, 120.0)
    back = smooth_step(-p[:, 2], -30.0, 80.0)
    front = smooth_step(p[:, 2], 0.0, 70.0)
    robust = [
        bump(p, (55, -54, 15), (22, 22, 32))[:, None] * np.array([2.5, -1.5, 0.0]),
        bump(p, (22, 49, 89), (20, 8, 16))[:, None] * np.array([0.0, -0.8, 1.6]),
        bump(p, (15, -72, 90), (18, 14, 18))[:, None] * np.array([1.0, -1.0, 1.5]),
        bump(p, (58, -115, -15), (34, 40, 60))[:, None] * np.array([3.5, 0.0, 0.0]),
        bump(p, (10, 0, 105), (14, 20, 16))[:, None] * np.array([0.6, -0.4, 1.2]),
    ]
    male = sum(one + mirrored(fields, one) for one in robust) + 0.012 * p
    full = [
        bump(p, (50, -25, 62), (24, 26, 34))[:, None] * np.array([3.5, 0.0, 2.0]),
        bump(p, (20, -90, 60), (36, 18, 34))[:, None] * np.array([0.6, -2.2, 1.2]),
        bump(p, (46, -58, 52), (20, 16, 26))[:, None] * np.array([2.5, -0.8, 1.0]),
        bump(p, (57, -110, -10), (34, 40, 60))[:, None] * np.array([4.0, 0.0, 1.0]),
    ]
    heavy = sum(one + mirrored(fields, one) for one in full)
    return [
        0.022 * p,
        np.column_stack([0.035 * p[:, 0], zero, zero]),
        np.column_stack([zero, 0.030 * p[:, 1], zero]),
        np.column_stack([zero, zero, 0.032 * p[:, 2]]),
        np.column_stack([0.030 * p[:, 0] * front, zero, zero]),
        np.column_stack([zero, zero, -0.09 * (p[:, 1] - 45.0) * upper * front]),
        np.column_stack([0.04 * p[:, 0] * upper, zero, zero]),
        np.column_stack([zero, zero, 0.05 * p[:, 2] * back]),
        np.column_stack([zero, zero, 0.04 * (p[:, 1] - 10.0) * front * (p[:, 1] > -95)])
        * smooth_step(p[:, 1], -95, -80)[:, None],
        male,
        heavy,
    ]


def _face_proportions(fields: HeadFields) -> list[Array]:
    """Heights of the thirds of the face, and widths that taper: ramps in the front half of the head."""
    p = fields.points
    front = smooth_step(p[:, 2], -10.0, 70.0)
    zero = np.zeros(len(p))

    def lower(top: float, bottom: float, amount: float) -> Array:
        return np.column_stack([zero, -amount * front * smooth_step(-p[:, 1], -top, -bottom), zero])

    taper = np.clip((-p[:, 1] - 10.0) / 70.0, 0.0, 1.0) * smooth_step(p[:, 1], -130.0, -90.0)
    nose = bump(p, (0, -8, 108), (17, 15, 18))
    return [
        lower(30.0, -15.0, 2.6),
        lower(-15.0, -38.0, 1.7),
        lower(-38.0, -75.0, 3.0),
        np.column_stack([zero, 2.5 * front * smooth_step(p[:, 1], 40.0, 90.0), zero]),
        np.column_stack([0.06 * p[:, 0] * taper * front, zero, zero]),
        np.column_stack([zero, -2.0 * nose, zero]),
        np.column_stack([zero, zero, 2.0 * front * taper]),
    ]


def _ears(fields: HeadFields) -> list[Array]:
    """Size, height, protrusion, tilt and lobes of the auricles, fading out over their attachment."""
    mesh, p = fields.mesh, fields.points
    share = np.zeros(len(p))
    for k in range(ears.RING_COUNT):
        share[mesh.parts[f"ear_{k}"]] = min(1.0, (k + 1) / 3.0)
    share[mesh.parts["ear_canal"]] = 1.0
    offset = p - np.asarray(anatomy.EAR_ORIGIN)
    away = np.linalg.norm(offset[:, 1:], axis=1)
    up, back = offset[:, 1], -offset[:, 2]
    zero = np.zeros(len(p))
    shapes = [
        np.column_stack([zero, 0.065 * up, zero]),
        np.column_stack([0.03 * back, zero, -0.07 * back]),
        np.column_stack([0.13 * back, zero, 0.06 * back]),
        np.column_stack([zero, 0.09 * back, 0.09 * up]),
        np.column_stack([0.2 * np.ones_like(zero), -2.0 * smooth_step(-up, 12.0, 28.0), zero]),
        np.column_stack([zero, 1.2 * smooth_step(up, 12.0, 30.0), -0.8 * smooth_step(away, 10.0, 30.0)]),
    ]
    moved = [share[:, None] * shape for shape in shapes]
    place = bump(p, (74, 0, -8), (22, 36, 26))[:, None]
    moved += [place * np.array([0.0, 2.5, 0.0]), place * np.array([0.0, 0.0, 2.5]), place * np.array([1.5, 0.0, 0.0])]
    return [one + mirrored(fields, one) for one in moved]


def _eyelids(fields: HeadFields) -> list[Array]:
    """Opening, length and slant of the eyes: lids slide on eyeballs that stay where they are."""
    offset = eye_offsets(fields)
    near = near_eye(fields) * fields.soft
    sideways = np.clip(offset[:, 0] / 14.0, -1.3, 1.3)
    zero = np.zeros(len(offset))
    outer, inner = np.clip(sideways, 0, None) ** 2, np.clip(-sideways, 0, None) ** 2
    shapes = [
        0.14 * lid_motion(fields, 1.0, 0.0),
        0.14 * lid_motion(fields, 0.0, 1.0),
        near[:, None] * np.column_stack([0.9 * outer, zero, -0.5 * outer]),
        near[:, None] * np.column_stack([-0.7 * inner, zero, zero]),
        near[:, None] * np.column_stack([zero, 1.0 * outer, zero]),
        near[:, None] * np.column_stack([zero, -0.5 * inner, zero]),
    ]
    return [one + mirrored(fields, one) for one in shapes] + [
        0.05 * (lid_motion(fields, 1.0, 0.0) - mirrored(fields, lid_motion(fields, 1.0, 0.0)))
    ]


def _lips(fields: HeadFields) -> list[Array]:
    """Heights and fullness of the vermilion; the line where the lips meet stays closed."""
    p = fields.points
    above = p[:, 1] - lip_contact_height(p[:, 0])
    zero = np.zeros(len(p))
    middle = 1.0 - 0.85 * fields.mouth_lateral**2
    made = []
    for sign in (1.0, -1.0):
        own = fields.soft * (fields.mouth_side == sign) * middle * smooth_step(p[:, 2], 70.0, 84.0)
        away = np.abs(above)
        own = own * smooth_step(away, 0.2, 3.0)
        border = own * np.exp(-0.5 * ((away - 8.0) / 3.5) ** 2)
        body = own * np.exp(-0.5 * ((away - 4.0) / 2.5) ** 2)
        made.append(np.column_stack([zero, sign * (1.4 * border + 0.5 * body), 0.3 * body]))
        made.append(np.column_stack([zero, zero, 1.0 * body]))
    peak = bump(p, (5.5, -28.5, 102), (3.5, 3.5, 8))[:, None] * np.array([0.2, 0.7, 0.1])
    made.append(peak + mirrored(fields, peak))
    return made
