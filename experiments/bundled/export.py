"""Put a trained network into the package: its weights, the factor on σ that real frames ask for, and how it was made.

    python experiments/bundled/export.py --weights runs/nano_real/network.safetensors --name flowface-nano \
        --std-scale 1.3 --runs runs/nano runs/nano_real
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from flowface_jax.errors import InputError
from flowface_jax.network.bundled import FOLDER
from flowface_jax.network.weights.store import NETWORK, load_weights, save_weights
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.logs import EVALUATIONS

LARGEST = 40e6
"""Bytes that a bundled network may have."""


def main() -> None:
    """Write NAME.safetensors and NAME.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, help="network.safetensors of a run")
    parser.add_argument("--name", required=True, help="what `flowface track --aligner` is to know it as")
    parser.add_argument("--std-scale", type=float, default=1.0, help="printed by evaluate.py real --calibrate")
    parser.add_argument("--runs", type=Path, nargs="+", required=True, help="folders of the runs, the first first")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the package's folder of networks")
    options = parser.parse_args()
    weights = load_weights(options.weights, NETWORK)
    if options.weights.stat().st_size > LARGEST:
        raise InputError(f"{options.weights} has {options.weights.stat().st_size} bytes; expected at most {LARGEST:g}")
    config = {**weights.config, "std_scale": options.std_scale}
    made = f"experiments/bundled, {len(options.runs)} runs; see {options.name}.json"
    save_weights(options.folder / f"{options.name}.safetensors", NETWORK, weights.variables, config, made)
    write_json(options.folder / f"{options.name}.json", {"runs": [_run(run) for run in options.runs]})


def _run(folder: Path) -> dict[str, object]:
    """The settings of a run, and what it reached. Raises InputError where the folder is none of a run."""
    config = read_json(folder / "config.json", "the settings of a training run")
    lines = (folder / EVALUATIONS).read_text(encoding="utf-8").splitlines()
    # Folders of records have other places elsewhere; their names are what counts.
    data = config["data"]
    for name in ("records", "validation_records"):
        data[name] = [Path(record).name for record in data[name]]
    config["run"]["initial"] = [Path(path).name for path in config["run"]["initial"]]
    return {"config": config, "evaluations": [json.loads(line) for line in lines]}


if __name__ == "__main__":
    main()
