"""Rigid motion and coefficients of a head model, fitted to points and to a scan's surface by Gauss-Newton steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.heads.atlas import TriangleIndex
from flowface_jax.heads.model import HeadModel, SurfacePoints
from flowface_jax.heads.registration import positions_of, vertex_normals
from flowface_jax.training.registration.scans import Scan

_REACHES = (0.03, 0.02, 0.015, 0.01, 0.008, 0.006, 0.005, 0.005)
"""Longest way (m) to a counterpart on the surface, step by step, after the steps by landmarks alone."""
_LANDMARK_STEPS = 4
_COSINE = 0.5
_INDEPENDENT = 250.0
"""As many surface points count as if each were an error of its own: what a model cannot show is smooth."""
_MODEL_STD = 0.001
"""m by which a fitted model still misses a face."""
_ROBUST = 3.0


@dataclass(frozen=True)
class Target:
    """A scan in the head's frame made ready for closest points: what `TriangleIndex` finds, with smooth normals."""

    scan: Scan
    index: TriangleIndex

    def closest(
        self, points: np.ndarray, normals: np.ndarray, cosine: float, reach: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nearest points [N,3] m, their normals [N,3], and which [N] count: within reach, facing alike, on no rim."""
        found, distance = self.index.closest(points, normals, cosine, reach)
        used = np.asarray(found.barycentric) > 1e-4
        rim = np.where(used, self.scan.rim[found.vertex_ids], True).all(1)
        towards = positions_of(found, self.scan.normals)
        towards /= np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
        return positions_of(found, self.scan.vertices), towards, np.isfinite(distance) & ~rim


def make_target(scan: Scan) -> Target:
    """The scan, in the head's frame, with its search index."""
    return Target(scan, TriangleIndex(scan.vertices, scan.triangles))


@dataclass(frozen=True)
class LinearShape:
    """base [V,3] m plus basis [V,3,C]; std [C] of the coefficients and their limits [C,2]."""

    base: np.ndarray
    basis: np.ndarray
    std: np.ndarray
    limits: np.ndarray
    triangles: np.ndarray

    def of(self, coefficients: np.ndarray) -> np.ndarray:
        """The shape [V,3] m."""
        return self.base + self.basis @ coefficients


def neutral_shape(head: HeadModel, identity_size: int, expression_size: int) -> LinearShape:
    """All that the head model can show: identity, and expressions held short, as neutral faces are not wholly so."""
    identity = np.asarray(head.identity_basis, np.float64)[..., :identity_size]
    expression = np.asarray(head.expression_basis, np.float64)[..., :expression_size]
    spread = np.asarray(head.expression_std, np.float64)[:expression_size]
    free = np.tile([-np.inf, np.inf], (identity.shape[-1], 1))
    return LinearShape(
        np.asarray(head.template, np.float64),
        np.concatenate([identity, expression], -1),
        np.concatenate([np.ones(identity.shape[-1]), 0.3 * spread]),
        np.concatenate([free, np.asarray(head.expression_limits, np.float64)[:expression_size]]),
        np.asarray(head.triangles),
    )


def expression_shape(head: HeadModel, neutral: np.ndarray, expression_size: int) -> LinearShape:
    """The registered neutral face [V,3] m with the model's expressions added."""
    return LinearShape(
        neutral,
        np.asarray(head.expression_basis, np.float64)[..., :expression_size],
        2.0 * np.asarray(head.expression_std, np.float64)[:expression_size],
        np.asarray(head.expression_limits, np.float64)[:expression_size],
        np.asarray(head.triangles),
    )


@dataclass(frozen=True)
class Points:
    """Where points of the head ought to be: positions [P,3] m, each with a standard deviation [P] m."""

    surface: SurfacePoints
    positions: np.ndarray
    std: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """coefficients [C]; the head is at scale · rotation [3,3] · shape + translation [3] m."""

    coefficients: np.ndarray
    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def of(self, vertices: np.ndarray) -> np.ndarray:
        """A shape [V,3] m where the head is."""
        return self.scale * vertices @ self.rotation.T + self.translation


def fit_shape(shape: LinearShape, target: Target, points: Points, matched: np.ndarray, scaled: bool) -> Fitted:
    """Coefficients and motion that take the shape to the points, then to the scan too (point to plane).

    matched: [N] vertices that look for the surface. scaled: whether the size is free, as for scans of unknown unit.
    Points and surface count less the farther they are off (Geman-McClure). Deterministic.
    """
    now = Fitted(np.zeros(shape.basis.shape[-1]), 1.0, np.eye(3), np.zeros(3))
    for reach in (*[0.0] * _LANDMARK_STEPS, *_REACHES):
        now = _step(shape, now, target, points, matched, reach, scaled)
    return now


def _step(
    shape: LinearShape, now: Fitted, target: Target, points: Points, matched: np.ndarray, reach: float, scaled: bool
) -> Fitted:
    """One Gauss-Newton step; the unknowns are coefficients, rotation about the middle, translation, log scale."""
    current = now.of(shape.of(now.coefficients))
    middle = current[matched].mean(0)
    size = len(now.coefficients) + 6 + scaled
    matrix, right = np.zeros((size, size)), np.zeros(size)

    def columns(places: np.ndarray, basis: np.ndarray) -> np.ndarray:
        """Derivatives [N,3,size] of points [N,3] with basis [N,3,C]."""
        arm = places - middle
        turns = np.cross(np.eye(3)[None], arm[:, None]).transpose(0, 2, 1)
        rigid = [turns, np.broadcast_to(np.eye(3), (len(places), 3, 3))]
        moved = now.scale * np.einsum("ij,njc->nic", now.rotation, basis)
        return np.concatenate([moved, *rigid, *([arm[..., None]] if scaled else [])], -1)

    ids, mix = np.asarray(points.surface.vertex_ids), np.asarray(points.surface.barycentric, np.float64)
    places = positions_of(points.surface, current)
    miss = points.positions - places
    weight = _robust(np.linalg.norm(miss, axis=1), 2 * points.std + 0.002) / (points.std**2 + _MODEL_STD**2)
    own = columns(places, np.einsum("pkdc,pk->pdc", shape.basis[ids], mix))
    matrix += np.einsum("pdi,p,pdj->ij", own, weight, own, optimize=True)
    right += np.einsum("pdi,p,pd->i", own, weight, miss, optimize=True)
    if reach:
        normals = vertex_normals(current, shape.triangles)[matched]
        nearest, towards, ok = target.closest(current[matched], normals, _COSINE, reach)
        rows = matched[ok]
        across = np.einsum("nd,nd->n", nearest[ok] - current[rows], towards[ok])
        weight = _robust(across, max(reach / 3, _ROBUST * _MODEL_STD)) / _MODEL_STD**2
        weight *= min(1.0, _INDEPENDENT / max(len(rows), 1))
        own = np.einsum("ndi,nd->ni", columns(current[rows], shape.basis[rows]), towards[ok])
        matrix += (own * weight[:, None]).T @ own
        right += own.T @ (weight * across)
    return _moved(shape, now, middle, _solved(matrix, right, shape, now))


def _solved(matrix: np.ndarray, right: np.ndarray, shape: LinearShape, now: Fitted) -> np.ndarray:
    """The step, the coefficients' prior included; those at a limit that it would push beyond are held."""
    count = len(now.coefficients)
    prior = np.zeros(len(right))
    prior[:count] = 1 / shape.std**2
    matrix = matrix + np.diag(prior) + 1e-9 * np.diag(np.diag(matrix) + 1e-12)
    right = right - prior * np.pad(now.coefficients, (0, len(right) - count))
    low, high = shape.limits.T
    free = np.ones(len(right), bool)
    for _ in range(3):
        step = np.zeros(len(right))
        step[free] = np.linalg.solve(matrix[np.ix_(free, free)], right[free])
        beyond = now.coefficients + step[:count]
        stuck = ((now.coefficients <= low) & (beyond < low)) | ((now.coefficients >= high) & (beyond > high))
        if not (stuck & free[:count]).any():
            break
        free[:count] &= ~stuck
    return step


def _moved(shape: LinearShape, now: Fitted, middle: np.ndarray, step: np.ndarray) -> Fitted:
    count = len(now.coefficients)
    turn = Rotation.from_rotvec(step[count : count + 3]).as_matrix()
    growth = float(np.exp(step[count + 6])) if len(step) > count + 6 else 1.0
    translation = growth * turn @ (now.translation - middle) + middle + step[count + 3 : count + 6]
    coefficients = np.clip(now.coefficients + step[:count], shape.limits[:, 0], shape.limits[:, 1])
    return Fitted(coefficients, now.scale * growth, turn @ now.rotation, translation)


def _robust(distance: np.ndarray, scale: np.ndarray | float) -> np.ndarray:
    """Geman-McClure weights."""
    return 1 / (1 + (distance / scale) ** 2) ** 2
