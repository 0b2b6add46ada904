"""Flow of a mesh over the image: which surface point each pixel shows, and where that point is some frames later.

A pixel of frame t shows a point of the nearest triangle. The point stays at its place on that triangle (barycentric
coordinates on the surface, not in the image) while the mesh moves, so that its flow to frame t+h is known exactly,
for any topology and any camera whose vertices are given in pixels and depth.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import Projected
from flowface_jax.synthesis.rasteriser import Fragments, rasterise, visible_vertices

_LEAST_AREA = 1e-6
"""px²: triangles smaller than this in the image have no usable barycentrics; their centroid stands for the pixel."""
_SAME_SURFACE = 2e-3
"""Of the mesh's extent in depth: closer than this to what is seen is seen."""


@dataclasses.dataclass(frozen=True, eq=False)
class ScreenMesh:
    """A checked, projected mesh over F frames. Host arrays.

    homogeneous: [F,V,3] float32, (w·x, w·y, w) with x, y px from the image's middle; w is the depth for a camera with
    perspective and 1 without, so that a surface point is always the same mixture of its triangle's corners.
    triangles: [T,3] int32. valid: [F]. projected: as given. perspective: whether w is depth.
    """

    homogeneous: np.ndarray
    triangles: np.ndarray
    valid: np.ndarray
    projected: Projected
    perspective: bool

    @property
    def frame_count(self) -> int:
        return self.homogeneous.shape[0]

    @property
    def middle(self) -> np.ndarray:
        """The image's middle [2] px."""
        return np.asarray(self.projected.size, np.float32) / 2


def screen_mesh(
    projected: Projected, triangles: np.ndarray, valid: np.ndarray, perspective: bool = True, name: str = "the mesh"
) -> ScreenMesh:
    """Check a projected mesh and make it ready.

    projected: F frames of V vertices. triangles: [T,3]. valid: [F] bool; other frames may hold anything. perspective:
    False for orthographic and weak-perspective cameras, whose depth may have any sign. name: for errors. Raises
    InputError for wrong shapes, triangles beyond the vertices, and valid frames with NaN or, with perspective, with
    vertices that are not in front of the camera.
    """
    pixels, depth = np.asarray(projected.pixels, np.float32), np.asarray(projected.depth, np.float32)
    triangles, valid = np.asarray(triangles), np.asarray(valid)
    if pixels.ndim != 3 or pixels.shape[2] != 2 or depth.shape != pixels.shape[:2]:
        raise InputError(f"{name}: expected pixels [F,V,2] and depth [F,V], found {pixels.shape} and {depth.shape}")
    if valid.shape != pixels.shape[:1] or valid.dtype != bool:
        raise InputError(
            f"{name}: expected one true or false for each of {len(pixels)} frames, found {valid.dtype} {valid.shape}"
        )
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not len(triangles):
        raise InputError(f"{name}: expected triangles [T,3], found {triangles.shape}")
    if not 0 <= triangles.min() <= triangles.max() < pixels.shape[1]:
        raise InputError(f"{name}: expected triangles of vertices 0 to {pixels.shape[1] - 1}")
    finite = np.isfinite(pixels).all((1, 2)) & np.isfinite(depth).all(1)
    _check_frames(name, valid & ~finite, "has vertices that are not finite")
    if perspective:
        with np.errstate(invalid="ignore"):
            behind = valid & (depth <= 0).any(1)
        _check_frames(
            name, behind, "has vertices that are not in front of the camera (if it has no perspective, say so)"
        )
    weight = np.where(valid[:, None], depth, 1) if perspective else np.ones_like(depth)
    centred = np.where(valid[:, None, None], pixels - np.asarray(projected.size, np.float32) / 2, 0)
    homogeneous = np.concatenate([centred * weight[..., None], weight[..., None]], axis=-1).astype(np.float32)
    width, height = (int(side) for side in projected.size)
    kept = Projected(pixels, depth, (width, height))
    return ScreenMesh(homogeneous, triangles.astype(np.int32), valid, kept, perspective)


def _check_frames(name: str, bad: np.ndarray, what: str) -> None:
    if bad.any():
        raise InputError(
            f"{name}: frame {int(np.flatnonzero(bad)[0])} {what}, and so {'do' if bad.sum() > 2 else 'does'} "
            f"{int(bad.sum()) - 1} more; mark such frames as invalid"
        )


