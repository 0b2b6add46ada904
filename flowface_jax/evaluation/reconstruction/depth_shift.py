"""How far a prediction lies in front of or behind the truth, as the FaceScape benchmark finds it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from flowface_jax.errors import InputError
from flowface_jax.synthesis.rasteriser import rasterise

SIDE = 256


class DepthShift(NamedTuple):
    """shift: mm that the prediction's depth has to grow by. true_depth: mean depth of the truth over the pixels that
    both cover, mm. share: of the truth's pixels that the prediction covers.
    """

    shift: float
    true_depth: float
    share: float


def pinhole_depth(vertices: np.ndarray, triangles: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Depth [256,256] mm, 0 where nothing is, of vertices [V,3] mm in an OpenCV camera's frame; K [3,3] px.

    Only triangles that face the camera are drawn.
    """
    focal = np.asarray([intrinsics[0, 0], intrinsics[1, 1]])
    depth = vertices[:, 2]
    safe = np.where(depth > 0, depth, np.nan)
    pixels = vertices[:, :2] / safe[:, None] * focal + intrinsics[:2, 2]
    return _drawn(pixels, depth, triangles, orthographic=False)


def orthographic_depth(vertices: np.ndarray, triangles: np.ndarray, half_width: float) -> np.ndarray:
    """Depth −z [256,256], 0 where nothing is, of vertices [V,3] with x right and y up; the picture is ±half_width."""
    pixels = (vertices[:, :2] * [1, -1] / half_width + 1) * SIDE / 2
    return _drawn(pixels, -vertices[:, 2], triangles, orthographic=True)


def depth_shift(true: np.ndarray, predicted: np.ndarray) -> DepthShift:
    """The shift δ that minimises Σ |true − δ − predicted| over pixels [H,W] that both cover (not 0).

    Found as published, by SciPy's SLSQP from 0; the exact minimum is the median of the differences. Raises InputError
    where no pixel is covered by both.
    """
    both = (true != 0) & (predicted != 0)
    if not both.any():
        raise InputError(
            "truth and prediction share no pixel; expected the prediction in the image's camera, its triangles "
            "counter-clockwise seen from outside"
        )
    apart = true[both].astype(np.float64) - predicted[both]
    found = minimize(lambda shift: np.abs(apart - shift).sum(), 0.0, method="SLSQP")
    return DepthShift(float(found.x[0]), float(true[both].mean()), float(both.sum() / (true != 0).sum()))


def _drawn(pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray, orthographic: bool) -> np.ndarray:
    shown = rasterise(
        pixels.astype(np.float32),
        depth.astype(np.float32),
        triangles,
        (SIDE, SIDE),
        orthographic=orthographic,
        cull=True,
        mixed=False,
    )
    seen = np.asarray(shown.depth)
    return np.where(np.isfinite(seen), seen, 0).astype(np.float64)
