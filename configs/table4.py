"""The rows of the paper's tables 3 and 4: the published run with another encoder or another number of iterations.

    python experiments/train.py --config=configs/table4.py:mit_b2 --out=runs/table4/mit_b2

Rows: resnet101 (the dense landmarks of Wood et al.), prnet (section 4.5), bisenet_v2, mit_b1, mit_b2, and mit_b5_1 to
mit_b5_4 with so many iterations. The paper's BiSeNet-v2 has 17.6 million parameters, of which bisenet_v2_wide is our
guess.
"""

from pathlib import Path

from ml_collections import ConfigDict

from flowface_jax.training.experiment import as_config_dict
from flowface_jax.training.sweeps.planning import load_config

ROWS = (
    "resnet101",
    "prnet",
    "bisenet_v2",
    "bisenet_v2_wide",
    "mit_b1",
    "mit_b2",
    "mit_b5_1",
    "mit_b5_2",
    "mit_b5_3",
    "mit_b5_4",
)


def get_config(row: str) -> ConfigDict:
    """The run of a row. Raises ValueError for a name that is none."""
    if row not in ROWS:
        raise ValueError(f"configs/table4.py: expected a row after the colon, one of {', '.join(ROWS)}; found '{row}'")
    config = as_config_dict(load_config(str(Path(__file__).with_name("flowface_b5.py"))))
    backbone, _, iterations = row.rpartition("_") if row.startswith("mit_b5_") else (row, "", "3")
    config.model.backbone = backbone
    config.model.iterations = int(iterations)
    if backbone == "prnet":
        config.model.image_size = 256
    pretrained = {"prnet": (), "bisenet_v2_wide": ()}
    config.run.initial = pretrained.get(backbone, (f"assets/{backbone}.safetensors",))
    return config
