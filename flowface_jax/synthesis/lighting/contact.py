"""Darkening where surfaces meet in the picture (hair on skin, glasses on a nose, chin over neck), from depth alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.scene import Surface

_POOL = 4
_SCALES = ((0.012, 0.004, 0.3), (0.05, 0.012, 0.3))
"""Blur (share of the picture's height), depth difference that counts fully (m) and darkening of each scale."""


def contact_openness(surface: Surface) -> jax.Array:
    """Share [H,W] of light left beside nearer surfaces: depth against its own blur (Luft et al., 2006), two scales.

    H and W must be multiples of 4.
    """
    height, width = surface.seen.shape
    depth = surface.position[..., 2]
    weight = surface.seen.astype(jnp.float32)
    both = jnp.stack([depth * weight, weight])
    rows, columns = height // _POOL, width // _POOL
    pooled = both.reshape(2, rows, _POOL, columns, _POOL).mean(axis=(2, 4))
    facing = surface.normal[..., 2] ** 2
    result = jnp.ones_like(depth)
    for blur, full, strength in _SCALES:
        sigma = blur * height / _POOL
        down, across = _gaussian(rows, sigma), _gaussian(columns, sigma)
        blurred = _enlarge(rows) @ (down @ pooled @ across.T) @ _enlarge(columns).T
        behind = depth - blurred[0] / jnp.maximum(blurred[1], 1e-3)
        share = jnp.clip(behind * facing / full, 0.0, 1.0)
        result = result * (1.0 - strength * share)
    return jnp.where(surface.seen, result, 1.0)


def _gaussian(size: int, sigma: float) -> np.ndarray:
    """Matrix [size,size] that blurs a row of samples; samples beyond the border count as nothing."""
    at = np.arange(size)
    weights = np.exp(-0.5 * ((at[:, None] - at) / max(sigma, 0.5)) ** 2)
    return (weights / weights.sum(axis=1).max()).astype(np.float32)


def _enlarge(size: int) -> np.ndarray:
    """Matrix [size·4,size] of linear interpolation between the centres of pooled pixels."""
    place = np.clip((np.arange(size * _POOL) + 0.5) / _POOL - 0.5, 0, size - 1)
    return np.maximum(1.0 - np.abs(place[:, None] - np.arange(size)), 0.0).astype(np.float32)
