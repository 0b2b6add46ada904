"""Finding a recording's files and taking plain arrays out of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import require_file


def sorted_naturally(paths: Iterable[Path]) -> list[Path]:
    """By name, numbers in names by their value: frame 9 comes before frame 10."""

    def key(path: Path) -> list[tuple[int, int, str]]:
        parts = re.split(r"(\d+)", path.name)
        return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]

    return sorted(paths, key=key)


def files_of(folder: Path, *suffixes: str) -> list[Path]:
    """Files directly in the folder with one of the endings, in natural order."""
    found = (p for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file())
    return sorted_naturally(found)


def read_array(path: str | os.PathLike[str], kind: str) -> np.ndarray:
    """One plain array of numbers of an .npy file. Raises InputError for anything else."""
    path = require_file(path, f"{kind} (.npy)")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise InputError(f"{path} is no plain array ({kind}); it is damaged or holds Python objects") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        raise InputError(f"{path}: expected an array of numbers ({kind})")
    return array


def shaped(path: Path, key: str, value: np.ndarray, *shapes: tuple[int | None, ...]) -> np.ndarray:
    """The value as float32 if it has one of the shapes (None: any length). Raises InputError naming path and key."""
    value = np.asarray(value)
    fits = lambda shape: (
        len(shape) == value.ndim and all(n is None or n == m for n, m in zip(shape, value.shape, strict=True))
    )
    if value.dtype.kind not in "fiub" or not any(fits(shape) for shape in shapes):
        wanted = " or ".join(str([n if n is not None else "N" for n in shape]).replace("'", "") for shape in shapes)
        raise InputError(f"{path}: expected {key} of shape {wanted}, found {value.dtype} {list(value.shape)}")
    return value.astype(np.float32)


def stacked(path: Path, key: str, rows: Sequence[np.ndarray | None]) -> tuple[np.ndarray, np.ndarray]:
    """Rows of one shape [F,...] and which of them are there [F]; absent ones are NaN. Raises InputError for others."""
    there = np.array([row is not None for row in rows])
    known = [row for row in rows if row is not None]
    if not known:
        raise InputError(f"{path}: expected {key} in at least one frame, found none")
    shapes = {row.shape for row in known}
    if len(shapes) > 1:
        raise InputError(f"{path}: expected {key} of one shape in all frames, found {sorted(shapes)[:3]}")
    result = np.full((len(rows), *known[0].shape), np.nan, np.float32)
    result[there] = known
    return result, there
