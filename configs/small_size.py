"""The bundled architecture beside the paper's direct regressor, ResNet-101, on an equal budget at a small size.

    python experiments/train.py --config=configs/small_size.py:nano --out=runs/small_size/nano
    python experiments/train.py --config=configs/small_size.py:resnet101 --out=runs/small_size/resnet101

Both see the same crops of the built-in head in the same order; each starts from the mean of these captures
(experiments/bundled/start.py), not from ImageNet. experiments/bundled/README.md has all commands.
"""

from pathlib import Path

from ml_collections import ConfigDict

from flowface_jax.heads.generic import generic_head
from flowface_jax.training.experiment import as_config_dict
from flowface_jax.training.sweeps.planning import load_config

ROWS = ("nano", "resnet101")
CAPTURES = tuple(f"runs/captures/generic_{k}" for k in range(5))


def get_config(row: str) -> ConfigDict:
    """24,000 crops of 96 px. Raises ValueError for a row that is none."""
    if row not in ROWS:
        raise ValueError(f"configs/small_size.py: expected a row after the colon, {' or '.join(ROWS)}; found '{row}'")
    config = as_config_dict(load_config(str(Path(__file__).with_name("nano.py"))))
    config.model.backbone = row
    config.model.image_size = 96
    config.model.vertex_count = generic_head().vertex_count
    config.data.records = CAPTURES
    config.data.record_weights = ()
    config.data.validation_records = ("runs/captures/validation_generic",)
    config.run.steps = 1_500
    config.run.average_decay = 0.99
    config.run.evaluate_every = 500
    config.run.initial = (f"runs/small_size/{row}_start.safetensors",)
    return config
