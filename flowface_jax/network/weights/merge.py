"""Putting converted pieces into a freshly initialised alignment network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.network.weights.convert import Converted
from flowface_jax.network.weights.report import Entry, Report
from flowface_jax.network.weights.store import MERGEABLE, Weights
from flowface_jax.network.weights.trees import flatten, unflatten

_PARTIAL: Final = ("raft",)
"""Pieces of another network, of which whatever fits is of use; the others are whole or wrong."""


def merge_pieces(variables: Mapping[str, Any], pieces: Iterable[Weights | Converted]) -> tuple[dict[str, Any], Report]:
    """The network's variables with those of the pieces in their places, and what became of each piece's tensors.

    variables: as initialised; they are not changed. Of RAFT's update block layers of other sizes are left out, and
    inputs that the network does not have are cut where their weights are zero. Raises InputError if a piece does not
    fit, is no part of an alignment network, or takes a place that another has taken.
    """
    flat = flatten(variables)
    taken: dict[str, str] = {}
    entries: list[Entry] = []
    for piece in pieces:
        if piece.kind not in MERGEABLE:
            raise InputError(
                f"weights of kind {piece.kind} are no part of an alignment network; expected {', '.join(MERGEABLE)}"
            )
        for path, values in flatten(piece.variables).items():
            if path in taken:
                raise InputError(f"both {taken[path]} and {piece.kind} give {path}; merge one of them")
            fitted, reason = _fitted(values, flat.get(path))
            if fitted is None and piece.kind not in _PARTIAL:
                raise InputError(f"{piece.kind} does not fit this network ({path}: {reason}); choose another backbone")
            entries.append(Entry(path, tuple(values.shape), (path,) if fitted is not None else (), reason))
            if fitted is not None:
                flat[path], taken[path] = fitted, piece.kind
    return unflatten(flat), Report.of(entries)


def _fitted(values: np.ndarray, place: Any) -> tuple[np.ndarray | None, str]:
    """The values as the place takes them, or None and the reason why it cannot."""
    if place is None:
        return None, "the network has no such layer"
    shape = tuple(place.shape)
    if values.ndim == 4 == len(shape) and values.shape[2] > shape[2] and not values[:, :, shape[2] :].any():
        values = values[:, :, : shape[2]]
    if values.shape != shape:
        return None, f"expected shape {list(shape)}, found {list(values.shape)}"
    return values, ""
