"""Colours of light sources: the Planckian locus in linear RGB, and how far a camera's white balance takes it back."""

from __future__ import annotations

import jax
import jax.numpy as jnp

LUMINANCE = (0.2126, 0.7152, 0.0722)
"""Weights of linear sRGB in luminance (IEC 61966-2-1)."""

_XYZ_TO_RGB = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))


def luminance(rgb: jax.Array) -> jax.Array:
    """Luminance [...] of linear RGB [...,3]."""
    return rgb @ jnp.asarray(LUMINANCE, jnp.float32)


def black_body(kelvin: jax.Array) -> jax.Array:
    """Linear sRGB [...,3] of unit luminance of a black body, 1,700 to 25,000 K (cubic splines of Kim et al., 2002)."""
    t = 1000.0 / kelvin
    cool = ((-3.0258469 * t + 2.1070379) * t + 0.2226347) * t + 0.240390
    warm = ((-0.2661239 * t - 0.2343580) * t + 0.8776956) * t + 0.179910
    x = jnp.where(kelvin < 4000.0, warm, cool)
    warmest = ((-1.1063814 * x - 1.34811020) * x + 2.18555832) * x - 0.20219683
    middle = ((-0.9549476 * x - 1.37418593) * x + 2.09137015) * x - 0.16748867
    coolest = ((3.0817580 * x - 5.87338670) * x + 3.75112997) * x - 0.37001483
    y = jnp.where(kelvin < 2222.0, warmest, jnp.where(kelvin < 4000.0, middle, coolest))
    xyz = jnp.stack([x / y, jnp.ones_like(x), (1.0 - x - y) / y], axis=-1)
    return jnp.maximum(jnp.einsum("rc,...c->...r", jnp.asarray(_XYZ_TO_RGB, jnp.float32), xyz), 0.02)


def white_balance(illuminant: jax.Array, strength: jax.Array) -> jax.Array:
    """Gains [3] that take the illuminant [3] towards grey (strength 0 not at all, 1 fully) and keep its luminance."""
    gains = (luminance(illuminant)[..., None] / jnp.maximum(illuminant, 1e-4)) ** strength[..., None]
    return gains * (luminance(illuminant) / luminance(gains * illuminant))[..., None]
