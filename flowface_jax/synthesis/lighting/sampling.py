"""Drawing the light of a photograph: a kind of place, its lamps and surroundings, white balance, exposure."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.lighting import environment as environments
from flowface_jax.synthesis.lighting.colours import black_body, luminance, white_balance
from flowface_jax.synthesis.lighting.environment import Environment
from flowface_jax.synthesis.lighting.lights import Lighting, exposed, received

Range = tuple[float, float]

HEAD_CENTRE = (0.0, 0.0, 0.03)
"""Middle of the face in a head's own frame, m: what near lamps are placed about."""


class Place(NamedTuple):
    """A kind of place: how often it is drawn, and the ranges that its light is drawn from, uniformly.

    Angles in degrees: azimuth from the camera's side (0) to behind the head (180), either side alike. extent: half
    size of the key light, rad. kelvin: colour temperatures of the key light and of the surroundings. key, fill: share
    of the face's light that the two lamps give; the surroundings give the rest. rim: a light from behind, relative to
    the whole. zenith, ground: radiance from straight above and below, relative to the surroundings' mean. unevenness:
    strength of the patches around (walls, trees, furniture), saturation: of their colours. nearness: 1 / distance,
    1/m. panes: how likely the key light is a barred window. stops: exposure beside the ideal.
    """

    weight: float
    azimuth: Range
    elevation: Range
    extent: Range
    key_kelvin: Range
    kelvin: Range
    key: Range
    fill: Range
    rim: Range
    zenith: Range
    ground: Range
    unevenness: Range
    saturation: Range
    nearness: Range
    panes: float
    stops: Range


PLACES = {
    "window": Place(
        0.24, (15, 85), (-5, 28), (0.2, 0.6), (4800, 8000), (3000, 6000), (0.45, 0.8), (0.0, 0.12), (0.0, 0.3),
        (0.7, 1.5), (0.3, 0.9), (0.3, 1.0), (0.1, 0.6), (0.3, 0.9), 0.6, (-0.8, 0.5),
    ),
    "ceiling lamps": Place(
        0.2, (0, 75), (35, 70), (0.06, 0.3), (2700, 5000), (2700, 4800), (0.3, 0.65), (0.0, 0.25), (0.0, 0.4),
        (1.2, 2.5), (0.2, 0.6), (0.3, 1.0), (0.1, 0.5), (0.3, 0.8), 0.0, (-0.7, 0.5),
    ),
    "overcast": Place(
        0.16, (0, 120), (30, 75), (0.5, 0.8), (6000, 7500), (5800, 8000), (0.08, 0.35), (0.0, 0.1), (0.0, 0.3),
        (1.5, 2.6), (0.15, 0.6), (0.2, 0.8), (0.1, 0.4), (0.0, 0.05), 0.0, (-0.6, 0.5),
    ),
    "sun": Place(
        0.13, (8, 110), (15, 62), (0.01, 0.04), (4200, 5800), (6500, 10000), (0.55, 0.85), (0.0, 0.1), (0.0, 0.3),
        (1.2, 2.0), (0.4, 1.2), (0.3, 0.9), (0.1, 0.5), (0.0, 0.01), 0.0, (-0.5, 0.7),
    ),
    "against the light": Place(
        0.05, (120, 170), (5, 45), (0.02, 0.5), (4500, 7000), (5000, 7500), (0.2, 0.45), (0.05, 0.3), (0.1, 0.8),
        (0.9, 1.6), (0.4, 1.0), (0.3, 0.9), (0.1, 0.4), (0.0, 0.3), 0.0, (-1.0, 0.3),
    ),
    "studio": Place(
        0.1, (15, 60), (12, 45), (0.12, 0.4), (5000, 5800), (4800, 6000), (0.5, 0.75), (0.1, 0.3), (0.0, 0.8),
        (0.8, 1.3), (0.5, 1.0), (0.1, 0.4), (0.0, 0.15), (0.4, 1.0), 0.1, (-0.3, 0.3),
    ),
    "evening": Place(
        0.07, (5, 80), (-25, 40), (0.04, 0.25), (2500, 9000), (2500, 4500), (0.45, 0.8), (0.0, 0.25), (0.0, 0.6),
        (0.6, 1.6), (0.3, 1.0), (0.5, 1.0), (0.2, 0.8), (0.7, 1.8), 0.0, (-1.4, 0.3),
    ),
    "flash": Place(
        0.05, (0, 12), (0, 16), (0.01, 0.09), (5200, 6200), (3000, 5500), (0.6, 0.85), (0.0, 0.1), (0.0, 0.2),
        (0.8, 1.5), (0.4, 0.9), (0.3, 0.9), (0.1, 0.5), (0.6, 1.4), 0.0, (-0.3, 0.6),
    ),
}  # fmt: skip

