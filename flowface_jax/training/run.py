"""A training run in a folder: started, followed, interrupted and resumed with the result of an unbroken one."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from flowface_jax.errors import FlowfaceError, InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head
from flowface_jax.network import AlignmentNetwork, initial_variables
from flowface_jax.network.weights import load_weights, merge_pieces, save_weights
from flowface_jax.network.weights.store import NETWORK
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_json, write_json, write_npz
from flowface_jax.training.checkpoints import Checkpoints
from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.data import make_sources
from flowface_jax.training.devices import mapped, own_share, placed_globally, replicated, usable_devices
from flowface_jax.training.logs import RunLog
from flowface_jax.training.optimiser import learning_rate, make_optimiser
from flowface_jax.training.sources import Source
from flowface_jax.training.state import TrainState, best_variables, initial_state
from flowface_jax.training.step import Recipe, device_step, step_keys
from flowface_jax.training.supervision import Supervision, make_supervision
from flowface_jax.training.validation import Examples, device_validation, total

SETTINGS, WEIGHTS, FAILED = "config.json", "network.safetensors", "failed_batch_{}.npz"
_FREE = ("devices", "route", "evaluate_every", "checkpoint_every", "log_every", "latest", "best", "pictures")
"""Settings of `run` that a resumed run may change: they do not change what is learnt."""
_log = logging.getLogger(__name__)


class DivergedError(FlowfaceError):
    """The loss or the gradient is not finite."""


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """step: steps taken. best_step: of the weights that were kept. measured: of the last evaluation. weights: file."""

    step: int
    best_step: int
    measured: Mapping[str, float]
    weights: Path


@dataclasses.dataclass(frozen=True)
class _Run:
    """What stays the same during a run."""

    config: TrainingConfig
    folder: Path
    devices: tuple[jax.Device, ...]
    head: HeadModel
    network: AlignmentNetwork
    supervision: Supervision
    source: Source
    validation: Source
    validation_batches: int
    steps: int

    @property
    def is_first(self) -> bool:
        return jax.process_index() == 0


def train(config: TrainingConfig, folder: str | Path, reporter: Reporter | None = None) -> TrainingResult:
    """Train a network, or go on with the run that the folder holds.

    The folder gets config.json, checkpoints/, evaluations.jsonl, tensorboard/, pictures/ and at the end
    network.safetensors with the best weights by NME on the validation crops. Call it on every process of a job, after
    `training.distributed.start`. Raises InputError for unusable settings or a folder with a run of other settings,
    DivergedError where numbers are no longer finite (the batch is written out), CheckpointError where the disk is full.
    """
    run = _prepare(config, Path(folder))
    reporter = reporter or SilentReporter()
    _claim(run)
    with Checkpoints(run.folder / "checkpoints", config.run.latest, config.run.best) as checkpoints:
        state = _start(run, checkpoints)
        with RunLog(run.folder, int(state.step), run.is_first) as log:
            state, measured = _loop(run, state, checkpoints, log, reporter)
        checkpoints.finish()
        return _keep(run, state, checkpoints, measured)


def total_steps(config: TrainingConfig, epoch_samples: int) -> int:
    """Steps of a run: as set, or as many as its epochs have."""
    return config.run.steps or max(1, config.run.epochs * epoch_samples // config.run.batch_size)


def make_network(config: TrainingConfig) -> AlignmentNetwork:
    """The network as it is trained: precision, and iterations unrolled where compiled loops are slow (CPUs)."""
    return AlignmentNetwork(
        config.model,
        dtype=jnp.bfloat16 if config.run.precision == "bfloat16" else jnp.float32,
        unroll=0 if jax.default_backend() == "cpu" else 1,
        rematerialised=config.run.rematerialised,
    )


def first_variables(config: TrainingConfig, network: AlignmentNetwork) -> dict[str, Any]:
    """The network's variables before training: drawn by the seed, then taken from the files of `run.initial`."""
    variables = initial_variables(network, config.run.seed)
    pieces = []
    for path in config.run.initial:
        weights = load_weights(path)
        if weights.kind != NETWORK:
            pieces.append(weights)
            continue
        same = jax.tree.structure(weights.variables) == jax.tree.structure(variables) and all(
            a.shape == b.shape
            for a, b in zip(jax.tree.leaves(weights.variables), jax.tree.leaves(variables), strict=True)
        )
        if not same:
            raise InputError(f"run.initial: {path} is a network of other sizes; expected one of this run's model")
        variables = dict(weights.variables)
    return merge_pieces(variables, pieces)[0] if pieces else variables


