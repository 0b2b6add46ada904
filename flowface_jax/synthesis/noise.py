"""Smooth random pictures at several scales, from small random grids enlarged by two matrix products."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

T = TypeVar("T")


@functools.lru_cache(maxsize=64)
def _spread(grid: int, size: int) -> np.ndarray:
    """Cubic B-spline weights [size,grid] that take grid values to texel centres; rows sum to 1."""
    at = (np.arange(size) + 0.5) / size * (grid - 1)
    distance = np.abs(at[:, None] - np.arange(-1, grid + 1))
    inner = 2 / 3 - distance**2 + distance**3 / 2
    outer = np.clip(2 - distance, 0, None) ** 3 / 6
    weights = np.where(distance < 1, inner, outer)
    weights[:, 1] += weights[:, 0]
    weights[:, -2] += weights[:, -1]
    return np.ascontiguousarray(weights[:, 1:-1], np.float32)


def enlarge(grid: jax.Array, size: int | tuple[int, int]) -> jax.Array:
    """Smoothly enlarge a small grid [g,h] or [g,h,D] to a picture [rows,columns(,D)].

    size: (rows, columns), or one number for a square. Cubic B-splines, so the result is smoother than the grid and
    stays within its range.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    down = jnp.asarray(_spread(grid.shape[0], rows))
    across = jnp.asarray(_spread(grid.shape[1], columns))
    if grid.ndim == 2:
        return down @ grid @ across.T
    return jnp.stack([down @ grid[..., d] @ across.T for d in range(grid.shape[-1])], -1)


def smooth_noise(key: jax.Array, size: int | tuple[int, int], cells: int, count: int = 1) -> list[jax.Array]:
    """`count` independent smooth noises [rows,columns] with `cells` random values across: mean 0, variance about 1."""
    grids = jax.random.normal(key, (count, cells + 3, cells + 3)) * 2.0
    return [enlarge(grid, size) for grid in grids]


def window(bank: jax.Array, key: jax.Array, size: int) -> jax.Array:
    """A random window [...,size,size] of larger pictures [...,≥size,≥size]: a cheap new draw of stationary noise."""
    room = jnp.asarray([bank.shape[-2] - size, bank.shape[-1] - size])
    start = jax.random.randint(key, (2,), 0, room + 1)
    starts = [0] * (bank.ndim - 2) + [start[0], start[1]]
    return jax.lax.dynamic_slice(bank, starts, (*bank.shape[:-2], size, size))


def worked_out(gate: jax.Array, stage: Callable[[], T]) -> T:
    """The value of `stage()`, worked out once and kept in memory instead of being fused into each of its uses.

    XLA's CPU compiler otherwise repeats long elementwise stages, without vector instructions, for everything that reads
    them. gate: a bool scalar that is always true but not known to the compiler.
    """
    shapes = jax.eval_shape(stage)
    return jax.lax.cond(gate, stage, lambda: jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes))


def in_strips(wanted: jax.Array, stage: Callable[[jax.Array], T], image: jax.Array, rows: int = 8) -> T:
    """stage(image) for an image [D,H,W], worked out in strips of `rows` rows and only where a pixel of one is wanted.

    wanted: [H,W] bool. stage: pixel by pixel, from [D,R,W] to arrays [R,W]. Elsewhere the result is 0. (A batch made by
    vmap is worked out whole.)
    """
    height = wanted.shape[0]
    rows = math.gcd(height, rows)

    def strip(start: jax.Array) -> T:
        part = jax.lax.dynamic_slice_in_dim(image, start, rows, axis=1)
        needed = jax.lax.dynamic_slice_in_dim(wanted, start, rows, axis=0).any()
        return worked_out(needed, lambda: stage(part))

    strips = jax.lax.map(strip, jnp.arange(0, height, rows))
    return jax.tree.map(lambda values: values.reshape(wanted.shape), strips)
