"""Smooth random pictures at several scales, from small random grids enlarged by two matrix products."""

from __future__ import annotations

import functools
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


def octaves(
    key: jax.Array, size: int | tuple[int, int], cells: int = 5, levels: int = 4, persistence: float = 0.5
) -> jax.Array:
    """Noise [rows,columns] of `levels` scales, each twice as fine and `persistence` times as strong as the one before.

    Mean 0, variance about 1.
    """
    total, power = jnp.zeros(()), 0.0
    for level in range(levels):
        weight = persistence**level
        total = total + weight * smooth_noise(jax.random.fold_in(key, level), size, cells * 2**level)[0]
        power += weight**2
    return total / power**0.5


def ridged(
    key: jax.Array, size: int | tuple[int, int], cells: int = 8, levels: int = 2, sharpness: float = 3.0
) -> jax.Array:
    """Noise [rows,columns] in [0,1] that is near 1 along thin winding lines, like veins and cracks."""
    lines = jnp.zeros(())
    for level in range(levels):
        noise = smooth_noise(jax.random.fold_in(key, level), size, cells * 2**level)[0]
        lines = jnp.maximum(lines, jnp.exp(-sharpness * 4.0 * jnp.abs(noise)) * 0.7**level)
    return lines


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
