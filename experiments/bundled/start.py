"""Write the network that a run starts from: nano's first guess is the mean and the main modes of given samples, and it
knows how the modes follow from where single cells are found; ResNet-101's first guess is the mean.

python experiments/bundled/start.py --config configs/nano.py --samples CAPTURES MORE --out runs/start.safetensors
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.source import load_head
from flowface_jax.network import AlignmentNetwork, initial_variables
from flowface_jax.network.nano import FINER, MATCHED, MODES, SHIFT, gathered
from flowface_jax.network.weights import save_weights
from flowface_jax.network.weights.store import NETWORK
from flowface_jax.training.archive import open_archive
from flowface_jax.training.augmentation import augment
from flowface_jax.training.batches import CropBatch
from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.samples import stack_samples
from flowface_jax.training.supervision import make_supervision, targets_of
from flowface_jax.training.sweeps.planning import load_config

Params = Mapping[str, Any]
BATCH = 16
FIRST_KERNEL = 0.02
"""Factor on the weights of the regressor's last layer: its first guess is off by less than the mean face is."""
RIDGE = 0.05
"""Of the regression from matches to modes, as a share of the matches' variance: theirs are far from exact at first."""


def main() -> None:
    """Read the samples, augmented as in training, and write the network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="settings of the run, a file of configs/ and its row")
    parser.add_argument("--samples", type=Path, nargs="+", required=True, help="folders of samples")
    parser.add_argument("--count", type=int, default=1024, help="how many of each")
    parser.add_argument("--out", type=Path, required=True, help="weights file")
    options = parser.parse_args()
    config = load_config(options.config)
    variables = initial_variables(AlignmentNetwork(config.model), config.run.seed)
    begin = _regressor_start if config.model.backbone == "resnet101" else _nano_start
    params = begin(variables["params"], config, options.samples, options.count)
    variables = {**variables, "params": params}
    save_weights(options.out, NETWORK, variables, dataclasses.asdict(config.model), "the start of a run")


def _nano_start(params: Params, config: TrainingConfig, samples: Sequence[Path], count: int) -> Params:
    """Mean, modes and matches from the grid of refinement."""
    maps = np.concatenate([grid for folder in samples for grid in _grids(config, folder, count)])
    mean, modes = principal(maps.reshape(len(maps), -1), MODES)
    start = {"bias": (mean - 0.5).astype(np.float32), "kernel": modes.astype(np.float32)}
    change = {"bias": np.zeros(MODES, np.float32), "kernel": modes_of_matches(maps, mean, modes).astype(np.float32)}
    return {**params, "start": start, "matches": {**params["matches"], "change": change}}


def _regressor_start(params: Params, config: TrainingConfig, samples: Sequence[Path], count: int) -> Params:
    """The mean of the points as the last layer's bias, and that layer's weights small."""
    points = [np.asarray(crops.points) for folder in samples for crops in _crops(config, folder, count)]
    head = params["head"]
    bias = np.zeros((config.model.vertex_count, config.model.channel_count), np.float32)
    bias[:, :2] = np.concatenate(points).mean(0) / config.model.image_size - 0.5
    last = {"kernel": np.asarray(head["kernel"]) * FIRST_KERNEL, "bias": bias.reshape(-1)}
    return {**params, "head": last}


def principal(rows: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The mean [D] of rows [N,D] and their first modes [count,D], each as long as its standard deviation."""
    mean = rows.mean(0)
    _, lengths, modes = np.linalg.svd(rows - mean, full_matrices=False)
    return mean, modes[:count] * (lengths[:count, None] / np.sqrt(len(rows)))


def modes_of_matches(maps: np.ndarray, mean: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Weights [matches·2,count] from how far cells lie from their mean, in units of `SHIFT`, to the modes [count,D].

    maps: [N,u,u,2]. mean: [D], D = u·u·2.
    """
    away = maps - mean.reshape(maps.shape[1:])
    rows = away[:, ::MATCHED, ::MATCHED].reshape(len(maps), -1) / SHIFT
    codes = away.reshape(len(maps), -1) @ np.linalg.pinv(modes)
    ridge = RIDGE * len(maps) * np.mean(rows**2)
    return np.linalg.solve(rows.T @ rows + ridge * np.eye(rows.shape[1]), rows.T @ codes)


def _grids(config: TrainingConfig, folder: Path, count: int) -> Iterator[np.ndarray]:
    """Where the cells of the grid of refinement are, [B,u,u,2] in shares of the crop, batch by batch."""
    side = config.model.image_size
    supervision = make_supervision(load_head(config.data.head), config.model.uv_size)
    known = np.asarray(supervision.dense_weight) > 0
    place = jax.jit(lambda crops: targets_of(crops, supervision).dense)
    for crops in _crops(config, folder, count):
        dense = np.asarray(place(crops)) / side
        yield np.asarray(gathered(jnp.asarray(_filled(dense, known), jnp.float32), config.model.uv_size // FINER))


def _crops(config: TrainingConfig, folder: Path, count: int) -> Iterator[CropBatch]:
    """The first samples of a folder, augmented as in training, batch by batch."""
    archive = open_archive(folder)
    for first in range(0, min(count, len(archive)) - BATCH + 1, BATCH):
        samples = stack_samples([archive[first + k] for k in range(BATCH)], np.arange(first, first + BATCH))
        yield augment(jax.random.key(0), samples, config.augmentation, None, config.model.image_size)


def _filled(maps: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Maps [B,U,U,2] with the texels that are not `known` [U,U] filled from their neighbours."""
    values, weight = maps * known[..., None], known.astype(np.float64)
    result, reached = values.astype(np.float64), weight
    while not reached.all():
        spread = lambda a: sum(np.roll(a, shift, axis) for axis in (-2, -1) for shift in (-1, 1))
        planes = spread(np.moveaxis(result * reached[..., None], -1, 1))
        total = spread(reached)
        grown = (total > 0) & (reached == 0)
        fresh = np.moveaxis(planes, 1, -1) / np.maximum(total, 1e-9)[..., None]
        result = np.where(grown[..., None], fresh, result)
        reached = np.where(grown, 1.0, reached)
    return result


if __name__ == "__main__":
    main()