def _prepare(config: TrainingConfig, folder: Path) -> _Run:
    devices = usable_devices(config.run.devices)
    share = own_share(devices)
    head = load_head(config.data.head)
    network = make_network(config)
    if config.model.backbone == "resnet101" and config.model.vertex_count != head.vertex_count:
        raise InputError(
            f"model.vertex_count: resnet101 regresses the head's vertices; expected {head.vertex_count} for "
            f"{head.name}, found {config.model.vertex_count}"
        )
    if config.run.batch_size // len(devices) % config.run.micro_batches:
        raise InputError(
            f"run.micro_batches: {config.run.micro_batches} do not divide a device's "
            f"{config.run.batch_size // len(devices)} crops"
        )
    source, validation, batches = make_sources(config, head, share)
    supervision = make_supervision(head, config.model.map_size, config.data.weights_of_regions)
    steps = total_steps(config, source.epoch_samples)
    return _Run(config, folder, devices, head, network, supervision, source, validation, batches, steps)


def _claim(run: _Run) -> None:
    """Write the settings into the folder, on one process. Raises InputError where it holds a run of others."""
    if run.is_first:
        _check_folder(run)
        write_json(run.folder / SETTINGS, run.config.to_mapping())
    if jax.process_count() > 1:
        # The others must not look into the folder before it is known to be ours.
        multihost_utils.sync_global_devices("settings written")


def _check_folder(run: _Run) -> None:
    path, ours = run.folder / SETTINGS, run.config.to_mapping()
    defaults = TrainingConfig().to_mapping()
    if not path.exists():
        if run.folder.exists() and any(run.folder.iterdir()):
            raise InputError(f"{run.folder} is not empty and holds no training run; give another folder")
        return
    theirs = read_json(path, "settings of a training run")
    for section, values in ours.items():
        for name, asked in values.items():
            # A run from before there was such a setting did what is now its default.
            found = theirs.get(section, {}).get(name, defaults[section][name])
            if found != asked and not (section == "run" and name in _FREE):
                raise InputError(
                    f"{run.folder} holds a run with {section}.{name} = {found}, asked for {asked}; give another "
                    "folder, or the same settings to go on with it"
                )


def _start(run: _Run, checkpoints: Checkpoints) -> TrainState:
    """The newest checkpoint, or the state before the first step; on the devices."""
    config = run.config
    optimiser = make_optimiser(config.optimiser, run.steps)
    variables = first_variables(config, run.network)
    state = initial_state(variables, optimiser, config.run.average_decay > 0)
    newest = checkpoints.newest
    if newest is None:
        return replicated(state, run.devices)
    _log.info("going on from step %d of %s", newest, run.folder)
    return checkpoints.load(newest, state, run.devices)


def _loop(
    run: _Run, state: TrainState, checkpoints: Checkpoints, log: RunLog, reporter: Reporter
) -> tuple[TrainState, dict[str, float]]:
    """Take the steps that are left, evaluating, logging and saving between them."""
    config = run.config
    recipe = Recipe(
        run.network,
        config.loss,
        make_optimiser(config.optimiser, run.steps),
        config.run.seed,
        config.run.micro_batches,
        config.run.average_decay,
    )
    take = mapped(device_step(recipe, run.source.prepare), run.devices, config.run.route)
    constants = replicated((run.supervision, run.source.constants), run.devices)
    evaluate = _evaluation(run, constants)
    rate = learning_rate(config.optimiser, run.steps)
    first, measured = int(state.step), {}
    bar = reporter.bar("train", run.steps, "step")
    bar.advance_to(first)
    clock, clocked = time.perf_counter(), first
    for step, inputs in _ahead(run.source.inputs, first, run.steps):
        state, terms = take(state, constants, inputs)
        # Simulated devices of a CPU deadlock when steps pile up; elsewhere reading at intervals is enough.
        if run.devices[0].platform == "cpu":
            jax.block_until_ready(terms)
        done = step + 1
        logs, tries, saves = (_due(run, done, name) for name in ("log_every", "evaluate_every", "checkpoint_every"))
        if logs or tries or saves:
            terms = {name: float(value) for name, value in terms.items()}
            _stop_if_failed(run, state)
            speed = (done - clocked) * config.run.batch_size / max(time.perf_counter() - clock, 1e-9)
            bar.advance_to(done, f"loss {terms['loss']:.4g}, {terms['error_px']:.2f} px, {speed:.1f} images/s")
            log.scalars(done, {**terms, "learning_rate": float(rate(step)), "images_per_s": speed}, "train")
            clock, clocked = time.perf_counter(), done
        fresh = None
        if tries:
            fresh, examples = evaluate(state)
            measured = fresh
            log.evaluation(done, {**fresh, "train_loss": terms["loss"], "train_error_px": terms["error_px"]})
            log.examples(done, examples, np.asarray(run.supervision.face))
        if saves:
            checkpoints.save(placed_globally(state, run.devices), {"settings": config.to_mapping()}, fresh)
        if tries or saves:
            clock, clocked = time.perf_counter(), done
    bar.close()
    return state, measured or evaluate(state)[0]


