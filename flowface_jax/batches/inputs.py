"""Which videos a batch is of: those of a folder, or of a list, and where the results of each go."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

from flowface_jax.errors import InputError

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".wmv", ".flv"),
    *(".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".3gp", ".ogv", ".mxf"),
)
"""What counts as a video in a folder, in upper or lower case; a list may name anything that `flowface track` reads."""
COMMENT = "#"
_LONGEST_LIST = 64 * 2**20


@dataclasses.dataclass(frozen=True, order=True)
class BatchInput:
    """name: as the table has it: the path within the folder, or as the list has it. path: absolute."""

    name: str
    path: Path


def find_inputs(source: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[BatchInput]:
    """The videos of a folder and the folders in it, of a text file with one path a line, or a single video; by name.

    Relative paths of a list start at its folder; empty lines and those that begin with "#" are skipped. What lies in
    the output folder, and hidden files, do not count. Raises InputError where there is nothing to track.
    """
    source, out = Path(source), Path(out).absolute()
    if source.is_dir():
        return _of_folder(source, out)
    if not source.is_file():
        raise InputError(f"no such file or folder: {source}; expected a folder of videos, or a list of them")
    if source.suffix.lower() in VIDEO_SUFFIXES:
        return [BatchInput(source.name, source.absolute())]
    return _of_list(source)


def assign_folders(
    inputs: Sequence[BatchInput], assigned: Mapping[str, str], reserved: Sequence[str]
) -> dict[str, str]:
    """The results' folder of each input by its name, as a relative path: as `assigned` before, else the input's name
    without its ending where that is free, else with it, else numbered.
    """
    folders = dict(assigned)
    taken = {*reserved, *folders.values()}
    for item in sorted(inputs):
        if item.name in folders:
            continue
        parts = [part for part in PurePath(item.name).parts if part not in ("..", PurePath(item.name).anchor)]
        plain = PurePath(*parts) if parts else PurePath("video")
        short = plain.with_suffix("") if item.path.suffix.lower() in VIDEO_SUFFIXES else plain
        choices = [short.as_posix(), plain.as_posix()]
        free = next((choice for choice in choices if choice not in taken), None)
        number = 2
        while free is None:
            free = f"{choices[1]}-{number}" if f"{choices[1]}-{number}" not in taken else None
            number += 1
        folders[item.name] = free
        taken.add(free)
    return folders


def _of_folder(folder: Path, out: Path) -> list[BatchInput]:
    found = []
    for parent, folders, names in os.walk(folder, followlinks=False):
        kept = [name for name in folders if not name.startswith(".") and Path(parent, name).absolute() != out]
        folders[:] = sorted(kept)
        found += [Path(parent, name) for name in names if _is_video(name)]
    if not found:
        endings = ", ".join(suffix[1:] for suffix in VIDEO_SUFFIXES)
        raise InputError(f"no video in {folder}; expected files that end in {endings}, or a list of files")
    return sorted(BatchInput(path.relative_to(folder).as_posix(), path.absolute()) for path in found)


def _of_list(path: Path) -> list[BatchInput]:
    payload = path.read_bytes() if path.stat().st_size <= _LONGEST_LIST else b"\0"
    try:
        if b"\0" in payload:
            raise ValueError
        lines = payload.decode("utf-8-sig").splitlines()
    except ValueError:
        raise InputError(f"{path} is neither a video nor a list; expected a text file with one path a line") from None
    names = {line.strip() for line in lines if line.strip() and not line.lstrip().startswith(COMMENT)}
    if not names:
        raise InputError(f"the list {path} names no video; expected one path a line")
    return sorted(BatchInput(name, (path.absolute().parent / os.path.expanduser(name))) for name in names)


def _is_video(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in VIDEO_SUFFIXES
