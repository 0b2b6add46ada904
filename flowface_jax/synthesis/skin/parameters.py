"""What makes one person's skin: drawn once per person, constant over a sequence."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.skin.pigments import hair_colour

MOLES = 6
BEARD_PARTS = ("moustache", "goatee", "soul_patch", "jaw", "cheek", "sideburn", "throat")
CREASES = ("forehead", "glabella", "crow_feet", "nasolabial", "marionette", "under_eye", "throat")

# Shares of a full beard's density that each style keeps, in the order of BEARD_PARTS.
_BEARD_STYLES = (
    (1.0, 1.0, 1.0, 1.0, 0.85, 0.8, 0.5),
    (1.0, 1.0, 1.0, 0.9, 0.35, 0.5, 0.2),
    (1.0, 1.0, 0.9, 0.08, 0.05, 0.1, 0.05),
    (1.0, 0.15, 0.3, 0.1, 0.08, 0.15, 0.08),
    (0.12, 1.0, 1.0, 0.12, 0.05, 0.1, 0.06),
    (0.15, 1.0, 0.5, 1.0, 0.5, 0.9, 0.2),
)


@pytree_dataclass
class SkinParameters:
    """One person's skin; all scalars unless a shape is given.

    seed: key of the noises. masculine: 1 or 0, which fashions go with it. melanin, blood, carotene: see
    `pigments.log_skin`. age: 0 young to 1 old. blotches: unevenness of blood. flush: blood in cheeks, nose and ears.
    freckles: 0 to 1. moles: [MOLES,4] (u, v, radius in atlas units, darkness 0 to 1). veins: 0 to 1. shadows: darkness
    under the eyes, 0 to 1. creases: [7] depth of each of CREASES, 0 to 1. pores: strength of fine relief. oil: 0 matt
    to 1 shining. lips: blood in the lips. lip_melanin: extra melanin there. lip_gloss: 0 dry to 1 wet. hair: [3]
    colour of the scalp hair, linear. brow_colour, beard_colour: [3]. brow: [6] (half thickness mm, arch mm, length as
    share, taper, density, height mm). beard: [7] density of each of BEARD_PARTS, 0 to 1. beard_length: 0 shaved shadow
    to 1 full. scalp: density of short hair painted on the scalp. hairline: mm higher than average. lipstick,
    eyeshadow: [4] (linear colour, opacity). eyeliner: [2] (opacity, width mm). blush: opacity of rouge. foundation:
    evenness, 0 to 1.
    """

    seed: jax.Array
    masculine: jax.Array
    melanin: jax.Array
    blood: jax.Array
    carotene: jax.Array
    age: jax.Array
    blotches: jax.Array
    flush: jax.Array
    freckles: jax.Array
    moles: jax.Array
    veins: jax.Array
    shadows: jax.Array
    creases: jax.Array
    pores: jax.Array
    oil: jax.Array
    lips: jax.Array
    lip_melanin: jax.Array
    lip_gloss: jax.Array
    hair: jax.Array
    brow_colour: jax.Array
    beard_colour: jax.Array
    brow: jax.Array
    beard: jax.Array
    beard_length: jax.Array
    scalp: jax.Array
    hairline: jax.Array
    lipstick: jax.Array
    eyeshadow: jax.Array
    eyeliner: jax.Array
    blush: jax.Array
    foundation: jax.Array


class _Draw:
    """Named-in-order random draws from one key."""

    def __init__(self, key: jax.Array, count: int) -> None:
        self._uniforms = jax.random.uniform(key, (count,))
        self._next = 0

    def unit(self) -> jax.Array:
        self._next += 1
        return self._uniforms[self._next - 1]

    def between(self, low: float, high: float) -> jax.Array:
        return low + (high - low) * self.unit()

    def chance(self, share: jax.Array | float) -> jax.Array:
        return self.unit() < share

    def normal(self, deviation: float) -> jax.Array:
        # The logistic distribution, cut at 2.9 deviations, is near enough to the normal one and needs no inverse error
        # function.
        u = 0.005 + 0.99 * self.unit()
        return deviation * 0.5513 * jnp.log(u / (1 - u))


def sample_skin(key: jax.Array) -> SkinParameters:
    """Draw one person's skin, over all skin tones, ages and fashions."""
    seed, key, moles_key = jax.random.split(key, 3)
    draw = _Draw(key, 80)
    melanin = draw.unit() ** 1.15
    age = jnp.where(draw.chance(0.55), 0.35 * draw.unit(), draw.unit())
    masculine = draw.chance(0.5)
    hair, grey = _sample_hair(draw, melanin, age)
    brow_colour = (0.25 + 0.6 * draw.unit()) * hair * (1 - 0.35 * grey)
    brow_colour = 0.11 * jnp.tanh(brow_colour / 0.11) * jnp.array([1.05, 0.80, 0.62])
    made_up = draw.chance(jnp.where(masculine, 0.01, 0.6))
    lipstick, eyeshadow, eyeliner = _sample_make_up(draw, made_up, melanin)
    beard, length = _sample_beard(draw, masculine, age)
    return SkinParameters(
        seed=seed,
        masculine=masculine.astype(jnp.float32),
        melanin=melanin,
        blood=draw.normal(0.07),
        carotene=draw.normal(0.16),
        age=age,
        blotches=draw.between(0.02, 0.09) * (1 + 0.6 * age),
        flush=draw.between(0.0, 0.30),
        freckles=jnp.where(draw.chance(0.2 + 0.15 * (melanin < 0.3)), draw.unit() ** 1.5, 0.0),
        moles=_sample_moles(moles_key),
        veins=draw.unit() ** 2 * (1 - melanin),
        shadows=draw.between(0.05, 0.7) * (0.6 + 0.6 * age),
        creases=_sample_creases(draw, age),
        pores=draw.between(0.3, 1.0),
        oil=draw.unit() ** 1.3,
        lips=draw.between(0.3, 0.85),
        lip_melanin=draw.between(0.0, 0.10) + 0.06 * melanin,
        lip_gloss=draw.unit() ** 1.5,
        hair=hair,
        brow_colour=brow_colour,
        beard_colour=jnp.clip(hair * draw.between(0.5, 1.0) * jnp.array([1.15, 1.0, 0.9]), 0.003, 0.5),
        brow=_sample_brow(draw, masculine, made_up),
        beard=beard,
        beard_length=length,
        scalp=jnp.where(draw.chance(0.15), 0.0, draw.between(0.4, 1.0)),
        hairline=draw.normal(4.0) + jnp.where(masculine, age * 14.0 * draw.unit(), 0.0),
        lipstick=lipstick,
        eyeshadow=eyeshadow,
        eyeliner=eyeliner,
        blush=jnp.where(made_up, 0.6 * draw.unit(), 0.0),
        foundation=jnp.where(made_up, draw.between(0.2, 0.8), 0.0),
    )