_RANGES = [field for field in Place._fields if field not in ("weight", "panes")]
_LOW = np.array([[getattr(place, field)[0] for field in _RANGES] for place in PLACES.values()], np.float32)
_HIGH = np.array([[getattr(place, field)[1] for field in _RANGES] for place in PLACES.values()], np.float32)
_WEIGHTS = np.array([place.weight for place in PLACES.values()], np.float32)
_PANES = np.array([place.panes for place in PLACES.values()], np.float32)

_METERED = np.array(
    [[0, 0, 1], [0.6, 0, 0.8], [-0.6, 0, 0.8], [0.4, 0.5, 0.77], [-0.4, 0.5, 0.77], [0, -0.5, 0.87]], np.float32
)
"""Normals of a face that looks at the camera, over which exposure and white balance are taken."""

_DIRECTIONS = environments.sphere_directions()
_PATCHES = 6


def sample_lighting(key: jax.Array, place: jax.Array | None = None) -> Lighting:
    """Draw lighting about a head at the origin, in a frame with y up and z towards the camera.

    The camera meters and balances for a face that looks at it; `placed` takes the lighting to a camera's frame. place:
    [] int32 index into PLACES, drawn by their weights where None.
    """
    keys = jax.random.split(key, 6)
    drawn = jax.random.categorical(keys[0], jnp.log(_WEIGHTS)) if place is None else place
    low, high = jnp.asarray(_LOW)[drawn], jnp.asarray(_HIGH)[drawn]
    values = low + (high - low) * jax.random.uniform(keys[1], (len(_RANGES),))
    ranges = dict(zip(_RANGES, values, strict=True))
    direction, right, extent, colour = _lamps(keys[2], ranges)
    surroundings = _surroundings(keys[3], ranges)
    ambient = jnp.stack(
        environments.evaluate(environments.irradiance(surroundings), tuple(jnp.asarray(_METERED).T)), -1
    )
    share = 1.0 - ranges["key"] - ranges["fill"]
    lighting = Lighting(
        environment=environments.scaled(surroundings, share / jnp.maximum(luminance(ambient.mean(axis=0)), 0.2)),
        direction=direction,
        right=right,
        extent=extent,
        panes=jnp.where(jax.random.uniform(keys[4]) < jnp.asarray(_PANES)[drawn], 1.0, 0.0) * jnp.array([1.0, 0, 0]),
        nearness=ranges["nearness"] * jnp.array([1.0, 0.7, 0.5]),
        colour=colour,
        centre=jnp.asarray(HEAD_CENTRE, jnp.float32),
    )
    return _photographed(keys[5], lighting, ranges["stops"])


def _photographed(key: jax.Array, lighting: Lighting, stops: jax.Array) -> Lighting:
    """The camera's white balance (mostly right, a little green or magenta now and then) and exposure."""
    keys = jax.random.split(key, 3)
    mean = received(lighting, jnp.asarray(_METERED)).mean(axis=0)
    strength = jax.random.uniform(keys[0], (), minval=0.8, maxval=1.0)
    tint = jnp.exp(jax.random.normal(keys[1], (3,)) * jnp.array([0.03, 0.02, 0.03]))
    astray = 0.25 * jax.random.normal(keys[2])
    return exposed(lighting, white_balance(mean, strength) * tint * 2.0 ** (stops + astray) / luminance(mean))


