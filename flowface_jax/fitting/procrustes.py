"""Head pose from one image without a starting point: robust weak-perspective camera, turned into a rigid pose."""

from __future__ import annotations

import numpy as np


def weak_perspective_poses(
    points: np.ndarray,
    pixels: np.ndarray,
    weights: np.ndarray,
    focal: np.ndarray,
    principal_point: np.ndarray,
    rounds: int = 6,
) -> tuple[np.ndarray, np.ndarray]:
    """Rigid head-to-camera poses for many images at once, robust to gross outliers.

    points: [P,3] m. pixels: [N,P,2]. weights: [N,P] ≥ 0. focal: [N] px. principal_point: [N,2] px.
    Returns rotation [N,3,3] and translation [N,3] m (float64). Images without usable points get NaN.
    """
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], axis=1).astype(np.float64)
    pixels = pixels.astype(np.float64)
    current = weights.astype(np.float64)
    affine = np.full((len(pixels), 4, 2), np.nan)
    usable = (weights > 0).sum(1) >= 6
    for _ in range(rounds):
        normal = np.einsum("pi,np,pj->nij", homogeneous, current, homogeneous, optimize=True)
        right = np.einsum("pi,np,npd->nid", homogeneous, current, pixels, optimize=True)
        # A hair of damping keeps flat or tiny point sets solvable.
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(4)
        affine[usable] = np.linalg.solve(normal[usable], right[usable])
        distance = np.linalg.norm(np.einsum("pi,nid->npd", homogeneous, affine) - pixels, axis=2)
        current = weights * _cauchy(distance, weights)
    return _rigid(affine, focal.astype(np.float64), principal_point.astype(np.float64))


def _cauchy(distance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Robust weights [N,P] from distances, the scale of each image being its median distance over observed points."""
    masked = np.where(weights > 0, distance, np.nan)
    scale = np.full(len(distance), np.nan)
    some = (weights > 0).any(1)
    scale[some] = np.nanmedian(masked[some], axis=1)
    scale = 1.5 * np.maximum(np.nan_to_num(scale, nan=1.0), 1e-6)[:, None]
    return 1.0 / (1.0 + (np.nan_to_num(distance, nan=1e9) / scale) ** 2) ** 2


def _rigid(affine: np.ndarray, focal: np.ndarray, principal_point: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest scaled rotation of each affine camera [N,4,2], and the depth at which the focal gives its scale."""
    ok = np.isfinite(affine).all(axis=(1, 2))
    rotation = np.full((len(affine), 3, 3), np.nan)
    translation = np.full((len(affine), 3), np.nan)
    if not ok.any():
        return rotation, translation
    rows = affine[ok, :3].transpose(0, 2, 1)
    u, s, vt = np.linalg.svd(rows, full_matrices=False)
    two = u @ vt
    rotation[ok] = np.concatenate([two, np.cross(two[:, 0], two[:, 1])[:, None]], axis=1)
    depth = focal[ok] / np.maximum(s.mean(1), 1e-9)
    lateral = (affine[ok, 3] - principal_point[ok]) * (depth / focal[ok])[:, None]
    translation[ok] = np.concatenate([lateral, depth[:, None]], axis=1)
    return rotation, translation
