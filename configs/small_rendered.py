"""A small network on rendered crops of the built-in head: no file needed, half an hour on a laptop's processor.

python experiments/train.py --config=configs/small_rendered.py --out=runs/small
"""

from ml_collections import ConfigDict

from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.experiment import as_config_dict


def get_config() -> ConfigDict:
    """PRNet at 64 px: it regresses the map at once, where matching starts slowly from nothing."""
    config = as_config_dict(TrainingConfig())
    config.model.backbone = "prnet"
    config.model.image_size = 64
    config.loss.std_floor = 0.1
    config.loss.distance_weight = 1.0
    config.optimiser.learning_rate = 1e-3
    config.optimiser.schedule = "cosine"
    config.optimiser.warmup_steps = 100
    config.optimiser.clip_norm = 5.0
    config.data.rendered_crops = 24_000
    config.data.validation_crops = 64
    config.run.batch_size = 16
    config.run.steps = 1_500
    config.run.average_decay = 0.98
    config.run.evaluate_every = 100
    config.run.checkpoint_every = 100
    return config
