"""Changes of training samples at random, so that the network meets more than was photographed (paper, appendix D.2)."""

from flowface_jax.training.augmentation.augment import augment, photometric, plain_crops
from flowface_jax.training.augmentation.background import made_up_pictures
from flowface_jax.training.augmentation.config import PRESETS, AugmentationConfig, augmentation_preset

__all__ = [
    "PRESETS",
    "AugmentationConfig",
    "augment",
    "augmentation_preset",
    "made_up_pictures",
    "photometric",
    "plain_crops",
]
