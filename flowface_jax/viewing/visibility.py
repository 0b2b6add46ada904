"""Which triangles of a projected mesh a camera sees."""

from __future__ import annotations

import cv2
import numpy as np

_RASTER = 192
_SUBPIXEL_BITS = 4


def front_facing(mesh_px: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[T] bool: triangles [T,3], counter-clockwise from outside, whose outside the camera sees; mesh_px [V,2] px."""
    a, b, c = (np.asarray(mesh_px, np.float64)[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    # Image rows grow downwards, so counter-clockwise as seen is negative area.
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0


def visible_triangles(
    mesh_px: np.ndarray, depth: np.ndarray, triangles: np.ndarray, tolerance: float = 0.01
) -> np.ndarray:
    """[T] bool: front-facing triangles that no other front-facing triangle hides, roughly.

    mesh_px: [V,2] px. depth: [V] m along the camera axis, > 0 in front. tolerance: m a triangle may lie behind the
    nearest surface. A coarse depth image decides, so slivers at silhouettes may be wrong; for pictures only.
    """
    mesh_px, depth = np.asarray(mesh_px, np.float64), np.asarray(depth, np.float64)
    facing = front_facing(mesh_px, triangles) & (depth[triangles] > 0).all(1)
    chosen = np.flatnonzero(facing)
    if not len(chosen):
        return facing
    corners, distance = mesh_px[triangles[chosen]], depth[triangles[chosen]].mean(1)
    low = corners.min((0, 1))
    scale = (_RASTER - 2) / max(np.ptp(corners, axis=(0, 1)).max(), 1e-9)
    raster = (corners - low) * scale
    nearest = np.full((_RASTER, _RASTER), np.inf, np.float32)
    fixed = np.round(raster * 2**_SUBPIXEL_BITS).astype(np.int32)
    for index in np.argsort(-distance, kind="stable"):
        cv2.fillConvexPoly(nearest, fixed[index], float(distance[index]), shift=_SUBPIXEL_BITS)
    column, row = np.round(raster.mean(1)).astype(int).T
    result = np.zeros(len(triangles), bool)
    # The nearest corner is compared, so that steep triangles at the silhouette do not hide themselves.
    result[chosen] = depth[triangles[chosen]].min(1) <= nearest[row, column] + tolerance
    return result
