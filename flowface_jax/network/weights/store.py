"""Our own file of weights: one safetensors file that says what it holds and where that came from."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.foreign.inert import UnreadableError
from flowface_jax.foreign.safetensors_file import looks_like_safetensors, parse_safetensors, safetensors_bytes
from flowface_jax.network.weights.report import Report
from flowface_jax.network.weights.trees import flatten, unflatten
from flowface_jax.storage import require_file, write_bytes

FORMAT: Final = "flowface-weights/1"
NETWORK: Final = "network"
MERGEABLE: Final = (*(f"mit_b{size}" for size in range(6)), "raft", "resnet101", "bisenet_v2")
"""Pieces that are parts of an alignment network."""
PIECES: Final = (*MERGEABLE, "s3fd", "mica")
KINDS: Final = (*PIECES, NETWORK)
"""What a weights file may hold: pieces converted from public checkpoints, or a whole alignment network."""

_FILE: Final = "a flowface weights file (.safetensors)"
_CONVERT: Final = "flowface convert weights IN OUT.safetensors"
_REQUIRED: Final = ("format", "kind", "config", "conventions", "source", "report")


@dataclass(frozen=True)
class Weights:
    """kind: one of KINDS. config: its settings. variables: nested tables of arrays, collections first ("params",
    "batch_stats", …). source: what they were made from. report: what became of a foreign checkpoint's tensors.
    """

    kind: str
    config: Mapping[str, Any]
    variables: Mapping[str, Any]
    source: str = ""
    report: Report = field(default_factory=Report)


def save_weights(
    path: str | os.PathLike[str],
    kind: str,
    variables: Mapping[str, Any],
    config: Mapping[str, Any] | None = None,
    source: str = "",
    report: Report | None = None,
) -> None:
    """Write variables (nested tables of arrays, collections first), atomically; the same content, the same bytes.

    kind: one of KINDS. config: JSON values. Raises InputError for another kind or a name that does not end in
    .safetensors.
    """
    if kind not in KINDS:
        raise InputError(f"weights of kind '{kind}' are not known; expected one of {', '.join(KINDS)}")
    if Path(path).suffix != ".safetensors":
        raise InputError(f"{path}: expected a name that ends in .safetensors")
    tensors = {name: np.asarray(value) for name, value in flatten(variables).items()}
    metadata = {
        "format": FORMAT,
        "kind": kind,
        "config": json.dumps(dict(config or {}), sort_keys=True),
        "conventions": json.dumps(CONVENTIONS, sort_keys=True),
        "source": source,
        "report": (report or Report()).to_json(),
    }
    write_bytes(path, safetensors_bytes(tensors, metadata))


def load_weights(path: str | os.PathLike[str], kinds: str | Collection[str] | None = None) -> Weights:
    """Read what `save_weights` wrote. kinds: the kind, or the kinds, that will do; None: any.

    Arrays are read-only views of the file's bytes. Raises InputError if the file is absent, damaged, of another type,
    of another kind or of other conventions.
    """
    path = require_file(path, _FILE)
    content = path.read_bytes()
    if not looks_like_safetensors(content):
        raise InputError(f"{path} is not {_FILE}; convert a foreign checkpoint once with: {_CONVERT}")
    try:
        tensors, metadata = parse_safetensors(content)
    except UnreadableError as error:
        raise InputError(f"{path} cannot be read as {_FILE}: it holds {error}") from None
    _check_metadata(path, metadata, (kinds,) if isinstance(kinds, str) else kinds)
    try:
        config, report = json.loads(metadata["config"]), Report.from_json(metadata["report"])
    except ValueError:
        raise InputError(f"{path} is damaged (its description is not JSON); make it again") from None
    return Weights(metadata["kind"], config, unflatten(tensors), metadata["source"], report)


def _check_metadata(path: Path, metadata: Mapping[str, str], kinds: Collection[str] | None) -> None:
    if "format" not in metadata:
        raise InputError(f"{path} is a safetensors file of another program; convert it once with: {_CONVERT}")
    if metadata["format"] != FORMAT:
        raise InputError(f"{path}: expected format {FORMAT}, found {metadata['format']}; make it with this version")
    missing = [name for name in _REQUIRED if name not in metadata]
    if missing:
        raise InputError(f"{path} is damaged (it lacks {', '.join(missing)}); make it again")
    if kinds is not None and metadata["kind"] not in kinds:
        raise InputError(
            f"{path}: expected weights of kind {' or '.join(sorted(kinds))}, found {metadata['kind']}; "
            "name another file"
        )
    if metadata["conventions"] != json.dumps(CONVENTIONS, sort_keys=True):
        raise InputError(f"{path} uses other conventions; make it again with this version")
