"""Reading maps between their cells: enlarging, shrinking, and sampling at points. Cell centres lie at half-integers."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np


def enlarge(images: jax.Array, side: tuple[int, int]) -> jax.Array:
    """Images [B,h,w,D] enlarged bilinearly to [B,H,W,D], corners not aligned (as PyTorch's `align_corners=False`).

    H and W are multiples of h and w. Raises ValueError for others.
    """
    factors = side[0] // images.shape[1], side[1] // images.shape[2]
    if (images.shape[1] * factors[0], images.shape[2] * factors[1]) != tuple(side) or 0 in factors:
        raise ValueError(f"expected to enlarge a whole number of times, found {images.shape[1:3]} to {side}")
    return _enlarge_axis(_enlarge_axis(images, factors[0], 1), factors[1], 2)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2))
def _enlarge_axis(images: jax.Array, factor: int, axis: int) -> jax.Array:
    """One axis by reading two neighbours a cell: one pass, but its derivative would be a slow scatter."""
    if factor == 1:
        return images
    length = images.shape[axis]
    centres = np.clip((np.arange(length * factor) + 0.5) / factor - 0.5, 0, length - 1)
    before = np.minimum(np.floor(centres), max(length - 2, 0)).astype(np.int32)
    after = np.minimum(before + 1, length - 1)
    shape = [1] * images.ndim
    shape[axis] = -1
    share = jnp.asarray((centres - before).reshape(shape), images.dtype)
    read = lambda index: jnp.take(images, index, axis, mode="clip")
    return read(before) * (1 - share) + read(after) * share


def _enlarge_by_phases(images: jax.Array, factor: int, axis: int) -> jax.Array:
    """The same as sums of shifted images, one for each place inside a cell; its transpose is sums of slices."""
    length = images.shape[axis]
    part = lambda first, last: jax.lax.slice_in_dim(images, first, last, axis=axis)
    before = jnp.concatenate([part(0, 1), part(0, length - 1)], axis)
    after = jnp.concatenate([part(1, length), part(length - 1, length)], axis)
    offsets = [(phase + 0.5) / factor - 0.5 for phase in range(factor)]
    phases = [images * (1 - abs(o)) + (before if o < 0 else after) * abs(o) for o in offsets]
    shape = list(images.shape)
    shape[axis] *= factor
    return jnp.stack(phases, axis + 1).reshape(shape)


def _enlarge_forward(images: jax.Array, factor: int, axis: int) -> tuple[jax.Array, tuple[int, ...]]:
    return _enlarge_axis(images, factor, axis), ()


def _enlarge_backward(factor: int, axis: int, _: tuple[int, ...], cotangent: jax.Array) -> tuple[jax.Array]:
    if factor == 1:
        return (cotangent,)
    shape = list(cotangent.shape)
    shape[axis] //= factor
    small = jax.ShapeDtypeStruct(tuple(shape), cotangent.dtype)
    return jax.linear_transpose(lambda x: _enlarge_by_phases(x, factor, axis), small)(cotangent)


_enlarge_axis.defvjp(_enlarge_forward, _enlarge_backward)


def average_pool(images: jax.Array, factor: int) -> jax.Array:
    """Images [B,H,W,D] averaged over factor × factor cells: [B,H/factor,W/factor,D]."""
    if factor == 1:
        return images
    batch, height, width, channels = images.shape
    blocks = images.reshape(batch, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4))


def cell_centres(side: int) -> jax.Array:
    """The centres [side,side,2] of a grid's cells, (x right, y down) in cells: 0.5, 1.5, …"""
    centres = jnp.arange(side, dtype=jnp.float32) + 0.5
    return jnp.stack(jnp.meshgrid(centres, centres), axis=-1)


def uv_to_cells(uv: jax.Array, side: int) -> jax.Array:
    """Atlas coordinates [V,2] (u right, v up, in [0, 1]) as places (x, y) [V,2] on a UV grid whose row 0 is v = 1."""
    return jnp.stack([uv[..., 0], 1.0 - uv[..., 1]], axis=-1) * side


def sample(maps: jax.Array, places: jax.Array) -> jax.Array:
    """Maps [...,H,W,D] read bilinearly at places [V,2] (x, y in cells): [...,V,D], float32.

    Outside the outermost cell centres the border's values continue.
    """
    height, width, _ = maps.shape[-3:]
    column, row = places[:, 0] - 0.5, places[:, 1] - 0.5
    column, row = jnp.clip(column, 0.0, width - 1.0), jnp.clip(row, 0.0, height - 1.0)
    left = jnp.minimum(jnp.floor(column), max(width - 2, 0)).astype(jnp.int32)
    top = jnp.minimum(jnp.floor(row), max(height - 2, 0)).astype(jnp.int32)
    right, bottom = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
    across, down = (column - left)[:, None], (row - top)[:, None]
    flat = maps.astype(jnp.float32).reshape(*maps.shape[:-3], height * width, maps.shape[-1])

    def read(rows: jax.Array, columns: jax.Array) -> jax.Array:
        return jnp.take(flat, rows * width + columns, axis=-2, mode="clip")

    upper = read(top, left) * (1 - across) + read(top, right) * across
    lower = read(bottom, left) * (1 - across) + read(bottom, right) * across
    return upper * (1 - down) + lower * down
