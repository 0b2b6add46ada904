"""Smoothing of stairs along outlines and hair where a picture is rendered with one sample a pixel."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.image.filters import luma, stage

_DIRECTIONS = ((1.0, 0.0), (0.7071, 0.7071), (0.0, 1.0), (-0.7071, 0.7071))
_WEAKEST, _STRONGEST = 0.05, 0.25
"""Steps of brightness (square root of light, per pixel) from which edges are smoothed, and smoothed fully."""
_MOST = 0.75


def smooth_edges(light: jax.Array) -> jax.Array:
    """Linear planes [3,H,W] averaged along edges of brightness, never across them.

    Costs a fraction of rendering with more samples, and nothing moves. (After the idea of directionally localised
    anti-aliasing, Andreev, 2011.)
    """
    height, width = light.shape[1:]
    bright = jnp.sqrt(jnp.clip(luma(light), 0.0, 4.0))
    bright = stage(lambda bright: bright, bright / jnp.maximum(2.0 * bright.mean(), 1e-3))
    around = jnp.pad(bright, 1, mode="edge")
    at = lambda right, down: jax.lax.slice(around, (1 + down, 1 + right), (1 + down + height, 1 + right + width))
    rows = [0.25 * at(-1, k) + 0.5 * at(0, k) + 0.25 * at(1, k) for k in (-1, 1)]
    columns = [0.25 * at(k, -1) + 0.5 * at(k, 0) + 0.25 * at(k, 1) for k in (-1, 1)]
    right, down = 0.5 * (columns[1] - columns[0]), 0.5 * (rows[1] - rows[0])
    steep = right * right + down * down + 1e-8
    # Squared cosine between the edge, which runs across the slope, and each direction; only the nearest two count.
    along = [jnp.maximum(2.0 * (x * down - y * right) ** 2 / steep - 1.0, 0.0) for x, y in _DIRECTIONS]
    strength = jnp.clip((jnp.sqrt(steep) - _WEAKEST) / (_STRONGEST - _WEAKEST), 0.0, 1.0) * _MOST
    shares = stage(lambda shares: shares, jnp.stack(along) * (strength / jnp.maximum(sum(along), 1e-3)))
    reach = jnp.pad(light, ((0, 0), (2, 2), (2, 2)), mode="edge")
    result = light * (1.0 - shares.sum(0))
    for share, (x, y) in zip(shares, _DIRECTIONS, strict=True):
        mean = jnp.zeros(())
        for steps, weight in ((1, 0.2), (-1, 0.2), (2, 0.1), (-2, 0.1)):
            i, j = 2 + steps * round(y), 2 + steps * round(x)
            mean = mean + weight * jax.lax.slice(reach, (0, i, j), (3, i + height, j + width))
        result = result + share * (mean + 0.4 * light)
    return result
