"""From a picture and a posed head to the atlas: where each texel of skin lies in the image, and how well it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import HeadModel
from flowface_jax.synthesis.rasteriser import Fragments, interpolate, rasterise, vertex_normals

NOT_SKIN = (
    "eyeballs",
    "teeth",
    "tongue",
    "mouth_interior",
    "gums_and_tongue",
    "mouth_socket",
    "eye_sockets",
    "lacrimal_fluid",
    "eye_occlusion",
    "eye_blend",
    "eyelashes",
)
"""Regions whose triangles have no place in a skin texture; a head names some of them."""

SHEER = ("lacrimal_fluid", "eye_occlusion", "eye_blend", "eyelashes")
"""Regions that hide nothing: films and lashes that some heads model before the lids."""

MIN_COSINE = 0.22
"""Surfaces seen more obliquely than this are left out: a small error of the fit would move them off the face."""
COSINE_POWER = 3.0
SILHOUETTE_MARGIN = 0.012
"""Share of the head's image width next to a silhouette that is not trusted."""
OPENING_MARGIN = 0.006
"""The same next to eyes and mouth, whose colours must not stain lids and lips."""
RIM = (0.003, 0.016)
"""Distances from the edge of what is seen, as shares of the atlas's side, over which trust rises from 0 to 1."""
DEPTH_STEP = 0.015
"""m between neighbouring pixels that make a silhouette inside the head (nose before cheek)."""
DEPTH_TOLERANCE = 0.006
"""m that a texel may lie behind the nearest surface and still count as seen."""
LARGEST_DENSITY = 1.5
"""Pixels per texel above which the picture is made smaller first, so that fine patterns do not alias."""


@dataclass(frozen=True)
class TexelMap:
    """Which point of the head's skin each texel of an atlas of side A shows.

    fragments: triangle and barycentrics of every texel. triangles: [S,3] of the skin. normal: [A,A,3] float32 unit
    normals of the neutral mean head, 0 off the skin.
    """

    fragments: Fragments
    triangles: jax.Array
    normal: np.ndarray

    @property
    def side(self) -> int:
        """Texels along the atlas, A."""
        return self.fragments.triangle.shape[-1]

    @property
    def skin(self) -> np.ndarray:
        """[A,A] bool: where the atlas holds skin."""
        return np.asarray(self.fragments.triangle) >= 0

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Per-vertex values [V,D] over the atlas: [A,A,D] float32, 0 off the skin."""
        return np.asarray(_interpolate(self.fragments, self.triangles, jnp.asarray(values, jnp.float32)))


_interpolate = jax.jit(interpolate)


@dataclass(frozen=True)
class PosedHead:
    """A head as one camera sees it: pixels [V,2], depth [V] m, facing [V] cosine between normal and viewing ray."""

    pixels: np.ndarray
    depth: np.ndarray
    facing: np.ndarray


def skin_triangles(head: HeadModel) -> np.ndarray:
    """[T] bool: triangles of the outer skin, no corner of which lies in the eyes or in the mouth."""
    return ~_touching(head, NOT_SKIN)


def solid_triangles(head: HeadModel) -> np.ndarray:
    """[T] bool: triangles that hide what lies behind them."""
    return ~_touching(head, SHEER)


def _touching(head: HeadModel, names: tuple[str, ...]) -> np.ndarray:
    inside = np.zeros(head.vertex_count, bool)
    for name in names:
        if name in head.regions:
            inside |= np.asarray(head.regions[name])
    return inside[np.asarray(head.triangles)].any(1)


def make_texel_map(head: HeadModel, side: int) -> TexelMap:
    """The skin texels of a `side` × `side` atlas. Where sheets of skin overlap in the atlas, the front one counts."""
    triangles = jnp.asarray(np.asarray(head.triangles)[skin_triangles(head)])
    pixels = jnp.stack([head.uv[:, 0], 1.0 - head.uv[:, 1]], 1) * side
    fragments = rasterise(pixels, -head.template[:, 2], triangles, (side, side), orthographic=True)
    normal = np.asarray(_interpolate(fragments, triangles, vertex_normals(head.template, head.triangles)))
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-9)
    return TexelMap(fragments, triangles, normal)


def pose_in_camera(camera_points: np.ndarray, pixels: np.ndarray, triangles: jax.Array) -> PosedHead:
    """The head whose vertices in the camera's frame are camera_points [V,3] m and in its image pixels [V,2]."""
    points = np.asarray(camera_points, np.float64)
    ray = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)
    facing = -(np.asarray(vertex_normals(jnp.asarray(camera_points), triangles)) * ray).sum(1)
    return PosedHead(np.asarray(pixels, np.float32), points[:, 2].astype(np.float32), facing.astype(np.float32))


