"""Colours of strands, and where hair is missing."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.hair.style import HairStyle, grey_colour


def inside_hairline(style: HairStyle, azimuth: jax.Array, elevation: jax.Array, distance: jax.Array) -> jax.Array:
    """How far inside the actual hairline a place is, m: receding temples first, then the crown, then all of the top."""
    temple = jnp.exp(-(((jnp.abs(azimuth) - 0.62) / 0.3) ** 2))
    front = jnp.clip(1.3 - jnp.abs(azimuth), 0.0, 1.0)
    receded = style.receding * (0.022 * temple + 0.008 * front)
    top = jnp.clip(style.receding - 0.75, 0.0, 1.0)
    crown = top * 0.1 * jnp.clip((elevation - 0.45) / 0.5, 0.0, 1.0) * (0.6 + 0.4 * jnp.cos(azimuth))
    return distance - receded - crown


def fairness(style: HairStyle) -> jax.Array:
    """0 for black hair to 1 for white or very fair hair."""
    return jnp.clip(style.colour.mean() / 0.4, 0.0, 1.0)


def streaked(style: HairStyle, one: jax.Array, other: jax.Array, along: jax.Array) -> jax.Array:
    """Colour [...,3] of a strand with two random numbers [...], at a share of its length [...]."""
    # Strands that light passes through share it: fair hair is more even than dark hair.
    brightness = jnp.exp(2 * style.streaks * (1.0 - 0.6 * fairness(style)) * (one - 0.5))[..., None]
    mixed = style.colour + (style.tip - style.colour) * (along[..., None] ** 1.5)
    greyness = jnp.clip((style.grey * 1.6 - other * 0.8) * 1.3, 0.0, 1.0)[..., None]
    return (mixed + greyness * (grey_colour() - mixed)) * brightness