def seen_triangles(mesh: ScreenMesh, frame: int) -> np.ndarray:
    """The nearest triangle at each pixel centre of a frame: [H,W] int32, −1 where the mesh is not."""
    return np.array(_fragments(mesh, frame).triangle)


def _fragments(mesh: ScreenMesh, frame: int) -> Fragments:
    projected = mesh.projected
    return rasterise(
        projected.pixels[frame],
        projected.depth[frame],
        mesh.triangles,
        projected.size,
        orthographic=not mesh.perspective,
        near=0.0,
        mixed=False,
    )


def wholly_seen(mesh: ScreenMesh, frame: int) -> np.ndarray:
    """[T] bool: triangles with all corners inside the image of a frame and hidden by nothing."""
    pixels, depth = mesh.projected.pixels[frame], mesh.projected.depth[frame]
    seen = visible_vertices(
        _fragments(mesh, frame),
        pixels,
        depth,
        mesh.triangles,
        orthographic=not mesh.perspective,
        tolerance=_SAME_SURFACE * float(np.ptp(depth)),
    )
    return np.asarray(seen)[mesh.triangles].all(1)


class Points(NamedTuple):
    """Surface points that N pixels of one frame show, and what they need to be followed through H later frames.

    triangle: [N]. triangles: [T,3]. now: [V,3] and later: [V,3,H] as `ScreenMesh.homogeneous`.
    """

    triangle: jax.Array
    triangles: jax.Array
    now: jax.Array
    later: jax.Array


def followed(mesh: ScreenMesh, frame: int, window_count: int) -> Points:
    """`Points` of a frame without their triangles, to be followed for that many frames. Frames beyond the last repeat
    it: leave their results out.
    """
    frames = np.minimum(np.arange(frame + 1, frame + 1 + window_count), mesh.frame_count - 1)
    later = np.ascontiguousarray(np.moveaxis(mesh.homogeneous[frames], 0, -1))
    nothing = jnp.zeros(0, jnp.int32)
    return Points(nothing, jnp.asarray(mesh.triangles), jnp.asarray(mesh.homogeneous[frame]), jnp.asarray(later))


def flow(points: Points, centre: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Flow [N,H] px along x and along y of the points shown at pixel centres [N,2], px from the image's middle."""
    ids = points.triangles[points.triangle]
    corners = points.now[ids]
    mix = _on_surface(centre, corners)
    start = jnp.einsum("nk,nkc->nc", mix, corners, precision="highest")
    # One gather for each corner and coordinate: compilers make one pass of it, without storing the gathered rows.
    x, y, w = (sum(mix[:, k, None] * points.later[ids[:, k], c] for k in range(3)) for c in range(3))
    return x / w - start[:, 0, None] / start[:, 2, None], y / w - start[:, 1, None] / start[:, 2, None]


def _on_surface(centre: jax.Array, corners: jax.Array) -> jax.Array:
    """Barycentric coordinates [N,3] on the surface of what pixel centres [N,2] show of triangles [N,3,3]."""
    weight = corners[..., 2]
    a, b, c = (corners[:, k, :2] / weight[:, k, None] - centre for k in range(3))
    mix = jnp.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=-1)
    area = mix.sum(-1, keepdims=True)
    sound = jnp.abs(area) > _LEAST_AREA
    # The rasteriser rounds vertices to 1/256 px: the pixel may lie outside a thin triangle by that much.
    mix = jnp.where(sound, jnp.clip(mix / jnp.where(sound, area, 1), 0, 1), 1 / 3)
    mix = mix / weight
    return mix / mix.sum(-1, keepdims=True)


def _cross(a: jax.Array, b: jax.Array) -> jax.Array:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


@jax.jit
def flow_errors(prediction: Points, truth: Points, centre: jax.Array) -> jax.Array:
    """Length [N,H] px of the difference of two meshes' flows at the same N pixels."""
    (x, y), (true_x, true_y) = flow(prediction, centre), flow(truth, centre)
    return jnp.sqrt((x - true_x) ** 2 + (y - true_y) ** 2)


