"""Draw the curves of training runs: the error on validation crops, the loss, and how often σ is right.

python experiments/training_curves.py runs/small [runs/other …] --out curves.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib.pyplot as plt

from flowface_jax.errors import InputError
from flowface_jax.training.logs import EVALUATIONS

RIGHT = {"within_one_std": 39.3, "within_two_std": 86.5}
"""Per cent of a circular Gaussian within one and two standard deviations."""


def main() -> None:
    """Read the runs' evaluations and draw three panels."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="folders of training runs")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args()
    figure, (error, loss, sigma) = plt.subplots(1, 3, figsize=(12, 3.4), constrained_layout=True)
    for run in options.runs:
        lines = _evaluations(run)
        steps = [line["step"] for line in lines]
        error.plot(steps, [line["nme"] for line in lines], marker=".", label=run.name)
        loss.plot(steps, [line["loss"] for line in lines], marker=".", label=f"{run.name}: validation")
        loss.plot(steps, [line["train_loss"] for line in lines], alpha=0.4, label=f"{run.name}: training")
        for name, right in RIGHT.items():
            sigma.plot(steps, [line[name] for line in lines], marker=".", label=f"{run.name}: {name}")
            sigma.axhline(right, color="grey", linewidth=0.7, linestyle=":")
    error.set(title="NME, % of the face box", xlabel="step")
    loss.set(title="negative log-likelihood", xlabel="step")
    sigma.set(title="points within 1 and 2 σ, %", xlabel="step", ylim=(0, 100))
    for axes in (error, loss, sigma):
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=110)


def _evaluations(run: Path) -> list[dict[str, float]]:
    """The evaluations of a run. Raises InputError where there are none."""
    path = run / EVALUATIONS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not lines:
        raise InputError(f"{run} holds no evaluations; expected the folder of a training run")
    return [json.loads(line) for line in lines]


if __name__ == "__main__":
    main()
