"""Which triangles of a projected mesh a camera sees."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.rasteriser import rasterise

_RASTER = 512


def front_facing(mesh_px: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """[T] bool: triangles [T,3], counter-clockwise from outside, whose outside the camera sees; mesh_px [V,2] px."""
    a, b, c = (np.asarray(mesh_px, np.float64)[triangles[:, k]] for k in range(3))
    u, v = b - a, c - a
    # Image rows grow downwards, so counter-clockwise as seen is negative area.
    return u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0] < 0


def visible_triangles(
    mesh_px: np.ndarray, depth: np.ndarray, triangles: np.ndarray, tolerance: float = 0.002
) -> np.ndarray:
    """[T] bool: front-facing triangles that no other front-facing triangle hides.

    mesh_px: [V,2] px. depth: [V] m along the camera axis, > 0 in front. tolerance: m that a triangle may lie behind the
    nearest surface. A triangle is seen if it is the nearest at any pixel of a picture of the whole mesh, 512 px
    large, or if its centre, between pixels, lies on the surface.
    """
    mesh_px, depth = np.asarray(mesh_px, np.float64), np.asarray(depth, np.float64)
    facing = front_facing(mesh_px, triangles) & (depth[triangles] > 0).all(1)
    if not facing.any():
        return facing
    drawn = mesh_px[triangles[facing]]
    low, high = drawn.min((0, 1)), drawn.max((0, 1))
    scale = (_RASTER - 2) / max((high - low).max(), 1e-9)
    scaled = (mesh_px - low) * scale + 1.0
    nearest, hit = _rendered(scaled.astype(np.float32), depth.astype(np.float32), np.asarray(triangles, np.int32))
    centre = np.clip(scaled[triangles[facing]].mean(1).astype(int), 0, _RASTER - 1)
    result = np.asarray(hit) & facing
    # The nearest corner is compared, so that steep triangles at the silhouette do not hide themselves.
    on_surface = depth[triangles[facing]].min(1) <= np.asarray(nearest)[centre[:, 1], centre[:, 0]] + tolerance
    result[facing] |= on_surface
    return result


@jax.jit
def _rendered(pixels: jax.Array, depth: jax.Array, triangles: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Depth picture, and which triangles [T] are nearest anywhere in it."""
    fragments = rasterise(pixels, depth, triangles, (_RASTER, _RASTER), cull=True)
    count = triangles.shape[0]
    hit = jnp.zeros(count, bool).at[jnp.where(fragments.seen, fragments.triangle, count)].set(True, mode="drop")
    return fragments.depth, hit
