"""Turning a height picture into tilted normals."""

from __future__ import annotations

import jax
import jax.numpy as jnp

_STEEPEST = 0.9


def with_relief(normal: jax.Array, position: jax.Array, height: jax.Array, where: jax.Array) -> jax.Array:
    """Tilt normals [3,H,W] by the slope that `height` [H,W] m has over `position` [3,H,W] m, in pixels `where` [H,W].

    Differences between neighbouring pixels give the surface's gradient (Mikkelsen 2010, Bump Mapping Unparametrized
    Surfaces on the GPU). Across outlines, where positions jump, nothing is tilted. Returns unit normals.
    """
    across, down = _next(position, -1) - position, _next(position, -2) - position
    first, second = _cross(down, normal), _cross(normal, across)
    determinant = _dot(across, first)
    size = jnp.sqrt(_dot(across, across) * _dot(down, down))
    usable = where & _next(where, -2) & _next(where, -1) & (jnp.abs(determinant) > 0.12 * size) & (size < 1e-4)
    scale = jnp.where(usable, 1.0 / jnp.where(usable, determinant, 1.0), 0.0)
    along, below = (_next(height, -1) - height) * scale, (_next(height, -2) - height) * scale
    slope = [a * along + b * below for a, b in zip(first, second, strict=True)]
    steepness = jnp.sqrt(_dot(slope, slope) + 1e-12)
    # Slopes level off smoothly: a texel's step seen from far away must not turn a normal over.
    limit = 1.0 / (1.0 + steepness / _STEEPEST)
    tilted = [a - b * limit for a, b in zip(normal, slope, strict=True)]
    length = jax.lax.rsqrt(_dot(tilted, tilted) + 1e-12)
    return jnp.stack([a * length for a in tilted])


def _next(values: jax.Array, axis: int) -> jax.Array:
    """The value [...,H,W] of the following pixel along an axis (-2 or -1); the last pixel keeps its own."""
    axis, last = values.ndim + axis, values.shape[axis] - 1
    rest = jax.lax.slice_in_dim(values, 1, last + 1, axis=axis)
    return jnp.concatenate([rest, jax.lax.slice_in_dim(values, last, last + 1, axis=axis)], axis)


def _dot(a: list[jax.Array], b: list[jax.Array]) -> jax.Array:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _cross(a: list[jax.Array], b: list[jax.Array]) -> list[jax.Array]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
