"""How a person looks and what surrounds them: everything that stays the same over a sequence."""

from __future__ import annotations

import dataclasses

import jax

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
    return Appearance(
        skin=skin,
        eyes=sample_eyes(keys[1], skin.melanin),
        mouth=sample_mouth(keys[2], skin.melanin),
        hair=dataclasses.replace(sample_hair(keys[3]), colour=skin.hair, tip=skin.hair),
        lashes=sample_lashes(keys[4]),
        glasses=sample_glasses(keys[5], GLASSES * accessories),
        hat=sample_hat(keys[6], HATS * accessories),
        clothes=sample_clothes(keys[7]),
        lighting=sample_lighting(keys[8]),
        background=sample_background(keys[9]),
        photography=sample_photography(jax.random.fold_in(key, 1)),
    )
