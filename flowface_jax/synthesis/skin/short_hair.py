"""Hair that is part of the skin's texture: brows, lash roots, stubble, beards and a shaved scalp."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.skin.assets import SkinAssets
from flowface_jax.synthesis.skin.parameters import BEARD_PARTS, SkinParameters


def hair_layers(
    parameters: SkinParameters, assets: SkinAssets, key: jax.Array, fibres: jax.Array, patches: jax.Array
) -> dict[str, jax.Array]:
    """Shares of each texel [A,A] that `brow`, `beard`, `scalp` and `lash` hair cover, and the `strands` they are made
    of.

    fibres, patches: [A,A] fine and coarse noise of deviation 1.
    """
    strands = _strands(assets, key)
    return {
        "strands": strands,
        "brow": _brow_coverage(parameters, assets, strands, fibres),
        "beard": _beard_coverage(parameters, assets, strands, fibres, patches),
        "scalp": _scalp_coverage(parameters, assets, strands, patches),
        "lash": _lash_coverage(assets),
    }


def lay_hair(parameters: SkinParameters, layers: dict[str, jax.Array], colour: list[jax.Array]) -> list[jax.Array]:
    """Lay short hair over three colour channels [A,A]."""
    sheen = 0.75 + 0.5 * layers["strands"]
    covered = []
    for c, channel in enumerate(colour):
        channel = channel + layers["scalp"] * (parameters.hair[c] * sheen - channel)
        channel = channel + layers["beard"] * (parameters.beard_colour[c] * sheen - channel)
        channel = channel + layers["brow"] * (parameters.brow_colour[c] * sheen - channel)
        covered.append(channel + layers["lash"] * (0.012 - channel))
    return covered


def hair_height(parameters: SkinParameters, layers: dict[str, jax.Array]) -> jax.Array:
    """How far the hairs stand above the skin [A,A], mm."""
    lifted = 0.35 * parameters.beard_length * layers["beard"] + 0.15 * layers["brow"] + 0.1 * layers["scalp"]
    return lifted * (0.4 + 0.6 * layers["strands"])


def _strands(assets: SkinAssets, key: jax.Array) -> jax.Array:
    """A person's own streaks [A,A], spread over [0,1]: one of the head's, or two of them interleaved."""
    u = jax.random.uniform(key, (2,))
    first = jnp.where(u[0] < 0.5, assets.streaks[0], assets.streaks[1])
    return jnp.where(u[1] < 0.5, first, assets.streaks[2])


def _brow_coverage(p: SkinParameters, assets: SkinAssets, strands: jax.Array, fibres: jax.Array) -> jax.Array:
    """Share of each texel covered by brow hair [A,A]."""
    half, arch, length, taper, density, height = (p.brow[i] for i in range(6))
    s = assets.brow_along / length
    middle = height + arch * (1 - ((s - 0.62) / 0.45) ** 2) * jnp.where(s < 1.2, 1.0, 0.0)
    middle = jnp.clip(middle, -4.0, 5.0) - 0.6
    # Full from the inner end to two thirds, then tapering to the tail.
    thick = half * jnp.clip(1.0 - taper * jnp.clip((s - 0.35) / 0.65, 0.0, 1.0) ** 1.3, 0.12, 1.0)
    thick = thick * (0.72 + 0.28 * jnp.clip(s / 0.18, 0.0, 1.0))
    across = (assets.brow_across - middle) / thick
    inside = jnp.exp(-(across**4)) * jax.nn.sigmoid((s + 0.02) * 30.0) * jax.nn.sigmoid((1.02 - s) * 40.0)
    inside = inside * (0.55 + 0.45 * jnp.clip(s / 0.25, 0.0, 1.0))
    share = inside * (0.35 + 0.75 * density)
    hairs = jax.nn.sigmoid((strands + 0.05 * fibres - 1.0 + share) * 9.0) * jnp.clip(inside * 1.6, 0.0, 1.0)
    return jnp.clip(0.40 * share + 0.56 * hairs, 0.0, 0.95) * (0.6 + 0.4 * density)


def _beard_coverage(
    p: SkinParameters, assets: SkinAssets, strands: jax.Array, fibres: jax.Array, patches: jax.Array
) -> jax.Array:
    """Share of each texel covered by beard or stubble [A,A]."""
    density = jnp.zeros(())
    for i, name in enumerate(BEARD_PARTS):
        density = jnp.maximum(density, assets.beard[name] * p.beard[i])
    density = jnp.clip(density * (1 + 0.10 * patches), 0.0, 1.0)
    long = p.beard_length
    hairs = jax.nn.sigmoid((strands + 0.06 * fibres - 1.0 + density * (0.35 + 0.6 * long)) * (5.0 + 5.0 * long))
    stubble = density * (0.30 + 0.10 * fibres)
    grown = density * (0.42 + 0.18 * long + 0.36 * hairs)
    visible = jnp.clip(p.beard_length * 6.0, 0.0, 1.0)
    return jnp.clip(jnp.where(long > 0.3, grown, stubble * (0.35 + 1.5 * long)) * visible, 0.0, 0.95)


def _scalp_coverage(p: SkinParameters, assets: SkinAssets, strands: jax.Array, patches: jax.Array) -> jax.Array:
    """Share of each texel of the scalp covered by short hair [A,A], thinning towards the hairline."""
    depth = assets.hairline - p.hairline + 1.2 * patches
    grown = jax.nn.sigmoid((depth - 3.0) * 0.75) * p.scalp
    hairs = jax.nn.sigmoid((strands - 1.0 + 1.15 * grown) * 7.0)
    return jnp.clip(grown * (0.5 + 0.5 * hairs), 0.0, 0.97)


def _lash_coverage(assets: SkinAssets) -> jax.Array:
    """The dark rim [A,A] that the roots of the lashes draw along the lids."""
    rim = jnp.exp(-(((assets.eye_distance - 0.5) / 0.9) ** 2))
    middle = jnp.clip(jnp.minimum(assets.eye_along * 4.0, (1.12 - assets.eye_along) * 8.0), 0.0, 1.0)
    return rim * middle * (0.22 + 0.55 * assets.eye_above)
