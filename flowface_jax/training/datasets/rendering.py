"""Pictures of textured scans from random directions, and the outline of any surface in a crop."""

from __future__ import annotations

import cv2
import jax.numpy as jnp
import numpy as np

from flowface_jax.cameras.calibration import Calibration, ideal_calibration
from flowface_jax.cameras.model import make_cameras
from flowface_jax.synthesis.rasteriser import rasterise
from flowface_jax.training.datasets.textured import TexturedScan

SIDE = 1024
"""Px of the pictures that are made of scans."""
FIELD_OF_VIEW = (8.0, 60.0)
"""Degrees, from a telephoto portrait to a selfie; tangents are drawn evenly on the logarithmic scale."""
FACE_SPAN, FACE_SHARE = 0.2, 0.45
"""Metres of the face's height, and the share of the picture that it spans."""
AIM = 0.02
"""Metres by which the camera's axis misses the middle of the face."""
BACKDROP = 24
"""Grey level behind a scan."""
_SUPERSAMPLING = 2
_VERTEX_STEP, _TRIANGLE_STEP = 1 << 14, 1 << 15


def random_view(
    random: np.random.Generator, rotation: np.ndarray, horizontal_limit: float, vertical_limit: float
) -> Calibration:
    """One camera that looks at a face at the world's origin, metres; rotation: [3,3] of the head in the world.

    Directions are even in both angles, up to the limits in degrees from the frontal view; the camera stands upright
    with respect to the head (paper, appendix D: random focal lengths and directions).
    """
    beside = np.radians(random.uniform(-horizontal_limit, horizontal_limit))
    above = np.radians(random.uniform(-vertical_limit, vertical_limit))
    low, high = np.log(np.tan(np.radians(FIELD_OF_VIEW) / 2))
    half_field = np.exp(random.uniform(low, high))
    aim = random.uniform(-AIM, AIM, 3)
    direction = np.asarray([np.sin(beside) * np.cos(above), np.sin(above), np.cos(beside) * np.cos(above)])
    forward = -direction
    right = np.cross(forward, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    to_camera = np.stack([right, np.cross(forward, right), forward])
    position = direction * FACE_SPAN / (2 * FACE_SHARE * half_field) + aim
    world_to_camera = to_camera @ rotation.T
    cameras = make_cameras(
        focal=[SIDE / (2 * half_field)],
        principal_point=[[SIDE / 2, SIDE / 2]],
        rotation=[world_to_camera],
        translation=[-to_camera @ position],
        image_size=[[SIDE, SIDE]],
    )
    return ideal_calibration(cameras, "synthetic view")


def render_scan(scan: TexturedScan, calibration: Calibration) -> np.ndarray:
    """The scan, metres, as its one camera sees it: [H,W,3] uint8, before a dark backdrop.

    The light is the texture's own. Only outer sides are shown, so that an open scan does not show its inside.
    """
    cameras = calibration.cameras
    width, height = (int(side) * _SUPERSAMPLING for side in np.asarray(cameras.image_size[0]))
    world = np.asarray(cameras.to_camera(jnp.asarray(scan.vertices, jnp.float32)))[0]
    pixels = np.asarray(cameras.project(jnp.asarray(scan.vertices, jnp.float32)))[0] * _SUPERSAMPLING
    # Reversed corners turn a triangle over; the texture coordinates are then in reversed order too.
    order = slice(None, None, 1 if faces_outward(scan.vertices, scan.triangles) else -1)
    hit, mix = seen_triangles(pixels, world[:, 2], scan.triangles[:, order], (width, height), cull=True)
    corner_uv = scan.uv[:, order]
    image = np.full((height, width, 3), BACKDROP, np.uint8)
    for number, texture in enumerate(scan.textures):
        rows, columns = np.nonzero((hit >= 0) & (scan.texture_ids[hit] == number))
        uv = np.einsum("nk,nkd->nd", mix[rows, columns], corner_uv[hit[rows, columns]])
        image[rows, columns] = looked_up(texture, uv)
    return cv2.resize(image, (width // _SUPERSAMPLING, height // _SUPERSAMPLING), interpolation=cv2.INTER_AREA)


def silhouette(pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray, side: int) -> np.ndarray:
    """Where a surface is seen in a square crop: [side,side] uint8, 255 or 0.

    pixels: [V,2] px of the crop, NaN where unusable. depth: [V], any unit, positive before the camera.
    """
    hit, _ = seen_triangles(pixels, depth, triangles, (side, side), mixed=False)
    return np.where(hit >= 0, 255, 0).astype(np.uint8)


def seen_triangles(
    pixels: np.ndarray,
    depth: np.ndarray,
    triangles: np.ndarray,
    size: tuple[int, int],
    cull: bool = False,
    mixed: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """The triangle [H,W] that each pixel shows, −1 for none, and its barycentrics [H,W,3].

    Meshes are filled up to whole steps of vertices and triangles: scans differ in size, and every size is compiled.
    """
    usable = depth[np.isfinite(depth) & (depth > 0)]
    unit = np.median(usable) if usable.size else 1.0
    count = -len(pixels) % _VERTEX_STEP
    positions = np.pad(pixels.astype(np.float32), ((0, count), (0, 0)), constant_values=np.nan)
    distances = np.pad((depth / unit).astype(np.float32), (0, count), constant_values=np.nan)
    filled = np.pad(triangles.astype(np.int32), ((0, -len(triangles) % _TRIANGLE_STEP), (0, 0)))
    fragments = rasterise(positions, distances, filled, size, cull=cull, mixed=mixed)
    return np.asarray(fragments.triangle), np.asarray(fragments.barycentric)


def faces_outward(vertices: np.ndarray, triangles: np.ndarray) -> bool:
    """Whether the triangles of a scan run counter-clockwise as seen from outside, on the whole."""
    a, b, c = (vertices[triangles[:, corner]] for corner in range(3))
    away = np.einsum("td,td->t", np.cross(b - a, c - a), (a + b + c) / 3 - vertices.mean(0)).sum()
    return bool(away >= 0)


def looked_up(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear colours [N,3] uint8 at texture coordinates [N,2], v up."""
    height, width = texture.shape[:2]
    # OpenCV counts from the centre of the first texel.
    places = np.stack([uv[:, 0] * width - 0.5, (1 - uv[:, 1]) * height - 0.5], -1).astype(np.float32)
    if not len(places):
        return np.zeros((0, 3), np.uint8)
    # In rows of limited length, which is all that remap takes.
    row = 4096
    padded = np.pad(places, ((0, -len(places) % row), (0, 0))).reshape(-1, row, 2)
    colours = cv2.remap(texture, padded, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colours.reshape(-1, 3)[: len(places)]
