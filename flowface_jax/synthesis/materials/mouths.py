"""How teeth, gums, tongue and the mouth's cavity look."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.materials.surfaces import CAVITY, GUMS, SOCKET, TONGUE

_SOCKET_COLOUR = (0.10, 0.035, 0.028)


@pytree_dataclass
class MouthParameters:
    """A person's mouth: tooth, gum, tongue and lining [3] linear colours, gap darkness between teeth 0 to 1."""

    tooth: jax.Array
    gum: jax.Array
    tongue: jax.Array
    lining: jax.Array
    gap: jax.Array


def sample_mouth(key: jax.Array, melanin: jax.Array | float = 0.5) -> MouthParameters:
    """Draw a person's teeth and mouth; gums and lining darken a little with the skin's melanin (0 to 1)."""
    u = jax.random.uniform(key, (6,))
    yellow = u[0]
    tooth = jnp.stack([0.70 - 0.08 * yellow, 0.655 - 0.13 * yellow, 0.585 - 0.25 * yellow]) * (0.78 + 0.27 * u[1])
    dark = 1 - 0.45 * melanin
    return MouthParameters(
        tooth=tooth,
        gum=jnp.array([0.42, 0.135, 0.12]) * (0.8 + 0.4 * u[2]) * dark,
        tongue=jnp.array([0.40, 0.135, 0.12]) * (0.8 + 0.4 * u[3]),
        lining=jnp.array([0.36, 0.095, 0.080]) * (0.8 + 0.4 * u[4]) * dark,
        gap=0.35 + 0.5 * u[5],
    )


def tooth_albedo(mouth: MouthParameters, detail: jax.Array) -> list[jax.Array]:
    """Linear reflectance of teeth and the gum they stand in, three channels [...], from `HeadSurface.detail`
    [...,3].
    """
    number, height, depth = detail[..., 0], detail[..., 1], detail[..., 2]
    # Front teeth are wider than those beside them.
    number = jnp.sign(number) * (jnp.abs(number) - 0.22 * jnp.clip(jnp.abs(number), 0.0, 1.0))
    from_gap = jnp.abs(number - jnp.round(number))
    scallop = 0.26 + 0.16 * jnp.exp(-((from_gap / 0.14) ** 2))
    gum = jax.nn.sigmoid((scallop - height) * 26.0)
    gap = mouth.gap * jnp.exp(-((from_gap / 0.055) ** 2)) * (1 - 0.4 * gum)
    shade = jnp.exp(-depth * 55.0) * (1 - gap) * (0.9 + 0.1 * jnp.clip(from_gap * 4, 0, 1))
    translucent = jnp.clip((height - 0.85) * 4.0, 0.0, 1.0)
    return [
        shade * (tooth * (1 - translucent * (0.18 - 0.05 * c)) * (1 - gum) + gum * mouth.gum[c])
        for c, tooth in enumerate(mouth.tooth)
    ]


def mouth_albedo(mouth: MouthParameters, detail: jax.Array) -> list[jax.Array]:
    """Linear reflectance of tongue, gums, cavity and eye sockets, three channels [...], from `HeadSurface.detail`."""
    kind, depth = jnp.round(detail[..., 0]), detail[..., 1]
    lit = jnp.exp(-jnp.clip(depth + 0.004, 0.0, 0.1) * jnp.where(kind == CAVITY, 75.0, 42.0))
    channels = []
    for c in range(3):
        colour = jnp.where(kind == TONGUE, mouth.tongue[c], jnp.where(kind == GUMS, mouth.gum[c], mouth.lining[c]))
        channels.append(jnp.where(kind == SOCKET, _SOCKET_COLOUR[c], colour * (0.04 + 0.96 * lit)))
    return channels
