"""Pictures of scans from around the face, and the way back from a pixel to the surface."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from flowface_jax.training.datasets.rendering import BACKDROP, looked_up, seen_triangles
from flowface_jax.training.registration.scans import Scan

DISTANCE = 1.2
"""Metres from the camera to the face."""
SPAN = 0.30
"""Metres at the face that a view shows."""
_GRAZING = 0.2
"""Cosine between surface and line of sight, below which a pixel says too little about where on the surface it is."""
_STEP = 0.006
"""Metres of depth between neighbouring pixels that are an edge of the surface."""
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Camera:
    """A square pinhole picture. rotation [3,3] and translation [3] m: world to camera. focal, side: px."""

    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    side: int

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels [N,2] (corner origin) and depths [N] m of points [N,3] m."""
        seen = points @ self.rotation.T + self.translation
        return self.focal * seen[:, :2] / seen[:, 2:] + self.side / 2, seen[:, 2]

    @property
    def centre(self) -> np.ndarray:
        return -self.rotation.T @ self.translation

    def rays(self, pixels: np.ndarray) -> np.ndarray:
        """Directions [N,3] in the world, of depth 1."""
        plane = (pixels - self.side / 2) / self.focal
        return np.concatenate([plane, np.ones((len(plane), 1))], 1) @ self.rotation


def camera_at(
    centre: np.ndarray, side: int, beside: float = 0.0, above: float = 0.0, span: float = SPAN, roll: int = 0
) -> Camera:
    """A camera that looks at `centre` [3] m from so many degrees beside and above the frontal view of an upright head.

    span: m that the picture shows there. roll: quarter turns of the picture.
    """
    a, b = np.radians([beside, above])
    direction = np.asarray([np.sin(a) * np.cos(b), np.sin(b), np.cos(a) * np.cos(b)])
    up = np.asarray([0.0, 1.0, 0.0]) if abs(direction[1]) < 0.99 else np.asarray([0.0, 0.0, -np.sign(direction[1])])
    right = np.cross(-direction, up)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(-direction, right), -direction])
    quarter = np.asarray([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    rotation = np.linalg.matrix_power(quarter, roll % 4) @ rotation
    distance = DISTANCE * span / SPAN
    return Camera(rotation, -rotation @ (centre + distance * direction), side * distance / span, side)


@dataclass(frozen=True)
class View:
    """What a camera sees of a scan. image: [H,W,3] uint8. triangle: [H,W] int, −1 for none. depth: [H,W] m."""

    camera: Camera
    scan: Scan
    image: np.ndarray
    triangle: np.ndarray
    depth: np.ndarray

    def lift(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points [N,3] m of the surface under pixels [N,2] and how squarely [N] it is seen there (cosine; 0 where the
        pixel shows nothing, an edge, or a surface seen at a glancing angle; the point is then NaN).
        """
        side = self.camera.side
        inside = np.isfinite(pixels).all(1) & (pixels >= 1).all(1) & (pixels < side - 1).all(1)
        columns, rows = np.where(inside[:, None], np.nan_to_num(pixels), 1).astype(np.int64).T
        triangle = self.triangle[rows, columns]
        ok = inside & (triangle >= 0) & ~_edges(self.depth)[rows, columns]
        corners = self.scan.vertices[self.scan.triangles[np.maximum(triangle, 0)]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
        ray, origin = self.camera.rays(np.where(inside[:, None], pixels, 1.0)), self.camera.centre
        along = np.einsum("nd,nd->n", normal, ray)
        cosine = -along / np.linalg.norm(ray, axis=1)
        ok &= cosine > _GRAZING
        depth = np.einsum("nd,nd->n", normal, corners[:, 0] - origin) / np.where(ok, along, 1.0)
        points = origin + depth[:, None] * ray
        return np.where(ok[:, None], points, np.nan), np.where(ok, cosine, 0.0)


def look(scan: Scan, camera: Camera) -> View:
    """The scan, in metres, as the camera sees it: outer sides only, light as in its texture.

    A scan without any colour is shown as grey plaster, lit from the camera.
    """
    pixels, depth = camera.project(scan.vertices)
    triangle, mix = seen_triangles(pixels, depth, scan.triangles, (camera.side,) * 2, cull=True)
    corner_depth = depth[scan.triangles[np.maximum(triangle, 0)]]
    seen_depth = np.where(triangle >= 0, (corner_depth * mix).sum(-1), np.inf)
    fine = camera.side * _SUPERSAMPLING
    hit, weights = seen_triangles(pixels * _SUPERSAMPLING, depth, scan.triangles, (fine, fine), cull=True)
    image = cv2.resize(_coloured(scan, camera, hit, weights), (camera.side,) * 2, interpolation=cv2.INTER_AREA)
    return View(camera, scan, image, triangle, seen_depth)


def _coloured(scan: Scan, camera: Camera, hit: np.ndarray, mix: np.ndarray) -> np.ndarray:
    image = np.full((*hit.shape, 3), BACKDROP, np.uint8)
    rows, columns = np.nonzero(hit >= 0)
    triangles, weights = hit[rows, columns], mix[rows, columns]
    corners = scan.triangles[triangles]
    if scan.colours is not None:
        colours = np.einsum("nk,nkc->nc", weights, scan.colours[corners].astype(np.float32))
    else:
        normals = np.einsum("nk,nkc->nc", weights, scan.normals[corners])
        colours = np.repeat((60 + 160 * np.clip(-normals @ camera.rotation[2], 0, 1))[:, None], 3, 1)
    image[rows, columns] = np.clip(colours, 0, 255).astype(np.uint8)
    for number, texture in enumerate(scan.textures):
        own = scan.texture_ids[triangles] == number
        uv = np.einsum("nk,nkd->nd", weights[own], scan.uv[triangles[own]])
        image[rows[own], columns[own]] = looked_up(texture, uv)
    return image


def _edges(depth: np.ndarray) -> np.ndarray:
    """[H,W] bool: a neighbouring pixel is much nearer or farther, or shows nothing."""
    finite = np.where(np.isfinite(depth), depth, 1e3).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    return cv2.dilate(finite, kernel) - cv2.erode(finite, kernel) > _STEP
