"""Inputs named by patterns, one for each camera, and which camera of a calibration each belongs to."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from flowface_jax.aligners.images import natural_key
from flowface_jax.errors import InputError


def expand_inputs(patterns: Sequence[str]) -> list[str]:
    """Each pattern (*, ?, [abc], ** for folders within folders) replaced by what it matches, in natural order: numbers
    by their value, so that cam2 comes before cam10. What exists by that very name is no pattern.

    Raises InputError for a pattern that matches nothing, or an input that is then named twice.
    """
    expanded: list[str] = []
    for pattern in patterns:
        if not is_pattern(pattern):
            expanded.append(pattern)
            continue
        found = sorted(glob.glob(pattern, recursive=True), key=natural_key)
        if not found:
            raise InputError(f"'{pattern}' matches nothing; check the pattern and the folder that it starts from")
        twice = {Path(path) for path in expanded} & {Path(path) for path in found}
        if twice:
            raise InputError(f"{min(twice)} is named twice, by '{pattern}' too; each camera has one input")
        expanded += found
    return expanded


def is_pattern(name: str) -> bool:
    """Whether a name stands for all that it matches."""
    return glob.has_magic(name) and not Path(name).exists()


def cameras_of_inputs(inputs: Sequence[str], names: Sequence[str], strict: bool) -> list[str] | None:
    """The camera of each input, by its name: that of the file without its ending, or of the folder it is in.

    An input belongs to the camera that its name is, or that alone its name holds as a whole word: "cam_400013.mp4" to
    "400013". None where names do not tell. strict: raise InputError where they tell of some inputs only.
    """
    partly: list[str] = []
    for labels in (
        [Path(path).stem if Path(path).suffix and not Path(path).is_dir() else Path(path).name for path in inputs],
        [Path(path).absolute().parent.name for path in inputs],
    ):
        found = [_camera_of(label, names) for label in labels]
        if None not in found and len(set(found)) == len(found):
            return [name for name in found if name is not None]
        partly = partly or [path for path, name in zip(inputs, found, strict=True) if name is None and any(found)]
    if strict and partly:
        raise InputError(
            f"{partly[0]} belongs to no camera of the calibration by its name ({', '.join(names[:8])}); name the "
            "cameras with --camera-names, in the order of the inputs"
        )
    return None


def _camera_of(label: str, names: Sequence[str]) -> str | None:
    if label in names:
        return label
    found = [name for name in names if name and re.search(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", label)]
    return found[0] if len(found) == 1 else None
