"""A small shaded picture of a mesh: painter's algorithm, one light at the camera."""

from __future__ import annotations

import cv2
import numpy as np

SKIN = (0.80, 0.78, 0.76)
_LIGHT = np.asarray([-0.30, -0.45, -0.84])
_AMBIENT = 0.25
_SUBPIXEL_BITS = 4


def shade(
    vertices: np.ndarray,
    triangles: np.ndarray,
    focal: float,
    principal_point: np.ndarray,
    size: tuple[int, int],
    colours: np.ndarray | None = None,
    background: tuple[int, int, int] | np.ndarray = (255, 255, 255),
    supersampling: int = 2,
) -> np.ndarray:
    """A picture [H,W,3] RGB uint8 of vertices [V,3] m in the camera's frame.

    triangles: [T,3], counter-clockwise from outside. focal px, principal_point [2] px and size (width, height) px as in
    `Cameras`. colours: [V,3] RGB in [0,1] per vertex, or None for plain plaster. background: a colour or a picture of
    that size. Triangles are painted back to front in one colour each, so meshes that intersect show it; triangles
    behind the camera or turned away are left out.
    """
    vertices = np.asarray(vertices, np.float64)
    triangles = np.asarray(triangles)
    width, height = size
    s = supersampling
    canvas = np.empty((height * s, width * s, 3), np.uint8)
    canvas[:] = background if np.ndim(background) == 1 else cv2.resize(np.asarray(background), (width * s, height * s))
    chosen, colour = _lit_triangles(vertices, triangles, colours)
    if len(chosen):
        corners = vertices[triangles[chosen]]
        pixels = (corners[..., :2] / corners[..., 2:] * focal + np.asarray(principal_point)) * s - 0.5
        # Fixed-point coordinates beyond this overflow in the painter; such triangles lie far outside the picture.
        near = (np.abs(pixels) < 2**24).all((1, 2))
        order = np.argsort(-corners[..., 2].mean(1), kind="stable")
        fixed = np.round(np.where(near[:, None, None], pixels, 0) * 2**_SUBPIXEL_BITS).astype(np.int32)
        paint = colour.tolist()
        for index in order[near[order]]:
            cv2.fillConvexPoly(canvas, fixed[index], paint[index], shift=_SUBPIXEL_BITS)
    return canvas if s == 1 else cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)


def _lit_triangles(
    vertices: np.ndarray, triangles: np.ndarray, colours: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Indices [N] of triangles that face the camera from in front of it, and their lit colours [N,3] in 0..255."""
    corners = vertices[triangles]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = (flat * corners.mean(1)).sum(1) < 0
    chosen = np.flatnonzero(facing & (corners[..., 2] > 1e-6).all(1))
    smooth = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(smooth, triangles[:, k], flat)
    normals = smooth[triangles[chosen]].sum(1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    lambert = np.clip(normals @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    base = np.tile(SKIN, (len(chosen), 1)) if colours is None else np.asarray(colours)[triangles[chosen]].mean(1)
    return chosen, np.clip(base * (_AMBIENT + (1 - _AMBIENT) * lambert)[:, None] * 255, 0, 255)
