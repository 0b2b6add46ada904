"""Filters with parameters known only at run time: blurs by a few shifted sums, resampling by small matrices.

Images are planes [...,H,W] here, channels first: rows then are contiguous, and shifted sums run at full speed.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

REFERENCE_HEIGHT = 256.0
"""Lengths in px are stated for images of this height and scale with it."""
LUMA = (0.299, 0.587, 0.114)
"""Share of red, green and blue in BT.601 luma, the one that JPEG uses."""


def stage(function: Callable[[jax.Array], jax.Array], image: jax.Array, needed: jax.Array | bool = True) -> jax.Array:
    """function(image) where `needed`, else the image itself; both have one shape.

    The loop of at most one turn skips idle stages, and the compiler does not fuse across it: long chains of shifted
    sums otherwise work out their inputs again for every shift.
    """
    usable = ~jnp.isnan(image[(0,) * image.ndim])  # true, but not known to the compiler
    turns = (usable & needed).astype(jnp.int32)
    return jax.lax.fori_loop(0, turns, lambda _, value: function(value), image)


def planes(image: jax.Array) -> jax.Array:
    """[H,W,D] to [D,H,W]."""
    return jnp.moveaxis(image, -1, 0)


def pixels(image: jax.Array) -> jax.Array:
    """[D,H,W] to [H,W,D]."""
    return jnp.moveaxis(image, 0, -1)


def luma(image: jax.Array) -> jax.Array:
    """BT.601 luma [H,W] of colour planes [3,H,W]."""
    red, green, blue = LUMA
    return red * image[0] + green * image[1] + blue * image[2]


def resolve(supersampled: jax.Array, factor: int) -> jax.Array:
    """The mean of every factor × factor pixels: [factor H, factor W, D] to [H,W,D]."""
    height, width, depth = supersampled.shape
    blocks = supersampled.reshape(height // factor, factor, width // factor, factor, depth)
    return blocks.mean((1, 3))


def shifted_sum(image: jax.Array, weights: jax.Array, axis: int) -> jax.Array:
    """Correlation of planes [...,H,W] with weights [2R+1] along `axis` (-1 or -2); borders repeat the last pixel."""
    radius = weights.shape[0] // 2
    padding = [(0, 0)] * image.ndim
    padding[axis] = (radius, radius)
    padded = jnp.pad(image, padding, mode="edge")
    length = image.shape[axis]
    parts = [jax.lax.slice_in_dim(padded, k, k + length, axis=image.ndim + axis) for k in range(2 * radius + 1)]
    return sum(weight * part for weight, part in zip(weights, parts, strict=True))


def gaussian_weights(sigma: jax.Array, radius: int) -> jax.Array:
    """Weights [2 radius + 1] of a Gaussian of `sigma` pixels, summing to 1; sigma 0 leaves the image as it is."""
    offset = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (offset / jnp.maximum(sigma, 0.05)) ** 2)
    return weights / weights.sum()


def blur(image: jax.Array, sigma: jax.Array, radius: int) -> jax.Array:
    """Planes [...,H,W] under a Gaussian of `sigma` pixels cut off at `radius`."""
    weights = gaussian_weights(sigma, radius)
    return shifted_sum(shifted_sum(image, weights, -1), weights, -2)


def averaging_matrix(positions: jax.Array, count: int, sigma: jax.Array) -> jax.Array:
    """[N,count] rows that average `count` pixels under Gaussians of `sigma` pixels about `positions` [N]."""
    offset = jnp.arange(count, dtype=jnp.float32) - jnp.clip(positions, 0.0, count - 1.0)[:, None]
    weights = jnp.exp(-0.5 * (offset / jnp.maximum(sigma, 0.05)) ** 2) + 1e-12 * (jnp.abs(offset) <= 0.5)
    return weights / weights.sum(-1, keepdims=True)


def interpolating_matrix(positions: jax.Array, count: int) -> jax.Array:
    """[N,count] rows that interpolate `count` pixels linearly at `positions` [N], clamped to the border."""
    offset = jnp.arange(count, dtype=jnp.float32) - jnp.clip(positions, 0.0, count - 1.0)[:, None]
    return jnp.maximum(0.0, 1.0 - jnp.abs(offset))


def separable(image: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Planes [D,H,W] resampled by rows [H',H] and columns [W',W]: [D,H',W']."""
    depth, height, width = image.shape
    across = (image.reshape(depth * height, width) @ columns.T).reshape(depth, height, -1)
    return jnp.einsum("ih,dhw->diw", rows, across)


def halve(image: jax.Array) -> jax.Array:
    """The mean of every 2 × 2 pixels of planes [...,H,W]; a last odd row or column is repeated."""
    height, width = image.shape[-2:]
    padding = [(0, 0)] * (image.ndim - 2) + [(0, height % 2), (0, width % 2)]
    image = jnp.pad(image, padding, mode="edge")
    image = image.reshape(*image.shape[:-2], (height + 1) // 2, 2, (width + 1) // 2, 2)
    return image.mean((-3, -1))


def double(image: jax.Array, height: int, width: int) -> jax.Array:
    """Planes [...,H,W] linearly enlarged two times and cut to height × width, the inverse of `halve` in place."""
    for axis, size in ((-2, height), (-1, width)):
        padding = [(0, 0)] * image.ndim
        padding[axis] = (1, 1)
        padded = jnp.pad(image, padding, mode="edge")
        count, axis = image.shape[axis], image.ndim + axis
        before, after = (jax.lax.slice_in_dim(padded, k, k + count, axis=axis) for k in (0, 2))
        pairs = jnp.stack([0.75 * image + 0.25 * before, 0.75 * image + 0.25 * after], axis + 1)
        shape = (*image.shape[:axis], 2 * count, *image.shape[axis + 1 :])
        image = jax.lax.slice_in_dim(pairs.reshape(shape), 0, size, axis=axis)
    return image


def reduced(image: jax.Array, share: jax.Array, sigma: jax.Array) -> jax.Array:
    """Planes [D,H,W] blurred by `sigma` pixels, sampled at `share` (0 to 1) of the resolution and brought back."""

    def matrix(count: int) -> jax.Array:
        index = jnp.arange(count, dtype=jnp.float32)
        spread = jnp.sqrt(sigma**2 + 0.16 * (1.0 / share**2 - 1.0))
        small = averaging_matrix((index + 0.5) / share - 0.5, count, spread)
        cells = jnp.maximum(jnp.round(count * share), 1.0)
        return interpolating_matrix(jnp.minimum((index + 0.5) * share - 0.5, cells - 1.0), count) @ small

    return separable(image, matrix(image.shape[1]), matrix(image.shape[2]))


def streak(image: jax.Array, motion: jax.Array, limit: int, taps: int = 9) -> jax.Array:
    """Planes [D,H,W] averaged along `motion` [2] pixels (right, down), at most `limit` long, centred on each pixel."""
    motion = motion * jnp.minimum(1.0, limit / jnp.maximum(jnp.linalg.norm(motion), 1e-6))
    reach = limit // 2 + 1
    padded = jnp.pad(image, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    places = jnp.linspace(-0.5, 0.5, taps)[:, None] * motion[None]
    starts = jnp.round(places).astype(jnp.int32) + reach
    parts = [jax.lax.dynamic_slice(padded, (0, starts[k, 1], starts[k, 0]), image.shape) for k in range(taps)]
    return sum(parts) / taps
