"""Glasses, headgear and clothes as geometry that fits the posed head."""

from flowface_jax.synthesis.wearables.clothes import Clothes, build_clothes, hidden_by_clothes, sample_clothes
from flowface_jax.synthesis.wearables.fit import WearableAssets, make_wearable_assets
from flowface_jax.synthesis.wearables.glasses import Eyewear, Glasses, build_glasses, sample_glasses
from flowface_jax.synthesis.wearables.hats import Cover, Hat, build_hat, hat_cover, sample_hat

__all__ = [
    "Clothes",
    "Cover",
    "Eyewear",
    "Glasses",
    "Hat",
    "WearableAssets",
    "build_clothes",
    "build_glasses",
    "build_hat",
    "hat_cover",
    "hidden_by_clothes",
    "make_wearable_assets",
    "sample_clothes",
    "sample_glasses",
    "sample_hat",
]
