"""NoW's circle round the middle of the face: which part of a scan is measured."""

from __future__ import annotations

import numpy as np

CIRCLE = 1.4
"""Radius relative to the mean of the outer eye distance and of the nose's length (NoW's evaluation program)."""
_ABOVE_NOSE = 0.3


def face_circle(key_points: np.ndarray, relative_radius: float = CIRCLE) -> tuple[np.ndarray, float]:
    """Centre [3] and radius, in the unit of key points [7,3] in the order of KEY_POINT_NAMES.

    The centre lies 0.3 of the way from the nose's bottom to the middle between the inner eye corners.
    """
    points = np.asarray(key_points, np.float64)
    between_eyes = (points[1] + points[2]) / 2
    nose = between_eyes - points[4]
    radius = relative_radius * (np.linalg.norm(points[0] - points[3]) + np.linalg.norm(nose)) / 2
    return points[4] + _ABOVE_NOSE * nose, float(radius)


def in_face_circle(vertices: np.ndarray, key_points: np.ndarray, relative_radius: float = CIRCLE) -> np.ndarray:
    """[V] bool: vertices [V,3] in the circle (a ball), its edge included; NaN is outside."""
    centre, radius = face_circle(key_points, relative_radius)
    return np.linalg.norm(np.asarray(vertices, np.float64) - centre, axis=1) <= radius