@jax.jit
def region_sums(
    prediction: Points, truth: Points, centre: jax.Array, members: jax.Array, seen: jax.Array | None, reach: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Sums [R,H] of `flow_errors` over the pixels of each region, and how many pixels [R,H] these are.

    members: [N,R] 1 where a pixel belongs to a region, else 0. seen: [T,H] which true triangles are seen in the later
    frames, to leave out points that are hidden or beyond the image then; None keeps them. reach: [2] px, half the
    image.
    """
    errors = flow_errors(prediction, truth, centre)
    if seen is None:
        counts = jnp.broadcast_to(members.sum(0)[:, None], (members.shape[1], errors.shape[1]))
        return jnp.einsum("nr,nh->rh", members, errors, precision="highest"), counts
    x, y = flow(truth, centre)
    inside = (jnp.abs(x + centre[:, :1]) < reach[0]) & (jnp.abs(y + centre[:, 1:]) < reach[1])
    kept = (inside & seen[truth.triangle]).astype(jnp.float32)
    sums = jnp.einsum("nr,nh->rh", members, jnp.where(kept > 0, errors, 0), precision="highest")
    return sums, jnp.einsum("nr,nh->rh", members, kept, precision="highest")


@functools.lru_cache(maxsize=8)
def pixel_grid(size: tuple[int, int]) -> np.ndarray:
    """Centres [H·W,2] float32 of all pixels of an image (width, height), px from its middle."""
    width, height = size
    columns, rows = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    grid = np.stack([columns.ravel(), rows.ravel()], axis=-1).astype(np.float32)
    grid.flags.writeable = False
    return grid


def flow_error_map(prediction: ScreenMesh, truth: ScreenMesh, frame: int, window: int) -> np.ndarray:
    """Length [H,W] px of the difference of the flows from `frame` to `frame + window`; NaN where one mesh is not.

    Raises InputError for frames that are not valid in both, or not there.
    """
    ends = (frame, frame + window)
    if window < 1 or frame < 0 or ends[1] >= truth.frame_count or truth.frame_count != prediction.frame_count:
        raise InputError(f"expected two frames of 0 to {truth.frame_count - 1}, found {ends[0]} and {ends[1]}")
    if not all(mesh.valid[end] for mesh in (prediction, truth) for end in ends):
        raise InputError(f"expected a result in frames {ends[0]} and {ends[1]} of both meshes, found none in one")
    shown, true = seen_triangles(prediction, frame), seen_triangles(truth, frame)
    both = (shown >= 0) & (true >= 0)
    centre = pixel_grid(truth.projected.size)[both.ravel()]
    last = slice(window - 1, window)
    sides = []
    for mesh, triangle in ((prediction, shown), (truth, true)):
        points = followed(mesh, frame, window)
        sides.append(points._replace(triangle=jnp.asarray(triangle[both]), later=points.later[..., last]))
    result = np.full(both.shape, np.nan, np.float32)
    result[both] = np.asarray(flow_errors(*sides, jnp.asarray(centre)))[:, 0]
    return result


def trajectory(mesh: ScreenMesh, frame: int, pixel: tuple[int, int], window_count: int) -> np.ndarray:
    """Where the point that a pixel (column, row) of a frame shows is in that and the later frames: [1+H,2] px.

    NaN in frames without a result or beyond the last. Raises InputError where the mesh does not cover the pixel.
    """
    column, row = pixel
    triangle = int(seen_triangles(mesh, frame)[row, column]) if mesh.valid[frame] else -1
    if triangle < 0:
        raise InputError(f"the mesh does not cover pixel {pixel} of frame {frame}; choose another one")
    points = followed(mesh, frame, window_count)._replace(triangle=jnp.asarray([triangle]))
    start = np.asarray([column + 0.5, row + 0.5])
    x, y = (np.asarray(part)[0] for part in flow(points, jnp.asarray((start - mesh.middle)[None], jnp.float32)))
    places = start + np.concatenate([np.zeros((1, 2)), np.stack([x, y], axis=-1)])
    frames = np.arange(frame, frame + 1 + window_count)
    there = (frames < mesh.frame_count) & mesh.valid[np.minimum(frames, mesh.frame_count - 1)]
    return np.where(there[:, None], places, np.nan)