def _due(run: _Run, done: int, interval: str) -> bool:
    """Whether something is to be done after so many steps: at the end, and at its interval where it has one."""
    every = getattr(run.config.run, interval)
    return done == run.steps or (every > 0 and done % every == 0)


def _evaluation(run: _Run, constants: Any) -> Any:
    """The state to its numbers on the validation crops, and examples of them. constants: training's, on the devices."""
    config = run.config
    own = config.run.batch_size // len(run.devices)
    try_batch = mapped(
        device_validation(run.network, config.loss, run.validation.prepare, min(config.run.pictures, own)),
        run.devices,
        config.run.route,
        donate=False,
    )
    if run.validation.constants is not run.source.constants:
        constants = replicated((run.supervision, run.validation.constants), run.devices)

    def evaluate(state: TrainState) -> tuple[dict[str, float], Examples]:
        tallies, examples = [], None
        for step in range(run.validation_batches):
            _, (tally, shown) = try_batch(state, constants, run.validation.inputs(step))
            tallies.append(jax.block_until_ready(tally))
            examples = examples or jax.device_get(shown)
        return total(tallies).means, examples

    return evaluate


def _ahead(inputs: Any, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """Steps and their inputs, read two steps ahead in a thread of their own."""
    with ThreadPoolExecutor(1) as reader:
        waiting: list[Future[Any]] = [reader.submit(inputs, step) for step in range(first, min(first + 2, last))]
        for step in itertools.count(first):
            if step >= last:
                return
            ready = waiting.pop(0).result()
            if step + 2 < last:
                waiting.append(reader.submit(inputs, step + 2))
            yield step, ready


def _stop_if_failed(run: _Run, state: TrainState) -> None:
    """Raises DivergedError if a step met numbers that are not finite, after writing its batch into the folder."""
    if not bool(state.failed):
        return
    step = int(state.step)
    key, _ = step_keys(run.config.run.seed, step)
    inputs = run.source.inputs(step)
    own = [jax.tree.map(lambda leaf, k=k: leaf[k], inputs) for k in range(len(jax.tree.leaves(inputs)[0]))]
    batches = [jax.jit(run.source.prepare)(run.source.constants, part, key) for part in own]
    path = run.folder / FAILED.format(jax.process_index())
    fields = {name: [getattr(batch, name) for batch in batches] for name in ("image", "points", "known")}
    write_npz(path, {"step": step, **{name: np.concatenate(values) for name, values in fields.items()}})
    raise DivergedError(
        f"the loss or its gradient is not finite at step {step}; that batch is in {path}, the last checkpoint is "
        "sound: lower optimiser.learning_rate or set optimiser.clip_norm, in a new folder"
    )


def _keep(run: _Run, state: TrainState, checkpoints: Checkpoints, measured: Mapping[str, float]) -> TrainingResult:
    """Write the weights of the best checkpoint."""
    last = int(state.step)
    best = last if checkpoints.best is None else checkpoints.best
    if best != last:
        state = checkpoints.load(best, state, run.devices)
    path = run.folder / WEIGHTS
    if run.is_first:
        variables = jax.tree.map(np.asarray, best_variables(state))
        source = f"trained by flowface_jax: step {best} of {run.steps}, head {run.head.name}"
        save_weights(path, NETWORK, variables, dataclasses.asdict(run.config.model), source)
    return TrainingResult(last, best, measured, path)
