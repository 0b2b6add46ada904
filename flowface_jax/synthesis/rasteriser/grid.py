"""The sub-pixel grid on which edges are decided exactly, and 64-bit integers from two halves for accelerators."""

from __future__ import annotations

import jax
import jax.numpy as jnp

SUBPIXEL_BITS = 8
PIXEL = 1 << SUBPIXEL_BITS
HALF_PIXEL = PIXEL // 2
REACH = float(1 << (29 - SUBPIXEL_BITS))
"""Pixels from the image's corner that a vertex may lie away: products of differences then fit 62 bits."""


def snap(pixels: jax.Array) -> jax.Array:
    """Positions [...] px on the grid, int32, rounded to nearest; unusable beyond REACH."""
    return jnp.rint(jnp.clip(jnp.nan_to_num(pixels), -REACH, REACH) * PIXEL).astype(jnp.int32)


def multiply(a: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The exact product of int32 numbers of at most 30 bits: high int32 and low uint32 half."""
    a_high, a_low, b_high, b_low = a >> 16, a & 0xFFFF, b >> 16, b & 0xFFFF
    low = a_low.astype(jnp.uint32) * b_low.astype(jnp.uint32)
    middle = a_high * b_low + a_low * b_high
    total = low + ((middle & 0xFFFF) << 16).astype(jnp.uint32)
    return a_high * b_high + (middle >> 16) + (total < low).astype(jnp.int32), total


def subtract(a: tuple[jax.Array, jax.Array], b: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """a − b, exactly."""
    return a[0] - b[0] - (a[1] < b[1]).astype(jnp.int32), a[1] - b[1]


def is_negative(a: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Whether a < 0."""
    return a[0] < 0


def is_zero(a: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Whether a = 0."""
    return (a[0] == 0) & (a[1] == 0)


def to_float(a: tuple[jax.Array, jax.Array]) -> jax.Array:
    """The nearest float32 (within one unit in the last place) of a ≥ 0."""
    return a[0].astype(jnp.float32) * 2.0**32 + a[1].astype(jnp.float32)


def edge(start: jax.Array, end: jax.Array, point: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The edge function of grid points [...,2]: twice the signed area of (start, end, point), > 0 clockwise as seen."""
    along, across = end - start, point - start
    return subtract(multiply(along[..., 0], across[..., 1]), multiply(along[..., 1], across[..., 0]))
