"""Train an alignment network: a laptop's processor, one GPU, or every device of a pod, with the same command.

    python experiments/train.py --config=configs/small_rendered.py --out=runs/small
    python experiments/train.py --config=configs/flowface_b5.py --out=runs/b5 --config.model.iterations=2

A run that was interrupted goes on when the same command is given again. Under SLURM, Kubernetes, on TPU pods and GCE
start the same command on every host; elsewhere add --processes=HOST:PORT,COUNT,INDEX. All hosts must see the folder.
"""

import logging
import sys

from absl import app, flags
from ml_collections import config_flags

from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import FlowfaceError
from flowface_jax.reporting import SilentReporter, TerminalReporter
from flowface_jax.training.distributed import start
from flowface_jax.training.experiment import as_training_config

_CONFIG = config_flags.DEFINE_config_file("config", None, "Settings of the run, a file of configs/.", lock_config=True)
_OUT = flags.DEFINE_string("out", None, "Folder of the run.")
_PROCESSES = flags.DEFINE_string("processes", "auto", "auto, none, or HOST:PORT,COUNT,INDEX.")
flags.mark_flags_as_required(["config", "out"])
_log = logging.getLogger("flowface")


def main(arguments: list[str]) -> None:
    """Join the other processes, then train."""
    if len(arguments) > 1:
        raise app.UsageError(f"expected flags only, found '{arguments[1]}'")
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    logging.getLogger("absl").setLevel(logging.WARNING)
    try:
        keep_compilations()
        _log.info("%s", start(_PROCESSES.value))
        # Devices are looked at from here on: not before the processes have been joined.
        import jax

        from flowface_jax.training.run import train

        first = jax.process_index() == 0
        result = train(as_training_config(_CONFIG.value), _OUT.value, TerminalReporter() if first else SilentReporter())
    except FlowfaceError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    _log.info("step %d, %s; %s holds step %d", result.step, _told(result.measured), result.weights, result.best_step)


def _told(measured: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in measured.items())


if __name__ == "__main__":
    app.run(main)
