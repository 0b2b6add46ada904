"""A small training run: python tests/training/run_once.py PROCESSES ARCHIVE OUT [NAME=VALUE of section run …]"""

import sys
from typing import Any

import jax

from flowface_jax.training.config import TrainingConfig, training_config


def small_run(archive: str, **run: Any) -> TrainingConfig:
    """Four steps of four painted heads at 32 px; evaluated and saved every second step."""
    return training_config(
        {
            "model": {"backbone": "mit_b0", "image_size": 32, "uv_size": 8, "iterations": 1},
            "data": {
                "rendered_share": 0.0,
                "records": (archive,),
                "validation_records": (archive,),
                "validation_crops": 4,
            },
            "augmentation": {"occlusion_probability": 0.0, "background_probability": 0.0, "colour_probability": 0.0},
            "run": {
                "batch_size": 4,
                "steps": 4,
                "evaluate_every": 2,
                "checkpoint_every": 2,
                "average_decay": 0.9,
                "log_every": 1,
                "pictures": 2,
                **run,
            },
        }
    )


if __name__ == "__main__":
    from flowface_jax.training.distributed import start
    from flowface_jax.training.run import train

    # Plumbing, not speed: the optimiser of the compiler takes most of the time.
    jax.config.update("jax_disable_most_optimizations", True)
    processes, archive, out, *settings = sys.argv[1:]
    start(processes)
    train(small_run(archive, **dict(item.split("=", 1) for item in settings)), out)
