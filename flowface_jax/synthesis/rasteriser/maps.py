"""Pictures of a mesh's geometry, and which of its vertices are seen."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.synthesis.rasteriser.attributes import interpolate
from flowface_jax.synthesis.rasteriser.fragments import Fragments, over_batch, rasterise
from flowface_jax.synthesis.rasteriser.normals import vertex_normals

ON_SURFACE = 5e-4
"""Metres: closer than this to what is seen is seen. Lips and lids that touch are farther apart than this."""


def project(vertices: jax.Array, focal: jax.Array, principal_point: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Pixels [...,V,2] and depths [...,V] m of vertices [...,V,3] m in the camera's frame: an ideal pinhole.

    focal: px, one number or [2]. principal_point: [2] px. Vertices behind the camera get places too; `rasterise` leaves
    them out.
    """
    vertices = jnp.asarray(vertices, jnp.float32)
    if vertices.ndim < 2 or vertices.shape[-1] != 3:
        raise InputError(f"vertices: expected [...,V,3], found {list(vertices.shape)}")
    depth = vertices[..., 2]
    safe = jnp.where(depth == 0, 1.0, depth)[..., None]
    return vertices[..., :2] / safe * jnp.asarray(focal) + jnp.asarray(principal_point), depth


def depth_map(
    vertices: jax.Array,
    triangles: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    size: tuple[int, int],
    *,
    cull: bool = False,
) -> jax.Array:
    """Depth [...,H,W] m along the camera's axis, infinite where nothing is, of vertices [...,V,3] m in its frame.

    Differentiable nowhere; for gradients take `barycentrics(...).depth`. Raises InputError as `rasterise`.
    """
    pixels, depth = project(vertices, focal, principal_point)
    return rasterise(pixels, depth, triangles, size, cull=cull).depth


def normal_map(
    vertices: jax.Array,
    triangles: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    size: tuple[int, int],
    *,
    cull: bool = False,
) -> jax.Array:
    """Smooth unit normals [...,H,W,3] in the camera's frame (x right, y down, z forward), 0 where nothing is.

    vertices: [...,V,3] m in the camera's frame. Raises InputError as `rasterise`.
    """
    pixels, depth = project(vertices, focal, principal_point)
    fragments = rasterise(pixels, depth, triangles, size, cull=cull)
    normals = interpolate(fragments, triangles, vertex_normals(vertices, triangles))
    return normals / jnp.maximum(jnp.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def visible_vertices(
    fragments: Fragments,
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    *,
    orthographic: bool = False,
    tolerance: float = ON_SURFACE,
) -> jax.Array:
    """[...,V] bool: vertices of the mesh that `visible_points` finds, or that are corners of what is shown beside them.

    pixels: [...,V,2] px, depth: [...,V] m and triangles: [T,3] as given to `rasterise`.
    """
    corners = jnp.arange(jnp.shape(depth)[-1])
    return _seen(fragments, pixels, depth, triangles, pixels, depth, corners, orthographic, tolerance)


def visible_points(
    fragments: Fragments,
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    point_pixels: jax.Array,
    point_depth: jax.Array,
    *,
    orthographic: bool = False,
    tolerance: float = ON_SURFACE,
) -> jax.Array:
    """[...,P] bool: points inside the picture that lie on the surface which the fragments show.

    pixels: [...,V,2] px, depth: [...,V] m and triangles: [T,3] as given to `rasterise`. point_pixels: [...,P,2] px and
    point_depth: [...,P] m. A point is seen if one of the four pixels round it shows a triangle whose plane passes
    within `tolerance` m of it. Next to the edge of something nearer the answer is thus as sharp as the picture, one
    pixel.
    """
    corners = jnp.full(jnp.shape(point_depth)[-1], -1)
    return _seen(fragments, pixels, depth, triangles, point_pixels, point_depth, corners, orthographic, tolerance)


def _seen(
    fragments: Fragments,
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    point_pixels: jax.Array,
    point_depth: jax.Array,
    vertex: jax.Array,
    orthographic: bool,
    tolerance: float,
) -> jax.Array:
    """vertex: [P] the mesh's vertex that each point is, −1 where it is none."""
    arrays = tuple(jnp.asarray(array) for array in (pixels, depth, point_pixels, point_depth))
    triangles = jnp.asarray(triangles)
    if not triangles.shape[0] or not arrays[0].shape[-2] or not arrays[2].shape[-2]:
        return jnp.zeros(arrays[3].shape, bool)

    def one(triangle: jax.Array, *arrays: jax.Array) -> jax.Array:
        return _visible(triangle, *arrays, triangles, vertex, tolerance, orthographic=orthographic)

    return over_batch(one, fragments.triangle.ndim - 2)(fragments.triangle, *arrays)


@functools.partial(jax.jit, static_argnames="orthographic")
def _visible(
    triangle: jax.Array,
    pixels: jax.Array,
    depth: jax.Array,
    point_pixels: jax.Array,
    point_depth: jax.Array,
    triangles: jax.Array,
    vertex: jax.Array,
    tolerance: float,
    *,
    orthographic: bool,
) -> jax.Array:
    """One picture: [P]."""
    height, width = triangle.shape
    size = jnp.asarray([width, height])
    inside = ((point_pixels >= 0) & (point_pixels < size)).all(-1) & jnp.isfinite(point_depth)
    first = jnp.floor(jnp.where(inside[:, None], point_pixels, 0.0) - 0.5).astype(jnp.int32)
    seen = jnp.zeros(point_depth.shape, bool)
    for shift in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = (jnp.clip(first[:, k] + shift[k], 0, size[k] - 1) for k in range(2))
        found = triangle[row, column]
        corners = triangles[jnp.maximum(found, 0)]
        plane = _depth_at(point_pixels, pixels[corners], depth[corners], orthographic)
        near = jnp.abs(plane - point_depth) <= tolerance
        seen |= (found >= 0) & ((corners == vertex[:, None]).any(-1) | near)
    return seen & inside & (True if orthographic else point_depth > 0)


def _depth_at(point: jax.Array, corners: jax.Array, depth: jax.Array, orthographic: bool) -> jax.Array:
    """Depth [N] of the planes of triangles (corners [N,3,2] px, depths [N,3] m) at points [N,2] px; NaN if edge-on."""
    a, b, c = (corners[:, k] - point for k in range(3))
    pairs = ((b, c), (c, a), (a, b))
    mix = jnp.stack([p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] for p, q in pairs], axis=-1)
    mix = mix / mix.sum(-1, keepdims=True)
    return (mix * depth).sum(-1) if orthographic else 1.0 / (mix / depth).sum(-1)
