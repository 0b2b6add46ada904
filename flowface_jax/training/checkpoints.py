"""Checkpoints of a run: written beside the training, whole or not at all, the newest and the best kept."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from flowface_jax.errors import FlowfaceError, InputError
from flowface_jax.training.devices import everywhere
from flowface_jax.training.state import TrainState

_log = logging.getLogger(__name__)
MEASURE = "nme"
"""By which the best checkpoint is chosen: the lower the better."""


class CheckpointError(FlowfaceError):
    """A checkpoint could not be written; those written before are whole."""


class Checkpoints:
    """The checkpoints of one run in a folder.

    latest: how many of the newest are kept, beside the `best` by their measured NME. A process that is killed while it
    writes leaves the older ones as they were: a checkpoint appears under its name only when it is complete.
    """

    def __init__(self, folder: Path, latest: int = 2, best: int = 1) -> None:
        self._folder = folder
        policies = checkpoint_managers.preservation_policy
        keep = [policies.LatestN(latest)]
        if best:
            keep.append(
                policies.BestN(get_metric_fn=_measure, reverse=True, n=best, keep_checkpoints_without_metrics=False)
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=policies.AnyPreservationPolicy(keep),
            best_fn=_measure,
            best_mode="min",
            create=True,
            enable_async_checkpointing=True,
        )
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._guarded(self._manager.close)
        except CheckpointError as late:
            if error is None:
                raise
            # What went wrong first is what the user must hear of.
            _log.warning("%s", late)

    def save(self, state: TrainState, about: Mapping[str, Any], measured: Mapping[str, float] | None = None) -> None:
        """Start writing the state in the background, after the one before is complete.

        about: what a resumed run must agree with, JSON values. measured: of the validation at this step, if there was
        one. Raises CheckpointError where the last one or this one cannot be written.
        """
        arguments = ocp.args.Composite(state=ocp.args.StandardSave(state), about=ocp.args.JsonSave(dict(about)))
        metrics = {MEASURE: float(measured[MEASURE])} if measured else None
        self._guarded(lambda: self._manager.save(int(state.step), args=arguments, metrics=metrics, force=True))

    def finish(self) -> None:
        """Wait until the last one is complete. Raises CheckpointError where it cannot be written."""
        self._guarded(self._manager.wait_until_finished)

    @property
    def newest(self) -> int | None:
        """The step of the newest complete checkpoint."""
        return self._manager.latest_step()

    @property
    def best(self) -> int | None:
        """The step of the checkpoint with the lowest NME, or None where none was measured."""
        measured = {step: self._manager.metrics(step) for step in self._manager.all_steps()}
        found = [(values[MEASURE], step) for step, values in measured.items() if values]
        return min(found)[1] if found else None

    def about(self, step: int) -> Mapping[str, Any]:
        """What was said of a checkpoint when it was saved."""
        return self._manager.restore(step, args=ocp.args.Composite(about=ocp.args.JsonRestore()))["about"]

    def load(self, step: int, like: TrainState, devices: Sequence[jax.Device]) -> TrainState:
        """The state at a step, replicated over these devices, however many wrote it.

        like: a state of the same shapes. Raises InputError if the checkpoint is damaged or of other shapes.
        """
        sharding = everywhere(devices)
        target = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), like)
        try:
            restored = self._manager.restore(step, args=ocp.args.Composite(state=ocp.args.StandardRestore(target)))
        # orbax, tensorstore and zarr raise what they like for files that are not as they were.
        except Exception as error:
            raise InputError(
                f"{self._folder}/{step} cannot be read back ({_first_line(error)}); remove that folder to resume from "
                "the checkpoint before it"
            ) from error
        return restored["state"]

    def _guarded(self, action: Any) -> Any:
        try:
            return action()
        except Exception as error:
            full = _chain_has(error, errno.ENOSPC, "No space left", "RESOURCE_EXHAUSTED")
            reason = "the disk is full" if full else _first_line(error)
            raise CheckpointError(
                f"the checkpoint could not be written to {self._folder}: {reason}; the newest complete one is of step "
                f"{self._manager.latest_step()}; make room and run the same command again to go on from it"
            ) from error


def _measure(metrics: Mapping[str, float]) -> float:
    return metrics[MEASURE]


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _chain_has(error: BaseException | None, number: int, *texts: str) -> bool:
    while error is not None:
        if getattr(error, "errno", None) == number or any(text in str(error) for text in texts):
            return True
        error = error.__cause__ or error.__context__
    return False
