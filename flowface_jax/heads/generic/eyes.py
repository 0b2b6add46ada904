"""Eyelids and the eyeball of the left eye: loops on the skin, the lid's inner side, and the ball itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.curves import open_curve

Array = NDArray[np.float64]

LID_COUNT = 16
"""Segments of each lid margin; the loop has twice as many vertices."""

BALL_SEGMENTS = 20
BALL_ANGLES = np.radians([8.0, 18.0, 29.4, 36.0, 44.0, 54.0, 66.0, 80.0, 98.0, 120.0, 148.0])
LIMBUS_RING = 2

_CENTRE = np.asarray(anatomy.EYE_CENTRE)


def _on_ball(xy: Array, radius: float) -> Array:
    """Lift (x, y) about the eye's centre to the lids' surface: a sphere that eases into the two corners."""
    sphere = np.sqrt(np.clip(radius**2 - np.sum(xy**2, axis=1), 0.0, None))
    nasal = np.clip(-xy[:, 0] / 14.5, 0.0, 1.0)
    corner = np.where(xy[:, 0] < 0, anatomy.INNER_CANTHUS_DEPTH - 3.0 * (1 - nasal), anatomy.OUTER_CANTHUS_DEPTH)
    smooth = 1.5
    depth = smooth * np.logaddexp(sphere / smooth, corner / smooth)
    blend = np.clip((np.abs(xy[:, 0]) - 6.0) / 7.0, 0.0, 1.0)
    return np.column_stack([xy, sphere + blend * (depth - sphere)])


def margin_outline() -> Array:
    """(x, y) [2·LID_COUNT,2] about the eye's centre: upper margin inner to outer corner, then the lower one back."""
    upper = open_curve(anatomy.LID_UPPER, LID_COUNT + 1)
    lower = open_curve(anatomy.LID_LOWER, LID_COUNT + 1)
    return np.concatenate([upper, lower[-2:0:-1]])


def lid_rows() -> list[Array]:
    """Rings [2·LID_COUNT,3] mm of the lids' outer skin, from the margin outwards (margin, lash line, lid plate)."""
    outline = margin_outline()
    radius = anatomy.EYE_RADIUS + anatomy.LID_CLEARANCE + anatomy.LID_THICKNESS
    upper = outline[:, 1] > np.interp(outline[:, 0], [-14.5, 13.3], [-1.8, 0.2]) + 1e-6
    normal = _outline_normals(outline)
    corner = np.abs(outline[:, 0] + 0.6) / 13.9
    rows = [_on_ball(outline, radius)]
    for upper_offset, lower_offset, lift in ((1.7, 1.5, 0.25), (3.8, 3.3, 0.2)):
        offset = np.where(upper, upper_offset, lower_offset) * (1.0 - 0.35 * corner**3)
        rows.append(_on_ball(outline + normal * offset[:, None], radius + lift))
    return [row + _CENTRE for row in rows]


def drawn(row: Array) -> Array:
    """Where a ring of the lids [N,3] mm is drawn: on a plane before the ball, so that the almond keeps its shape."""
    depth = 75.5 - 0.3 * (row[:, 0] - anatomy.EYE_CENTRE[0])
    return np.column_stack([row[:, :2], depth])


def _outline_normals(outline: Array) -> Array:
    """Outward unit normals of the almond, smoothed at its corners."""
    tangent = np.roll(outline, -1, axis=0) - np.roll(outline, 1, axis=0)
    normal = np.column_stack([-tangent[:, 1], tangent[:, 0]])
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def inner_lid_rows(margin: Array) -> list[Array]:
    """Rings behind the margin [N,3] mm: the inner edge that rests on the eyeball, and the lid's back, out of sight."""
    offset = margin - _CENTRE
    distance = np.linalg.norm(offset, axis=1, keepdims=True)
    edge_radius = anatomy.EYE_RADIUS + anatomy.LID_CLEARANCE
    at_corner = np.clip((distance - 14.3) / 2.0, 0.0, 1.0)
    edge = offset / distance * (edge_radius + at_corner * 0.5)
    outward = np.column_stack([offset[:, :2], np.zeros(len(offset))])
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    back = edge + 2.6 * outward - np.array([0.0, 0.0, 2.4])
    back *= (edge_radius + 0.3) / np.linalg.norm(back, axis=1, keepdims=True)
    return [_CENTRE + edge, _CENTRE + back]


def eyeball() -> tuple[Array, Array, NDArray[np.int64]]:
    """The ball: vertices [N,3] mm, its own polar chart [N,2] in the unit disc, triangles [T,3].

    Vertex 0 is the centre of the pupil, the last one the back pole, which the chart leaves outside (see `BALL_ANGLES`).
    """
    turn = 2 * np.pi * np.arange(BALL_SEGMENTS) / BALL_SEGMENTS
    rings = [np.zeros((1, 3)) + [0, 0, anatomy.EYE_RADIUS + anatomy.CORNEA_BULGE]]
    chart = [np.zeros((1, 2))]
    limbus = np.arcsin(anatomy.LIMBUS_RADIUS / anatomy.EYE_RADIUS)
    for angle in BALL_ANGLES:
        bulge = anatomy.CORNEA_BULGE * np.clip(1.0 - (angle / (1.12 * limbus)) ** 2, 0.0, None)
        radius = anatomy.EYE_RADIUS + bulge
        ring = np.column_stack([np.cos(turn), np.sin(turn)])
        rings.append(np.column_stack([radius * np.sin(angle) * ring, np.full(len(turn), radius * np.cos(angle))]))
        chart.append(ring * _chart_radius(angle))
    return np.concatenate(rings) + _CENTRE, np.concatenate(chart), _ball_triangles()


def _chart_radius(angle: float) -> float:
    """Chart radius of an angle from the pupil: the front hemisphere takes four fifths."""
    half = np.pi / 2
    return 0.8 * angle / half if angle <= half else 0.8 + 0.2 * (angle - half) / (BALL_ANGLES[-1] - half)


def _ball_triangles() -> NDArray[np.int64]:
    n = BALL_SEGMENTS
    step = np.arange(n)
    following = (step + 1) % n
    triangles = [np.column_stack([np.zeros(n, int), 1 + step, 1 + following])]
    for ring in range(len(BALL_ANGLES) - 1):
        inner, outer = 1 + ring * n, 1 + (ring + 1) * n
        triangles.append(np.column_stack([inner + step, outer + step, outer + following]))
        triangles.append(np.column_stack([inner + step, outer + following, inner + following]))
    return np.concatenate(triangles)
