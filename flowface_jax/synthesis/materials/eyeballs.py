"""Where a head's eyeballs are centred and where their pupils look."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from flowface_jax.heads.model import HeadModel

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


LIMBUS_ANGLE = 0.513
"""Angle from the pupil's axis at which the iris ends, rad, in `pupil_directions`."""

_IRIS_RADIUS = 0.0059


def eyeball_masks(head: HeadModel) -> tuple[Mask, Mask]:
    """The vertices [V] of the subject's right and left eyeball."""
    balls = np.asarray(head.regions["eyeballs"])
    left = np.asarray(head.template)[:, 0] > 0
    return balls & ~left, balls & left


def hidden_shells(head: HeadModel) -> Mask:
    """Vertices [V] of shells inside another shell of the same eyeball (an iris behind a clear cornea)."""
    hidden = np.zeros(head.vertex_count, bool)
    triangles = np.asarray(head.triangles)
    template = np.asarray(head.template, np.float64)
    for ball in eyeball_masks(head):
        pieces = connected_pieces(triangles[ball[triangles].all(1)], head.vertex_count)
        labels = [label for label in np.unique(pieces[ball]) if (ball & (pieces == label)).sum() > 8]
        if len(labels) < 2:
            continue
        extent = [np.ptp(template[ball & (pieces == label)], axis=0).sum() for label in labels]
        outer = labels[int(np.argmax(extent))]
        hidden |= ball & (pieces != outer)
    return hidden


def pupil_directions(head: HeadModel) -> Array:
    """The unit direction [V,3] of each eyeball vertex from its ball's centre, turned so that z goes through the pupil.

    Angles from z are scaled so that an iris of human size (11.8 mm) ends at LIMBUS_ANGLE on balls of any radius.
    """
    template = np.asarray(head.template, np.float64)
    directions = np.zeros((head.vertex_count, 3))
    hidden = hidden_shells(head)
    for ball in eyeball_masks(head):
        if not ball.any():
            continue
        shell = template[ball & ~hidden]
        centre, radius = fit_sphere(shell)
        rotation = _turn_to_z(_pupil_axis(shell - centre, radius))
        offset = (template[ball] - centre) @ rotation.T
        directions[ball] = _with_human_iris(offset, radius)
    return directions


def _with_human_iris(offsets: Array, radius: float) -> Array:
    """Unit directions [N,3] whose angle from z is that of the offsets [N,3], scaled to LIMBUS_ANGLE at the iris's
    rim.
    """
    limbus = np.arcsin(min(_IRIS_RADIUS / radius, 0.9))
    angle = np.arctan2(np.hypot(offsets[:, 0], offsets[:, 1]), offsets[:, 2])
    around = np.arctan2(offsets[:, 1], offsets[:, 0])
    # Beyond the limbus the scale fades, so that the back of the ball stays its back.
    beyond = LIMBUS_ANGLE + (angle - limbus) * (np.pi - LIMBUS_ANGLE) / (np.pi - limbus)
    scaled = np.where(angle < limbus, angle * LIMBUS_ANGLE / limbus, beyond)
    sine = np.sin(scaled)
    return np.column_stack([sine * np.cos(around), sine * np.sin(around), np.cos(scaled)])


def fit_sphere(points: Array) -> tuple[Array, float]:
    """Centre [3] m and radius m of the sphere through most of the points [N,3] m; a bulging cornea counts little."""
    weight = np.ones(len(points))
    origin = points.mean(0)
    for _ in range(8):
        local = points - origin
        system = np.column_stack([2 * local, np.ones(len(points))]) * weight[:, None]
        solution = np.linalg.lstsq(system, (local**2).sum(1) * weight, rcond=None)[0]
        centre = solution[:3]
        radius = float(np.sqrt(max(solution[3] + centre @ centre, 1e-12)))
        residual = np.linalg.norm(local - centre, axis=1) - radius
        weight = 1.0 / (1.0 + (residual / (0.02 * radius)) ** 2)
    return origin + centre, radius


def _pupil_axis(offsets: Array, radius: float) -> Array:
    """The unit direction in which the ball bulges, or straight ahead where no cornea is modelled."""
    distance = np.linalg.norm(offsets, axis=1)
    bulge = np.clip(distance - 1.012 * radius, 0, None) * (offsets[:, 2] > 0.5 * radius)
    if bulge.max() < 0.01 * radius:
        return np.array([0.0, 0.0, 1.0])
    axis = (bulge[:, None] * offsets).sum(0)
    axis /= np.linalg.norm(axis)
    return axis if axis[2] > 0.94 else np.array([0.0, 0.0, 1.0])


def _turn_to_z(axis: Array) -> Array:
    """The smallest rotation [3,3] that takes a unit axis with z > 0 to +z."""
    x, y, z = axis
    scale = 1.0 / (1.0 + z)
    return np.array([[1 - x * x * scale, -x * y * scale, -x], [-x * y * scale, 1 - y * y * scale, -y], [x, y, z]])


def connected_pieces(triangles: NDArray[np.int32], vertex_count: int) -> NDArray[np.int32]:
    """The number of the connected piece of mesh that each vertex [V] belongs to."""
    starts, ends = triangles.ravel(), triangles[:, [1, 2, 0]].ravel()
    graph = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=(vertex_count, vertex_count))
    return connected_components(graph, directed=False)[1]
