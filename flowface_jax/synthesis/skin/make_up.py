"""Lipstick, eyeshadow, eyeliner and rouge over skin."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.skin.assets import SkinAssets
from flowface_jax.synthesis.skin.parameters import SkinParameters

_ROUGE = (0.50, 0.13, 0.12)
_LINER = (0.012, 0.010, 0.010)


def make_up_layers(parameters: SkinParameters, assets: SkinAssets, noise: jax.Array) -> dict[str, jax.Array]:
    """How thickly make-up lies [A,A], 0 to 1: `lips`, `shadow`, `line` (of the eyes) and `rouge`.

    `noise` [A,A] makes it uneven.
    """
    distance, along, above = assets.eye_distance, assets.eye_along, assets.eye_above
    lid = jnp.exp(-((jnp.maximum(distance, 0.0) / 7.0) ** 2)) * above
    lid = lid * jax.nn.sigmoid((along + 0.05) * 12.0) * jax.nn.sigmoid((1.25 - along) * 12.0)
    # The line grows thicker towards the outer corner.
    width = parameters.eyeliner[1] * (0.45 + 0.7 * jnp.clip(along, 0.0, 1.1)) * (0.35 + 0.65 * above)
    line = jnp.exp(-((distance / (width + 0.25)) ** 2)) * jax.nn.sigmoid((1.15 - along) * 25.0)
    return {
        "lips": assets.masks["lips"] * parameters.lipstick[3],
        "shadow": jnp.clip(lid * (1 + 0.12 * noise) * parameters.eyeshadow[3], 0, 1),
        "line": line * parameters.eyeliner[0] * (0.45 + 0.55 * above),
        "rouge": assets.masks["blush"] * parameters.blush * 0.6,
    }


def lay_make_up(parameters: SkinParameters, layers: dict[str, jax.Array], colour: list[jax.Array]) -> list[jax.Array]:
    """Lay make-up over three colour channels [A,A]."""
    painted = []
    for c, channel in enumerate(colour):
        channel = channel * (1 - layers["rouge"] * (1 - _ROUGE[c]))
        lipstick = parameters.lipstick[c] * (0.75 + 0.25 * channel / (channel + 0.1))
        channel = channel + layers["lips"] * (lipstick - channel)
        shadow = parameters.eyeshadow[c] * (0.4 + 1.2 * channel)
        channel = channel + layers["shadow"] * (shadow - channel)
        painted.append(channel + layers["line"] * (_LINER[c] - channel))
    return painted
