"""Lens distortion: OpenCV's rational model with eight coefficients, its inverse and where it stops being invertible.

All points are on the plane at depth 1 of the camera's frame (x/z, y/z), no pixels. Host NumPy, float64.
"""

from __future__ import annotations

import numpy as np

COEFFICIENT_ORDER = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
"""OpenCV's order of distortion coefficients."""

_TOLERANCE = 1e-11
_MAX_STEPS = 60
_NEGLIGIBLE = 1e-12


def distort(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Where the lens moves ideal points [N,2] to: [N,2]; NaN beyond the radius at which the model folds over.

    coefficients: [8] in `COEFFICIENT_ORDER`. Source: OpenCV's camera model (calib3d), radial and tangential terms.
    """
    points = np.asarray(points, np.float64)
    moved, jacobian = _forward(points, np.asarray(coefficients, np.float64))
    moved[~((_norm(points) < largest_radius(coefficients)) & _keeps_orientation(jacobian))] = np.nan
    return moved


def undistort(points: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """The ideal points [N,2] that the lens moves to `points` [N,2]: the inverse of `distort`, by damped Newton steps.

    NaN where no ideal point inside the invertible radius is moved there: the model explains no ray for such a pixel.
    """
    target = np.asarray(points, np.float64)
    coefficients = np.asarray(coefficients, np.float64)
    if not coefficients.any():
        return target.copy()
    limit = largest_radius(coefficients)
    # Starting inside the invertible disc keeps Newton's steps on the branch that the lens really uses.
    radius = np.linalg.norm(target, axis=-1, keepdims=True)
    estimate = (
        target * np.minimum(1.0, 0.9 * limit / np.maximum(radius, 1e-12)) if np.isfinite(limit) else target.copy()
    )
    value, jacobian = _forward(estimate, coefficients)
    error = _norm(value - target)
    for _ in range(_MAX_STEPS):
        if not (error > _TOLERANCE).any():
            break
        step, before = _solve_2x2(jacobian, target - value), error
        estimate, value, jacobian, error = _damped(estimate, step, target, coefficients, limit, error)
        if not (error < before).any():
            break
    estimate[~((error <= 1e-8) & _keeps_orientation(jacobian))] = np.nan
    return estimate


def largest_radius(coefficients: np.ndarray) -> float:
    """Radius of ideal points up to which the radial distortion grows with the radius; infinity if it always does.

    Beyond it the polynomial folds back and the far outside of the image would appear inside.
    """
    k1, k2, _, _, k3, k4, k5, k6 = np.asarray(coefficients, np.float64)
    numerator = np.polynomial.Polynomial([1.0, k1, k2, k3])
    denominator = np.polynomial.Polynomial([1.0, k4, k5, k6])
    s = np.polynomial.Polynomial([0.0, 1.0])
    # d/dr [r N(r²)/D(r²)] has the sign of (N + 2 s N') D − 2 s N D', s = r²; a pole of N/D ends the range as well.
    slope = (numerator + 2 * s * numerator.deriv()) * denominator - 2 * s * numerator * denominator.deriv()
    positive = [
        float(root.real)
        for polynomial in (slope, denominator)
        for root in polynomial.trim(_NEGLIGIBLE).roots()
        if root.real > 0 and abs(root.imag) < 1e-9 * max(1.0, abs(root.real))
    ]
    return float(np.sqrt(min(positive))) if positive else float("inf")


def _forward(points: np.ndarray, coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distorted points [N,2] and their derivative [N,2,2]."""
    k1, k2, p1, p2, k3, k4, k5, k6 = coefficients
    x, y = points[..., 0], points[..., 1]
    s = x * x + y * y
    top, bottom = 1 + s * (k1 + s * (k2 + s * k3)), 1 + s * (k4 + s * (k5 + s * k6))
    with np.errstate(divide="ignore", invalid="ignore"):
        radial = top / bottom
        slope = ((k1 + s * (2 * k2 + 3 * s * k3)) - radial * (k4 + s * (2 * k5 + 3 * s * k6))) / bottom
    moved = np.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (s + 2 * x * x),
            y * radial + p1 * (s + 2 * y * y) + 2 * p2 * x * y,
        ],
        axis=-1,
    )
    jacobian = np.empty((*points.shape[:-1], 2, 2))
    jacobian[..., 0, 0] = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    jacobian[..., 0, 1] = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    jacobian[..., 1, 0] = jacobian[..., 0, 1]
    jacobian[..., 1, 1] = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    return moved, jacobian


def _damped(
    estimate: np.ndarray,
    step: np.ndarray,
    target: np.ndarray,
    coefficients: np.ndarray,
    limit: float,
    error: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One Newton step per point, halved until the error falls and the point stays inside the invertible radius."""
    scale = np.ones(len(estimate))
    for _ in range(12):
        trial = estimate + scale[:, None] * step
        value, jacobian = _forward(trial, coefficients)
        trial_error = _norm(value - target)
        worse = ~((trial_error < error) | (error <= _TOLERANCE)) | ~(_norm(trial) < limit)
        if not worse.any():
            break
        scale[worse] *= 0.5
    trial = np.where(worse[:, None], estimate, trial)
    value, jacobian = _forward(trial, coefficients)
    return trial, value, jacobian, _norm(value - target)


def _solve_2x2(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    a, b, c, d = matrix[:, 0, 0], matrix[:, 0, 1], matrix[:, 1, 0], matrix[:, 1, 1]
    determinant = a * d - b * c
    safe = np.where(np.abs(determinant) > 1e-12, determinant, np.inf)
    return np.stack([d * right[:, 0] - b * right[:, 1], a * right[:, 1] - c * right[:, 0]], axis=-1) / safe[:, None]


def _keeps_orientation(jacobian: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return jacobian[..., 0, 0] * jacobian[..., 1, 1] - jacobian[..., 0, 1] * jacobian[..., 1, 0] > 0


def _norm(vectors: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.linalg.norm(vectors, axis=-1)
