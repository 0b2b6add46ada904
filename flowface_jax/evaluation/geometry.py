"""Comparing a predicted head with the true one: similarity alignment and distances in millimetres."""

from __future__ import annotations

import dataclasses

import numpy as np

from flowface_jax.conventions import METRES_TO_MILLIMETRES
from flowface_jax.heads.atlas import closest_points


@dataclasses.dataclass(frozen=True)
class Similarity:
    """x → scale · rotation x + translation. rotation: [3,3], translation: [3] m."""

    scale: float
    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Transform points [...,3]."""
        return self.scale * points @ self.rotation.T + self.translation


def fit_similarity(
    source: np.ndarray, target: np.ndarray, with_scale: bool = True, reflection: bool = False
) -> Similarity:
    """Least-squares similarity (Umeyama) that takes source [...,3] onto corresponding target [...,3].

    reflection: permit one where it fits better; the rotation's determinant is then −1.
    """
    x, y = source.reshape(-1, 3).astype(np.float64), target.reshape(-1, 3).astype(np.float64)
    mean_x, mean_y = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd((y - mean_y).T @ (x - mean_x))
    flip = np.diag([1.0, 1.0, 1.0 if reflection else np.sign(np.linalg.det(u @ vt))])
    rotation = u @ flip @ vt
    scale = float((s * np.diag(flip)).sum() / ((x - mean_x) ** 2).sum()) if with_scale else 1.0
    return Similarity(scale, rotation, mean_y - scale * rotation @ mean_x)


def vertex_errors_mm(predicted: np.ndarray, true: np.ndarray, align: bool) -> np.ndarray:
    """Distance between corresponding vertices [...,V,3] m in mm, after one similarity for all of them if `align`."""
    moved = fit_similarity(predicted, true).apply(predicted) if align else predicted
    return METRES_TO_MILLIMETRES * np.linalg.norm(moved - true, axis=-1)


def surface_errors_mm(predicted: np.ndarray, true: np.ndarray, triangles: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Distance in mm from each true vertex of `region` (bool [V]) to the predicted surface, after similarity alignment
    on that region: the NoW measure with correspondence instead of landmarks. predicted, true: [V,3] m.
    """
    aligned = fit_similarity(predicted[region], true[region]).apply(predicted)
    _, distance = closest_points(true[region], aligned, triangles)
    return METRES_TO_MILLIMETRES * distance
