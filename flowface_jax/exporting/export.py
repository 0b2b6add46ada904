"""`export`: write a performance in one format, complete or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowface_jax.errors import InputError
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.target import Target
from flowface_jax.exporting.targets import TARGETS
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.settings import check_settings, settings_from
from flowface_jax.storage import write_json

MARK = "export.json"
"""In every folder that an export wrote: no other folder is ever replaced."""


def export(
    performance: Performance,
    target: str,
    out: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Write the performance for another program and return the file or folder that now holds it.

    target: a name in `TARGETS`. out: a file with the target's suffix, or a folder where it has none. settings: of the
    target, by name. What is written appears when it is complete.
    Raises InputError for an unknown target or setting, an output that exists (unless `overwrite`) or cannot be
    written, and a performance that lacks what the format needs.
    """
    chosen = find_target(target)
    config = settings_from(chosen.settings, settings or {}, chosen.name)
    check_settings(config, chosen.name)
    path = _checked_output(Path(out), chosen, overwrite)
    beside = _room_beside(path)
    try:
        whole = beside / path.name
        chosen.write(performance, whole, config, reporter or SilentReporter())
        if not chosen.suffix:
            write_json(whole / MARK, {"target": chosen.name, "track": performance.name})
        _replace(path, whole)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return path


def find_target(name: str) -> Target:
    """The target of that name. Raises InputError where there is none."""
    if name not in TARGETS:
        raise InputError(f"--to: expected one of {', '.join(sorted(TARGETS))}, found '{name}'")
    return TARGETS[name]


def _checked_output(path: Path, target: Target, overwrite: bool) -> Path:
    if target.suffix and path.suffix.lower() != target.suffix:
        raise InputError(f"the output {path}: expected a name that ends in {target.suffix}")
    if target.suffix and path.is_dir():
        raise InputError(f"the output {path} is a folder; name a file, such as {path / ('track' + target.suffix)}")
    if not target.suffix and path.is_file():
        raise InputError(f"the output {path} is a file; {target.name} is a folder of files")
    in_use = path.is_file() or (path.is_dir() and any(path.iterdir()))
    if in_use and not overwrite:
        raise InputError(f"{path} exists already; name another, or pass --overwrite")
    if in_use and path.is_dir() and not (path / MARK).is_file():
        raise InputError(f"{path} is not a folder that an export wrote, so it is not replaced; name another")
    return path


def _room_beside(path: Path) -> Path:
    """A new folder on the output's own file system, so that the finished result is moved and not copied."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a folder that can be written to") from None


def _replace(path: Path, whole: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    os.replace(whole, path)