def _lamps(key: jax.Array, ranges: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Directions [3,3], right [3,3], extents [3,2] and colours [3,3] of key, fill and rim light."""
    keys = jax.random.split(key, 6)
    side = jnp.where(jax.random.bernoulli(keys[0]), 1.0, -1.0)
    spread = jax.random.uniform(keys[1], (3,))
    azimuth = side * jnp.stack([ranges["azimuth"], -(10.0 + 60.0 * spread[0]), -(115.0 + 50.0 * spread[1])])
    elevation = jnp.stack([ranges["elevation"], -5.0 + 30.0 * spread[2], 5.0 + 45.0 * spread[0]])
    turn, lift = jnp.deg2rad(azimuth), jnp.deg2rad(elevation)
    direction = jnp.stack([jnp.sin(turn) * jnp.cos(lift), jnp.sin(lift), jnp.cos(turn) * jnp.cos(lift)], axis=-1)
    right = jnp.stack([jnp.cos(turn), jnp.zeros(3), -jnp.sin(turn)], axis=-1)
    size = jnp.stack([ranges["extent"], *jax.random.uniform(keys[2], (2,), minval=0.08, maxval=0.45)])
    shape = jnp.exp(0.3 * jax.random.normal(keys[3], (3,)))
    kelvin = jnp.stack([ranges["key_kelvin"], *_mixed_kelvin(keys[4], ranges)])
    metered = jnp.maximum(jnp.asarray(_METERED) @ direction.T, 0.0).mean(axis=0)
    power = jnp.stack([ranges["key"], ranges["fill"], ranges["rim"] * (jax.random.uniform(keys[5]) < 0.45)])
    power = power / jnp.maximum(metered, jnp.array([0.35, 0.35, 1.0]))
    return direction, right, jnp.stack([size * shape, size / shape], axis=-1), black_body(kelvin) * power[:, None]


def _mixed_kelvin(key: jax.Array, ranges: dict[str, jax.Array]) -> jax.Array:
    """Colour temperatures [2] of fill and rim: each like the key light, or like the surroundings."""
    share = jax.random.uniform(key, (2,))
    mired = (1.0 - share) * 1e6 / ranges["key_kelvin"] + share * 1e6 / ranges["kelvin"]
    return 1e6 / mired


def _surroundings(key: jax.Array, ranges: dict[str, jax.Array]) -> Environment:
    """Light from all round: brighter or darker above and below, with a few coloured patches as of walls and foliage."""
    keys = jax.random.split(key, 4)
    directions = jnp.asarray(_DIRECTIONS)
    height = directions[:, 1:2]
    base = 1.0 + jnp.where(height > 0, ranges["zenith"] - 1.0, 1.0 - ranges["ground"]) * height
    axes = jax.random.normal(keys[0], (_PATCHES, 3)) * jnp.array([1.0, 0.5, 1.0])
    axes = axes / jnp.linalg.norm(axes, axis=-1, keepdims=True)
    sharpness = jax.random.uniform(keys[1], (_PATCHES,), minval=1.5, maxval=6.0)
    patches = jnp.exp(sharpness * (directions @ axes.T - 1.0))
    hue = jnp.exp(ranges["saturation"] * jax.random.normal(keys[2], (_PATCHES, 3)))
    strength = ranges["unevenness"] * jax.random.uniform(keys[3], (_PATCHES, 1), minval=-0.5, maxval=1.6)
    radiance = jnp.maximum(base + patches @ (strength * hue / luminance(hue)[:, None]), 0.05)
    earth = jnp.array([1.15, 0.98, 0.8]) ** jnp.clip(-2.0 * height, 0.0, 1.0)
    return environments.project(radiance * earth * black_body(ranges["kelvin"]), directions)
