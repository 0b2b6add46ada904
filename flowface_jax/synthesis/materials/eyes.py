"""How an eyeball looks: sclera with veins, iris with fibres and a dark rim, pupil."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.materials.eyeballs import LIMBUS_ANGLE

_IRISES = (
    (0.028, 0.014, 0.008),
    (0.055, 0.028, 0.014),
    (0.11, 0.055, 0.024),
    (0.15, 0.105, 0.045),
    (0.10, 0.12, 0.065),
    (0.15, 0.19, 0.21),
    (0.10, 0.16, 0.26),
    (0.19, 0.21, 0.22),
)
"""Linear colours of irises: near black, dark brown, brown, hazel, green, blue-grey, blue, grey."""


@pytree_dataclass
class EyeParameters:
    """A person's eyes: iris [3] linear colour, centre [3] colour round the pupil, sclera [3], pupil radius as share of
    the iris, rim darkness 0 to 1, veins 0 to 1, phase [4] rad of the iris's fibres."""

    iris: jax.Array
    centre: jax.Array
    sclera: jax.Array
    pupil: jax.Array
    rim: jax.Array
    veins: jax.Array
    phase: jax.Array


def sample_eyes(key: jax.Array, melanin: jax.Array | float = 0.5) -> EyeParameters:
    """Draw a person's eyes; light irises become rare as the skin's melanin (0 to 1) grows."""
    colour_key, key = jax.random.split(key)
    odds = jnp.array([1.0, 1.3, 1.2, 0.6, 0.4, 0.6, 0.5, 0.4])
    light = jnp.arange(len(_IRISES)) >= 3
    odds = jnp.where(light, odds * jnp.clip(1.4 - 2.6 * melanin, 0.02, 1.4), odds)
    u = jax.random.uniform(key, (12,))
    base = jnp.asarray(_IRISES)[jax.random.categorical(colour_key, jnp.log(odds))]
    iris = base * (0.75 + 0.6 * u[0]) * (1 + 0.15 * (u[1:4] - 0.5))
    amber = jnp.array([0.16, 0.085, 0.03])
    sclera = jnp.array([0.50, 0.455, 0.42]) * (0.75 + 0.35 * u[4])
    return EyeParameters(
        iris=iris,
        centre=iris + u[5] * 0.8 * (amber - iris) * (iris.sum() > 0.15),
        sclera=sclera * (1 - 0.12 * melanin),
        pupil=0.24 + 0.26 * u[6],
        rim=0.4 + 0.5 * u[7],
        veins=u[8] ** 2,
        phase=6.2832 * u[8:12],
    )


def eye_albedo(eyes: EyeParameters, detail: jax.Array) -> tuple[list[jax.Array], jax.Array]:
    """Linear reflectance as three channels [...] and how much of a place is iris [...], from `HeadSurface.detail`
    [...,3].
    """
    x, y, z = detail[..., 0], detail[..., 1], detail[..., 2]
    flat = jnp.sqrt(x * x + y * y + 1e-12)
    angle = jnp.arctan2(flat, z)
    radius = angle / LIMBUS_ANGLE
    cosine, sine = x / flat, y / flat
    double_cosine, double_sine = cosine * cosine - sine * sine, 2 * cosine * sine
    turns = jnp.arctan2(y, x)
    fibres = 0.5 * jnp.sin(23 * turns + eyes.phase[0] + 2 * double_cosine)
    fibres = fibres + 0.5 * jnp.sin(37 * turns + eyes.phase[1] + 3 * double_sine + 4 * radius)
    inside = jax.nn.sigmoid((1.0 - radius) * 22.0)
    pupil = jax.nn.sigmoid((radius - eyes.pupil) * 40.0)
    collarette = jnp.exp(-(((radius - eyes.pupil - 0.12) / 0.16) ** 2))
    rim = 1 - eyes.rim * jnp.exp(-(((radius - 0.97) / 0.13) ** 2))
    # Veins run from the corners towards the iris.
    wiggle = jnp.sin(14 * turns + 5 * radius + eyes.phase[2]) * jnp.sin(9 * turns - 7 * radius + eyes.phase[3])
    vein = eyes.veins * jnp.clip(radius - 1.2, 0.0, 1.0) * (0.12 + 0.35 * jnp.clip(wiggle, 0.0, 1.0) ** 6)
    corner = jnp.clip((jnp.abs(x) - 0.55) / 0.35, 0.0, 1.0) * 0.35
    red = jnp.clip(vein + corner, 0.0, 0.7)
    # The upper lid and its lashes keep light from the top of the ball.
    lit = 1 - 0.5 * jax.nn.sigmoid((y - 0.30) * 14.0) - 0.25 * jnp.clip((jnp.abs(x) - 0.45) * 1.6, 0.0, 1.0)
    channels = []
    for c, bled in enumerate((0.12, 0.62, 0.58)):
        white = eyes.sclera[c] * (1 - bled * red)
        stroma = (eyes.iris[c] + collarette * (eyes.centre[c] - eyes.iris[c])) * (1 + 0.22 * fibres) * rim
        ring = stroma * pupil + 0.004
        channels.append(lit * (white + inside * (ring - white)))
    return channels, inside
