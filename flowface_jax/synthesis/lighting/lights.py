"""The lighting of a scene: light from all round and three lamps or windows, placed in any frame."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.lighting import environment as environments
from flowface_jax.synthesis.lighting.environment import Environment

LIGHT_COUNT = 3


@pytree_dataclass
class Lighting:
    """What shines on a head. A white diffuse surface under irradiance E has radiance E/π; all is in that unit.

    environment: light from all round. The lamps, the strongest shadow caster first (L = LIGHT_COUNT; colour 0 where
    there are fewer): direction [L,3] unit, towards the lamp, as seen from `centre`. right: [L,3] unit, across the lamp.
    extent: [L,2] half width and half height, rad (tangent of it on the panel). panes: [L] 1 where bars divide it, as a
    window's. nearness: [L] 1 / distance from `centre`, 1/m, 0 for infinitely far. colour: [L,3] radiance of a white
    surface that faces the lamp at `centre`. centre: [3] m, the middle of the head.
    """

    environment: Environment
    direction: jax.Array
    right: jax.Array
    extent: jax.Array
    panes: jax.Array
    nearness: jax.Array
    colour: jax.Array
    centre: jax.Array


def placed(lighting: Lighting, rotation: jax.Array, translation: jax.Array) -> Lighting:
    """The lighting in another frame: rotation [3,3] and translation [3] m lead from its frame to the new one.

    With a camera's world-to-camera transform this turns lighting of the world into lighting for `shade`.
    """
    with jax.default_matmul_precision("highest"):
        return Lighting(
            environment=environments.turned(lighting.environment, rotation),
            direction=lighting.direction @ rotation.T,
            right=lighting.right @ rotation.T,
            extent=lighting.extent,
            panes=lighting.panes,
            nearness=lighting.nearness,
            colour=lighting.colour,
            centre=rotation @ lighting.centre + translation,
        )


def exposed(lighting: Lighting, gain: jax.Array) -> Lighting:
    """The lighting times gain: a scalar (exposure), or one factor per channel [3] (white balance)."""
    return Lighting(
        environment=environments.scaled(lighting.environment, gain),
        direction=lighting.direction,
        right=lighting.right,
        extent=lighting.extent,
        panes=lighting.panes,
        nearness=lighting.nearness,
        colour=lighting.colour * gain,
        centre=lighting.centre,
    )


def received(lighting: Lighting, normals: jax.Array) -> jax.Array:
    """Radiance [N,3] of unshadowed white diffuse surfaces with unit normals [N,3] at the lighting's centre."""
    ambient = environments.evaluate(environments.irradiance(lighting.environment), tuple(normals.T))
    direct = jnp.maximum(normals @ lighting.direction.T, 0.0) @ lighting.colour
    return jnp.stack(ambient, axis=-1) + direct
