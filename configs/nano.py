"""The bundled network `flowface-nano`: small enough for processors, trained on cached captures (experiments/bundled).

python experiments/train.py --config=configs/nano.py --out=runs/nano --config.data.records=runs/captures/generic_0,…
"""

from ml_collections import ConfigDict

from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.experiment import as_config_dict


def get_config() -> ConfigDict:
    """Crops of 160 px; a first guess and two refinements; lids and lips count more."""
    config = as_config_dict(TrainingConfig())
    config.model.backbone = "nano"
    config.model.image_size = 160
    config.model.uv_size = 96
    config.model.iterations = 2
    config.model.feature_size = 64
    config.model.hidden_size = 64
    config.model.texture_size = 16
    config.model.correlation_levels = 2
    config.model.correlation_radius = 2
    config.loss.std_floor = 0.1
    config.loss.distance_weight = 1.0
    config.loss.residual_limit = 40.0
    config.loss.dense_weight = 0.02
    config.optimiser.learning_rate = 5e-4
    config.optimiser.schedule = "cosine"
    config.optimiser.last_share = 0.03
    config.optimiser.warmup_steps = 100
    config.optimiser.clip_norm = 5.0
    config.data.region_weights = ("lips=3", "eyelids=4", "brows=1.5")
    config.data.rendered_share = 0.0
    config.data.records = ("runs/captures/generic_0",)
    config.data.validation_records = ("runs/captures/validation",)
    config.data.validation_crops = 256
    config.run.batch_size = 16
    config.run.average_decay = 0.998
    config.run.evaluate_every = 1000
    config.run.checkpoint_every = 500
    return config
