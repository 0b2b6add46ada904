"""Meshes that are known where images show them: by a pinhole camera of each frame's own, or without perspective."""

from __future__ import annotations

import numpy as np

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.evaluation.mesh_sequence import Projected

_SAME_PX = 0.01
FACE_HEIGHT = 0.2
"""m: height given to meshes that are known in pixels alone, so that they pass for faces; their scale means nothing."""


def pinhole_of(
    local: np.ndarray, focal: np.ndarray, principal_point: np.ndarray, size: tuple[int, int]
) -> tuple[Cameras | None, Projected | None]:
    """One camera at the origin where it is the same in all frames, else where each frame's camera sees the vertices.

    local: [F,V,3] m in the camera's frame (OpenCV). focal, principal_point: [F,2] px, NaN in frames without a result.
    """
    known = np.isfinite(focal).all(1) & np.isfinite(principal_point).all(1)
    lens = np.concatenate([focal, principal_point], axis=1)[known]
    middle = np.median(lens, axis=0)
    if np.abs(lens - middle).max() < _SAME_PX and abs(middle[0] - middle[1]) < _SAME_PX:
        return make_cameras(middle[:1], middle[None, 2:], np.eye(3)[None], np.zeros((1, 3)), [size]), None
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = focal[:, None] * local[..., :2] / local[..., 2:] + principal_point[:, None]
    return None, Projected(pixels.astype(np.float32), local[..., 2].astype(np.float32), size)


def metric_stand_in(seen: Projected, valid: np.ndarray) -> np.ndarray:
    """Vertices [F,V,3] m of a mesh that is known in pixels alone: x to the image's right, y up, z towards the camera,
    scaled by one factor to FACE_HEIGHT in the median frame.
    """
    solid = np.concatenate([seen.pixels, seen.depth[..., None]], axis=-1) * np.float32([1, -1, -1])
    good = solid[valid]
    heights = good[..., 1].max(1) - good[..., 1].min(1)
    return (solid * (FACE_HEIGHT / max(float(np.median(heights)), 1e-6))).astype(np.float32)
