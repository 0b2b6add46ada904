"""Surfaces given by a grid of points, closed or open, made into parts."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.scene import Material, Part

HIDDEN = (0.0, 0.0, -50.0)
"""Where every vertex of an absent piece goes, m: one point far behind, so that its triangles have no area."""


def unit(vectors: jax.Array) -> jax.Array:
    """Vectors [...,D] scaled to length 1; those without a length stay near 0."""
    return vectors * jax.lax.rsqrt(jnp.sum(vectors * vectors, -1, keepdims=True) + 1e-12)


def grid_triangles(rows: int, columns: int, closed: bool) -> np.ndarray:
    """Triangles [T,3] int32 of a grid numbered row by row, the last column joined to the first where closed.

    A triangle's outside is where (along the columns) × (along the rows) points.
    """
    spans = columns if closed else columns - 1
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(spans), indexing="ij")
    here, right = i * columns + j, i * columns + (j + 1) % columns
    below, across = here + columns, right + columns
    first = np.stack([here, right, below], -1).reshape(-1, 3)
    second = np.stack([right, across, below], -1).reshape(-1, 3)
    return np.concatenate([first, second]).astype(np.int32)


def _differences(points: jax.Array, axis: int, closed: bool) -> jax.Array:
    """Central differences along an axis, one-sided at open ends."""
    if closed:
        return jnp.roll(points, -1, axis) - jnp.roll(points, 1, axis)
    size = points.shape[axis]
    ahead = jax.lax.slice_in_dim(points, 1, size, axis=axis)
    behind = jax.lax.slice_in_dim(points, 0, size - 1, axis=axis)
    last = jax.lax.slice_in_dim(points, size - 1, size, axis=axis)
    first = jax.lax.slice_in_dim(points, 0, 1, axis=axis)
    return jnp.concatenate([ahead, last], axis) - jnp.concatenate([first, behind], axis)


def grid_normals(points: jax.Array, closed: bool) -> jax.Array:
    """Unit normals [R,C,3] of a grid [R,C,3], outside as in `grid_triangles`."""
    return unit(jnp.cross(_differences(points, 1, closed), _differences(points, 0, False)) * 1e4)


def grid_part(
    points: jax.Array,
    colour: jax.Array,
    material: Material,
    *,
    closed: bool,
    present: jax.Array | bool = True,
    normals: jax.Array | None = None,
    tangents: jax.Array | None = None,
    detail: jax.Array | None = None,
    openness: jax.Array | float = 1.0,
) -> Part:
    """A part of one grid [R,C,3] m of points; colour [3] or [R,C,3]; detail defaults to the position.

    Where not present, all vertices lie at one point and no triangle is seen.
    """
    rows, columns = points.shape[:2]
    shape = (rows, columns, 3)
    normals = grid_normals(points, closed) if normals is None else normals
    flat = lambda values: jnp.broadcast_to(values, shape).reshape(-1, 3).astype(jnp.float32)
    triangles = grid_triangles(rows, columns, closed)
    return Part(
        vertices=jnp.where(present, flat(points), jnp.asarray(HIDDEN, jnp.float32)),
        normals=flat(normals),
        tangents=flat(jnp.zeros(3) if tangents is None else tangents),
        detail=flat(points if detail is None else detail),
        colour=flat(colour),
        openness=jnp.broadcast_to(jnp.asarray(openness, jnp.float32), (rows, columns)).reshape(-1),
        triangles=jnp.asarray(triangles),
        material=jnp.full(len(triangles), int(material), jnp.int32),
    )


def tubes(paths: jax.Array, across: jax.Array, depth: jax.Array, sides: int, closed: bool) -> jax.Array:
    """Grids of points around paths: [L,N,3] with half-axes across and depth [L,N,3] → [L,N,sides,3].

    The cross-section is an ellipse; rows run along the path, columns around it.
    """
    angles = jnp.arange(sides) * (2 * np.pi / sides)
    if not closed:
        angles = jnp.linspace(0, 2 * np.pi, sides)
    circle_x, circle_y = jnp.cos(angles)[:, None], jnp.sin(angles)[:, None]
    return paths[..., None, :] + circle_x * across[..., None, :] + circle_y * depth[..., None, :]