def unwrap(
    texels: TexelMap, image: np.ndarray, posed: PosedHead, triangles: np.ndarray, skin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The picture laid out over the atlas: colour [A,A,3] sRGB uint8, and weight [A,A] float32.

    image: [H,W,3] sRGB uint8. triangles: [T,3], the solid ones of the head, which hide each other. skin:
    [T] bool. The weight is 0 where the texel is hidden, outside the image, near a silhouette or too oblique, else about
    cosine³.
    """
    laid = texels.spread(np.concatenate([posed.pixels, posed.depth[:, None], posed.facing[:, None]], 1))
    image, scale = _suited(texels, image, laid[..., :2])
    height, width = image.shape[:2]
    x, y = laid[..., 0] * scale[0], laid[..., 1] * scale[1]
    depth, facing = laid[..., 2], laid[..., 3]
    pixels = posed.pixels * scale
    nearest, trusted = _depth_image(pixels, posed.depth, triangles, skin, (width, height))
    column = np.clip(np.floor(x), 0, width - 1).astype(np.int32)
    row = np.clip(np.floor(y), 0, height - 1).astype(np.int32)
    inside = (x >= 1) & (y >= 1) & (x <= width - 1) & (y <= height - 1)
    seen = texels.skin & inside & (facing > MIN_COSINE) & (depth <= nearest[row, column] + DEPTH_TOLERANCE)
    # The weight falls to nothing smoothly towards silhouettes and oblique views, so that frames join without edges.
    oblique = np.clip((facing - MIN_COSINE) / (1 - MIN_COSINE), 0, 1) ** COSINE_POWER
    weight = np.where(seen, oblique * trusted[row, column] * _rim(seen), 0.0)
    # Pixel centres lie at half-integers here, at integers for OpenCV.
    colour = cv2.remap(image, x - 0.5, y - 0.5, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return colour, weight.astype(np.float32)


def _suited(texels: TexelMap, image: np.ndarray, laid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture, made smaller where several pixels fall on one texel (their places laid [A,A,2]), and by how much."""
    skin = texels.skin
    steps = np.linalg.norm(laid[::8, 1:] - laid[::8, :-1], axis=-1)[skin[::8, 1:] & skin[::8, :-1]]
    density = float(np.median(steps)) if steps.size else 0.0
    height, width = image.shape[:2]
    if density <= LARGEST_DENSITY:
        return image, np.ones(2, np.float32)
    scale = LARGEST_DENSITY / density
    new = (max(8, round(width * scale)), max(8, round(height * scale)))
    return cv2.resize(image, new, interpolation=cv2.INTER_AREA), np.float32([new[0] / width, new[1] / height])


def _depth_image(
    pixels: np.ndarray, depth: np.ndarray, triangles: np.ndarray, skin: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest depth [H,W] m (inf where nothing is), and trust [H,W] from 0 at the edges of the skin to 1 a margin away.

    Edges are silhouettes, and, with a smaller margin, the rims of eyes and mouth.
    """
    found = rasterise(jnp.asarray(pixels), jnp.asarray(depth), jnp.asarray(triangles), size)
    nearest, triangle = np.asarray(found.depth), np.asarray(found.triangle)
    covered = triangle >= 0
    beyond = 10.0 + (nearest[covered].max() if covered.any() else 0.0)
    filled = np.where(covered, nearest, beyond).astype(np.float32)
    kernel = np.ones((3, 3), np.uint8)
    step = cv2.dilate(filled, kernel) - cv2.erode(filled, kernel)
    width = np.ptp(pixels[:, 0])
    trust = _ramp(step < DEPTH_STEP, max(1.0, SILHOUETTE_MARGIN * width), 2.0)
    opening = covered & ~skin[np.maximum(triangle, 0)]
    return nearest, trust * _ramp(~opening, max(0.5, OPENING_MARGIN * width), 1.0)


def _rim(seen: np.ndarray) -> np.ndarray:
    """[A,A]: 0 at the edge of what is seen on the atlas, rising to 1 inside."""
    distance = cv2.distanceTransform(np.pad(seen, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1] / len(seen)
    return np.clip((distance - RIM[0]) / (RIM[1] - RIM[0]), 0, 1)


def _ramp(sound: np.ndarray, margin: float, length: float) -> np.ndarray:
    """0 within `margin` px of what is not sound [H,W], rising to 1 over `length` margins more."""
    distance = cv2.distanceTransform(sound.astype(np.uint8), cv2.DIST_L2, 5)
    # A picture without an edge has no finite distance.
    return np.clip((np.minimum(distance, 1e6) - margin) / (length * margin), 0, 1)
