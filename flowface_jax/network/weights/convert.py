"""From a public checkpoint to our variables: recognised, checked, carried over, and every tensor accounted for."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.foreign.checkpoint import read_checkpoint
from flowface_jax.network.weights import bisenet, mica, mit, raft, resnet, s3fd
from flowface_jax.network.weights.report import NOT_KNOWN, Entry, Report
from flowface_jax.network.weights.store import PIECES
from flowface_jax.network.weights.table import Plan, Row, Shapes, UnsuitableError
from flowface_jax.network.weights.trees import unflatten

_FAMILIES: Final[tuple[Callable[[Shapes], Plan | None], ...]] = (
    mit.recognise,
    raft.recognise,
    mica.recognise,
    s3fd.recognise,
    bisenet.recognise,
    resnet.recognise,
)
_NAMED: Final = 3
_COUNTER: Final = (r"(.*\.)?num_batches_tracked", "a counter of training steps")


@dataclass(frozen=True)
class Converted:
    """kind: what the checkpoint was. config: its settings. variables: nested tables of float32 arrays under their full
    paths in our networks. report: on every foreign tensor. source: name and SHA-256 of the file.
    """

    kind: str
    config: Mapping[str, Any]
    variables: Mapping[str, Any]
    report: Report
    source: str = ""


def convert(path: str | os.PathLike[str], kind: str | None = None) -> Converted:
    """Variables of a public checkpoint, recognised by the names and shapes of its tensors.

    kind: what it has to be (one of PIECES); None: whatever it is. Raises InputError if the file cannot be read, is of
    no known architecture or another kind, lacks tensors, or has some of another shape or with values that are no
    numbers.
    """
    if kind is not None and kind not in PIECES:
        raise InputError(f"kind: expected one of {', '.join(PIECES)}, found {kind}")
    tensors = read_checkpoint(path)
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return convert_tensors(tensors, str(path), kind, f"{Path(path).name} sha256:{digest}")


def convert_tensors(
    tensors: Mapping[str, np.ndarray], name: str, kind: str | None = None, source: str = ""
) -> Converted:
    """As `convert`, of tensors already read; name: of what they are from, for errors."""
    shapes = {tensor: tuple(array.shape) for tensor, array in tensors.items()}
    plan = _recognise(shapes, name)
    if kind is not None and plan.kind != kind:
        raise InputError(f"{name}: expected a checkpoint of kind {kind}, found {plan.kind}; name another file")
    _check(plan.rows, shapes, name, plan.kind)
    flat = {row.own: _carried(row, tensors[row.foreign], name) for row in plan.rows}
    return Converted(plan.kind, plan.config, unflatten(flat), _report(plan, shapes), source)


def _recognise(shapes: Shapes, name: str) -> Plan:
    for family in _FAMILIES:
        try:
            plan = family(shapes)
        except UnsuitableError as error:
            raise InputError(f"{name} is {error}; use a published checkpoint") from None
        if plan is not None:
            return plan
    some = ", ".join(list(shapes)[:_NAMED]) or "no tensor"
    raise InputError(
        f"{name} is of no known architecture (it holds {some}{' …' if len(shapes) > _NAMED else ''}); "
        f"expected a checkpoint of one of {', '.join(PIECES)}"
    )


def _check(rows: tuple[Row, ...], shapes: Shapes, name: str, kind: str) -> None:
    missing = list(dict.fromkeys(row.foreign for row in rows if row.foreign not in shapes))
    if missing:
        raise InputError(
            f"{name} lacks {len(missing)} tensors of {kind}, among them {', '.join(missing[:_NAMED])}; "
            "it is incomplete: get it from its source"
        )
    wrong = [row for row in rows if shapes[row.foreign] != row.foreign_shape]
    if wrong:
        row = wrong[0]
        raise InputError(
            f"{name}: expected {row.foreign} of shape {list(row.foreign_shape)} for {kind}, found "
            f"{list(shapes[row.foreign])} ({len(wrong)} such tensors); use a published checkpoint"
        )


def _carried(row: Row, tensor: np.ndarray, name: str) -> np.ndarray:
    values = row.layout.convert(tensor, row.shape).astype(np.float32, copy=False)
    if values.shape != row.shape or not np.isfinite(values).all():
        raise InputError(f"{name}: {row.foreign} holds values that are no numbers; get it from its source")
    return values


def _report(plan: Plan, shapes: Shapes) -> Report:
    loaded: dict[str, list[str]] = {}
    for row in plan.rows:
        loaded.setdefault(row.foreign, []).append(row.own)
    skips = [(re.compile(pattern), reason) for pattern, reason in (_COUNTER, *plan.skips)]

    def entry(name: str) -> Entry:
        if name in loaded:
            return Entry(name, shapes[name], tuple(loaded[name]))
        reason = next((reason for pattern, reason in skips if pattern.fullmatch(name)), NOT_KNOWN)
        return Entry(name, shapes[name], (), reason)

    return Report.of(map(entry, shapes))
