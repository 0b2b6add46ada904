"""The bundled network `flowface-nano`: small enough for processors, trained on cached captures (experiments/bundled).

    python experiments/train.py --config=configs/nano.py --out=runs/nano
    python experiments/train.py --config=configs/nano.py:real --out=runs/nano_real
    python experiments/train.py --config=configs/nano.py:more --out=runs/nano_more
    python experiments/train.py --config=configs/nano.py:last --out=runs/nano_last
    python experiments/train.py --config=configs/nano.py:bent --out=runs/nano_bent

The second is from the weights of the first: a quarter of every batch is real frames, one more refinement, lids and lips
weighted more, down to a small learning rate. The third is as the second, from its weights, on more captures, with the
openings of lids and mouth weighted more still; the fourth goes on so, on all captures of that time; the fifth with two
folders more, mirror images of the real frames, and every crop bent. experiments/bundled/README.md has all commands.
"""

from ml_collections import ConfigDict

from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.experiment import as_config_dict

STAGES = ("synthetic", "real", "more", "last", "bent")
CAPTURES = ("generic_0", "generic_1", "generic_2", "ict_0", "ict_2")
MORE_CAPTURES = ("generic_3", "generic_4")
LAST_CAPTURES = ("ict_1", "ict_3", "ict_4", "ict_5", "ict_6")
BENT_CAPTURES = ("ict_7", "ict_8")


def get_config(stage: str = "synthetic") -> ConfigDict:
    """Crops of 160 px; a first guess and one refinement; lids and lips count more; augmented mildly. Raises ValueError
    for a stage that is none.
    """
    if stage not in STAGES:
        raise ValueError(f"configs/nano.py: expected a stage after the colon ({', '.join(STAGES)}), found '{stage}'")
    config = _synthetic()
    if stage != "synthetic":
        _refined(config)
    if stage == "real":
        _learn_from(config, CAPTURES, ("3",) * len(CAPTURES), "real", "5")
        config.run.steps = 2600
        config.run.initial = ("runs/nano/network.safetensors",)
    if stage == "more":
        config.loss.opening_weight = 1.0
        config.loss.opening_emphasis = 10.0
        weights = ("3", "3", "3", "4", "4", "3", "3")
        _learn_from(config, (*CAPTURES, *MORE_CAPTURES), weights, "real", "8")
        config.run.steps = 3000
        config.run.initial = ("runs/nano_real/network.safetensors",)
    if stage in ("last", "bent"):
        config.loss.opening_weight = 1.5
        config.loss.opening_emphasis = 15.0
        config.run.steps = 4000
    if stage == "last":
        captures = (*CAPTURES, *MORE_CAPTURES, *LAST_CAPTURES)
        _learn_from(config, captures, ("3",) * len(captures), "real", "12")
        config.run.initial = ("runs/nano_wider/network.safetensors",)
    if stage == "bent":
        captures = (*CAPTURES, *MORE_CAPTURES, *LAST_CAPTURES, *BENT_CAPTURES)
        _learn_from(config, captures, ("3",) * len(captures), "real_mirrored", "16")
        config.augmentation.bend = 0.4
        config.run.initial = ("runs/nano_last/network.safetensors",)
    return config


def _synthetic() -> ConfigDict:
    """The first run, on captures alone; all others change it."""
    config = as_config_dict(TrainingConfig())
    config.model.backbone = "nano"
    config.model.image_size = 160
    config.model.uv_size = 96
    config.model.iterations = 1
    config.model.feature_size = 64
    config.model.hidden_size = 64
    config.model.texture_size = 16
    config.model.correlation_levels = 2
    config.model.correlation_radius = 2
    config.loss.std_floor = 0.1
    config.loss.distance_weight = 1.0
    config.loss.residual_limit = 40.0
    config.loss.dense_weight = 0.02
    config.optimiser.learning_rate = 4e-4
    config.optimiser.schedule = "cosine"
    config.optimiser.last_share = 0.2
    config.optimiser.warmup_steps = 100
    config.optimiser.clip_norm = 5.0
    # The captures are hidden, lit and degraded already; more of it on top keeps a small network at the mean face.
    config.augmentation.scale = 0.1
    config.augmentation.shift = 0.05
    config.augmentation.rotation = 6.0
    config.augmentation.background_probability = 0.0
    config.augmentation.occlusion_probability = 0.1
    config.augmentation.colour_probability = 0.5
    config.augmentation.grey_probability = 0.03
    config.augmentation.noise_probability = 0.2
    config.augmentation.blur_probability = 0.1
    config.augmentation.coarse_probability = 0.1
    config.augmentation.compression_probability = 0.2
    config.data.region_weights = ("lips=3", "eyelids=4", "brows=1.5")
    config.data.rendered_share = 0.0
    config.data.records = tuple(f"runs/captures/{name}" for name in CAPTURES)
    config.data.validation_records = ("runs/captures/quick",)
    config.data.validation_crops = 256
    config.run.batch_size = 16
    config.run.steps = 3800
    config.run.average_decay = 0.998
    config.run.evaluate_every = 1000
    config.run.checkpoint_every = 500
    config.run.initial = ("runs/start.safetensors",)
    return config


def _refined(config: ConfigDict) -> None:
    """What every run after the first has."""
    config.model.iterations = 2
    config.loss.opening_weight = 0.5
    config.optimiser.learning_rate = 3e-4
    config.optimiser.last_share = 0.02
    config.augmentation.rotation = 8.0
    config.augmentation.colour_probability = 0.6
    config.data.region_weights = ("lips=4", "eyelids=6", "brows=1.5")


def _learn_from(
    config: ConfigDict, captures: tuple[str, ...], weights: tuple[str, ...], real: str, real_weight: str
) -> None:
    """Folders of captures and of real frames, and how often each is drawn from."""
    config.data.records = tuple(f"runs/captures/{name}" for name in (*captures, real))
    config.data.record_weights = (*weights, real_weight)