def _sample_hair(draw: _Draw, melanin: jax.Array, age: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Colour of the scalp hair [3] and its share of grey; dark skin seldom comes with fair hair."""
    fair = draw.chance(jnp.clip(1.0 - 2.4 * melanin, 0.008, 0.8))
    eumelanin = jnp.where(fair, 0.14 * 16.0 ** draw.unit(), (2.2 + 2.0 * melanin) * 4.0 ** draw.unit())
    red = draw.chance(0.12) & fair
    pheomelanin = jnp.where(red, draw.between(0.5, 1.3), 0.25 * draw.unit() * fair)
    grey = jnp.clip((age - 0.52 + 0.3 * (draw.unit() - 0.5)) * 2.4, 0.0, 1.0) * draw.unit() ** 0.5
    return hair_colour(eumelanin, pheomelanin, grey), grey


def _sample_creases(draw: _Draw, age: jax.Array) -> jax.Array:
    each = jnp.stack([draw.between(0.15, 1.0) for _ in CREASES])
    return jnp.clip(each * (0.12 + 1.1 * age**1.3), 0.0, 1.2)


def _sample_brow(draw: _Draw, masculine: jax.Array, made_up: jax.Array) -> jax.Array:
    thickness = jnp.where(masculine, draw.between(3.0, 5.2), draw.between(2.0, 4.2))
    density = jnp.where(made_up, draw.between(0.7, 1.0), draw.between(0.35, 1.0))
    parts = (
        thickness,
        draw.between(-1.0, 2.5),
        draw.between(0.88, 1.1),
        draw.between(0.35, 0.8),
        density,
        draw.normal(1.0),
    )
    return jnp.stack(parts)


def _sample_beard(draw: _Draw, masculine: jax.Array, age: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Densities of the beard's parts [7] and the length of its hairs."""
    style = jnp.asarray(_BEARD_STYLES)[
        jnp.floor(draw.unit() * len(_BEARD_STYLES)).astype(jnp.int32) % len(_BEARD_STYLES)
    ]
    stubble = jnp.asarray([1.0, 0.95, 0.9, 0.85, 0.55, 0.6, 0.45])
    grown = draw.chance(0.36)
    parts = jnp.where(grown, style, stubble) * draw.between(0.6, 1.0)
    length = jnp.where(grown, draw.between(0.45, 1.0), 0.45 * draw.unit() ** 1.5)
    bearded = masculine & draw.chance(jnp.where(age < 0.08, 0.4, 0.88))
    return jnp.where(bearded, parts, 0.0), jnp.where(bearded, length, 0.0)


def _sample_make_up(draw: _Draw, made_up: jax.Array, melanin: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Lipstick [4], eyeshadow [4] (colour, opacity) and eyeliner [2] (opacity, width mm)."""
    depth = draw.unit() ** 1.5
    strength = 0.14 + 0.5 * (1 - depth) * (1 - 0.5 * melanin)
    redness, warm = draw.between(0.06, 0.5), draw.between(0.75, 1.5)
    lip = strength * jnp.stack([jnp.ones(()), redness, redness / warm])
    lip_opacity = jnp.where(made_up & draw.chance(0.75), draw.between(0.2, 0.85), 0.0)
    smoky = jnp.stack([draw.between(0.06, 0.35), draw.between(0.05, 0.24), draw.between(0.05, 0.26)])
    brown = jnp.array([0.28, 0.15, 0.10])
    shadow = jnp.where(draw.chance(0.3), smoky, brown * draw.between(0.3, 1.3))
    shadow_opacity = jnp.where(made_up & draw.chance(0.6), draw.between(0.1, 0.65), 0.0)
    liner_opacity = jnp.where(made_up & draw.chance(0.65), draw.between(0.3, 0.95), 0.0)
    return (
        jnp.concatenate([lip, lip_opacity[None]]),
        jnp.concatenate([shadow, shadow_opacity[None]]),
        jnp.stack([liner_opacity, draw.between(0.6, 1.8)]),
    )


def _sample_moles(key: jax.Array) -> jax.Array:
    """Moles [MOLES,4] over the face (u, v, radius in atlas units, darkness); many are too faint to see."""
    u = jax.random.uniform(key, (4, MOLES))
    centre = jnp.stack([0.18 + 0.64 * u[0], 0.2 + 0.5 * u[1]], -1)
    radius = 0.0025 + 0.004 * u[2] ** 2
    darkness = jnp.clip(1.8 * u[3] - 1.0, 0.0, 0.8)
    return jnp.concatenate([centre, radius[:, None], darkness[:, None]], -1)
