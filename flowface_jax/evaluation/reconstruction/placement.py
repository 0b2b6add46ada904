"""Laying a predicted mesh on a scan: seven key points first, then the distances from the scan to the surface."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError
from flowface_jax.evaluation.geometry import Similarity, fit_similarity
from flowface_jax.evaluation.reconstruction.surface import Nearest, Surface, checked_points

_MOST_STEPS = 100
_ENOUGH = 1e-10
_FIRST_DAMPING, _MOST_DAMPING = 1e-6, 1e8


@dataclasses.dataclass(frozen=True, eq=False)
class Placement:
    """Where a mesh was laid on points.

    similarity: takes the mesh to the points; its rotation may be a reflection where it started as one. distances: [N]
    of the points from the moved surface, unsigned, in the points' unit. steps: of the minimiser. converged: whether it
    stopped because nothing changed.
    """

    similarity: Similarity
    distances: np.ndarray
    steps: int
    converged: bool


def procrustes(source: np.ndarray, target: np.ndarray, with_scale: bool = True, reflection: bool = False) -> Similarity:
    """Least-squares similarity that takes source [N,3] to target [N,3].

    reflection: permit one where it fits better (MATLAB's `procrustes` with reflection 'best'). Raises InputError for
    different counts, fewer than three points, NaN, or source points that coincide.
    """
    source, target = checked_points(source, "key points"), checked_points(target, "key points")
    if source.shape != target.shape or len(source) < 3:
        raise InputError(f"expected as many key points on both sides, 3 or more, found {len(source)} and {len(target)}")
    if not np.ptp(source, axis=0).any():
        raise InputError("expected key points in different places, found all in one; give those of the face")
    return fit_similarity(source, target, with_scale, reflection)


def refine_placement(points: np.ndarray, surface: Surface, start: Similarity, with_scale: bool) -> Placement:
    """Minimise the sum of squared distances from points [N,3] to a surface, over its rotation, translation and scale.

    Levenberg-Marquardt on distances to the exact nearest points, which are found anew at every step. A local minimum
    near `start`. with_scale: False keeps that of `start`. Raises InputError for NaN or fewer than 7 points.
    """
    points = checked_points(points)
    if len(points) < 7:
        raise InputError(f"expected at least 7 points to lay a mesh on, found {len(points)}")
    centre = points.mean(0)
    size = float(np.sqrt(((points - centre) ** 2).sum(1).mean())) or 1.0
    current, damping = start, _FIRST_DAMPING
    found = _pulled_back(points, surface, current)
    cost = float((found.distance**2).sum())
    for step in range(_MOST_STEPS):
        gradient, hessian = _normal_equations(points, surface, current, found, (centre, size), with_scale)
        # What a flat or round surface leaves undetermined stays where it is.
        floor = 1e-3 * np.trace(hessian) + 1e-12
        while True:
            change = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + floor), gradient)
            trial = _moved(current, change, (centre, size))
            found_there = _pulled_back(points, surface, trial)
            lower = float((found_there.distance**2).sum())
            if lower < cost or damping > _MOST_DAMPING:
                break
            damping *= 10
        if lower >= cost:
            return Placement(current, found.distance, step, True)
        gained, cost, current, found, damping = cost - lower, lower, trial, found_there, max(damping / 10, 1e-9)
        if gained <= _ENOUGH * cost:
            return Placement(current, found.distance, step + 1, True)
    return Placement(current, found.distance, _MOST_STEPS, False)


def _pulled_back(points: np.ndarray, surface: Surface, similarity: Similarity) -> Nearest:
    """Nearest points in the mesh's own frame, where the tree is; the distances in that of the points."""
    local = (points - similarity.translation) @ similarity.rotation / similarity.scale
    found = surface.nearest(local)
    return found._replace(distance=found.distance * abs(similarity.scale))


def _normal_equations(
    points: np.ndarray,
    surface: Surface,
    similarity: Similarity,
    found: Nearest,
    frame: tuple[np.ndarray, float],
    with_scale: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Right-hand side and matrix for a change of (rotation, translation / size[, log scale]) about the centre."""
    centre, size = frame
    places = similarity.apply(found.point)
    apart = points - places
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    facing = surface.normals[found.triangle] @ similarity.rotation.T
    # A point on the surface has no direction to it; the surface's normal is the limit.
    touching = length[:, 0] <= 1e-9 * size
    direction = np.where(touching[:, None], facing, apart / np.where(length > 0, length, 1))
    distance = np.where(touching, (apart * facing).sum(1), length[:, 0])
    lever = (places - centre) / size
    columns: list[Any] = [np.cross(lever, direction), direction]
    if with_scale:
        columns.append((lever * direction).sum(1, keepdims=True))
    jacobian = np.concatenate(columns, axis=1)
    return jacobian.T @ (distance / size), jacobian.T @ jacobian


def _moved(similarity: Similarity, change: np.ndarray, frame: tuple[np.ndarray, float]) -> Similarity:
    centre, size = frame
    turn = Rotation.from_rotvec(change[:3]).as_matrix()
    growth = float(np.exp(np.clip(change[6], -0.5, 0.5))) if len(change) > 6 else 1.0
    translation = growth * turn @ (similarity.translation - centre) + centre + size * change[3:6]
    return Similarity(growth * similarity.scale, turn @ similarity.rotation, translation)
