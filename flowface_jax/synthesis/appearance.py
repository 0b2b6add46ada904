"""How a person looks and what surrounds them: everything that stays the same over a sequence."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair import HairStyle, Lashes, sample_hair, sample_lashes
from flowface_jax.synthesis.image.photography import Photography, sample_photography
from flowface_jax.synthesis.image.settings import Background, sample_background
from flowface_jax.synthesis.lighting import Lighting, sample_lighting
from flowface_jax.synthesis.materials.eyes import EyeParameters, sample_eyes
from flowface_jax.synthesis.materials.mouths import MouthParameters, sample_mouth
from flowface_jax.synthesis.skin.parameters import SkinParameters, sample_skin
from flowface_jax.synthesis.wearables import Clothes, Glasses, Hat, sample_clothes, sample_glasses, sample_hat

GLASSES, HATS = 0.2, 0.12
"""Shares of people who wear them."""


@pytree_dataclass
class Appearance:
    """The parameters of a person, their surroundings and the camera that films them. See the parts' own packages."""

    skin: SkinParameters
    eyes: EyeParameters
    mouth: MouthParameters
    hair: HairStyle
    lashes: Lashes
    glasses: Glasses
    hat: Hat
    clothes: Clothes
    lighting: Lighting
    background: Background
    photography: Photography


def sample_appearance(key: jax.Array, accessories: jax.Array | float = 1.0) -> Appearance:
    """Draw a person of any skin tone, age and fashion, somewhere, filmed by some camera.

    accessories: factor on the shares of glasses and headgear, 0 for none.
    """
    keys = jax.random.split(key, 10)
    skin = sample_skin(keys[0])
    hair = sample_hair(keys[3], masculine=skin.masculine, age=skin.age, melanin=skin.melanin)
    skin, hair = _matched(skin, hair)
    return Appearance(
        skin=skin,
        eyes=sample_eyes(keys[1], skin.melanin),
        mouth=sample_mouth(keys[2], skin.melanin),
        hair=hair,
        lashes=sample_lashes(keys[4], 0.02 + 0.45 * (1.0 - skin.masculine)),
        glasses=sample_glasses(keys[5], GLASSES * accessories),
        hat=sample_hat(keys[6], HATS * accessories, masculine=skin.masculine),
        clothes=sample_clothes(keys[7], masculine=skin.masculine),
        lighting=sample_lighting(keys[8]),
        background=sample_background(keys[9]),
        photography=sample_photography(jax.random.fold_in(key, 1)),
    )


def _matched(skin: SkinParameters, hair: HairStyle) -> tuple[SkinParameters, HairStyle]:
    """Hair of the skin's own pigments, over a scalp on which short hair begins where the locks do.

    Brows and beard have the skin's pigments already. Ends are lighter than roots by as much as the style drew.
    """
    natural = skin.hair
    ends = jnp.clip(hair.tip / jnp.maximum(hair.colour, 1e-3), 0.9, 1.6)
    hair = dataclasses.replace(
        hair, colour=natural, tip=jnp.minimum(natural * ends, jnp.maximum(natural, 0.5)), grey=jnp.zeros(())
    )
    thinned = jnp.clip(hair.receding, 0.0, 1.0)
    covered = (hair.present > 0) & (hair.thickness > 0.001)
    # A full head of hair shows short hair between its roots; a thinning one shows skin.
    scalp = jnp.where(covered, jnp.maximum(skin.scalp, 0.75) * (1.0 - 0.7 * thinned), skin.scalp)
    hairline = jnp.where(covered, jnp.clip(skin.hairline, -2.0, 1.0) + 9.0 * thinned, skin.hairline)
    return dataclasses.replace(skin, scalp=scalp, hairline=hairline), hair
