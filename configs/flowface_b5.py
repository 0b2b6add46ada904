"""The published setting: SegFormer MiT-b5, 512 px, 64 UV cells, three iterations (paper, section 4).

    python experiments/train.py --config=configs/flowface_b5.py --out=runs/b5 \
        --config.data.records='("records/facescape","records/stirling","records/famos")'

The paper does not tell the batch size, nor weight decay; these are ours. `flowface prepare` makes records, FLAME's
file comes from its authors, and MiT-b5's weights from `flowface convert weights`.
"""

from ml_collections import ConfigDict

from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.experiment import as_config_dict


def get_config() -> ConfigDict:
    """The paper's run."""
    config = as_config_dict(TrainingConfig())
    config.data.head = "assets/flame.npz"
    config.data.rendered_share = 0.0
    config.data.records = ("records/facescape", "records/stirling", "records/famos")
    config.data.validation_records = ("records/validation",)
    config.data.backgrounds = "assets/dtd/images"
    config.optimiser.learning_rate = 1e-4
    config.optimiser.schedule = "steps"
    config.optimiser.decay = 0.1
    config.optimiser.decays = 3
    config.run.epochs = 6
    config.run.batch_size = 64
    config.run.precision = "bfloat16"
    config.run.rematerialised = True
    config.run.initial = ("assets/mit_b5.safetensors",)
    return config
