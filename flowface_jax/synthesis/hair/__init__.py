"""Hair and eyelashes as geometry that follows the posed head."""

from flowface_jax.synthesis.hair.assets import HairAssets, make_hair_assets
from flowface_jax.synthesis.hair.grow import grow_hair
from flowface_jax.synthesis.hair.lashes import Lashes, grow_lashes, sample_lashes
from flowface_jax.synthesis.hair.style import STYLE_NAMES, HairStyle, sample_hair

__all__ = [
    "STYLE_NAMES",
    "HairAssets",
    "HairStyle",
    "Lashes",
    "grow_hair",
    "grow_lashes",
    "make_hair_assets",
    "sample_hair",
    "sample_lashes",
]
