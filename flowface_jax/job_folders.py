"""The folder of a job: what lies in it by which name, when it may be written into, and which job it belongs to."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

from flowface_jax.errors import InputError
from flowface_jax.fitting.snapshots import SnapshotWriter
from flowface_jax.fitting.track import ARRAYS, RECORD
from flowface_jax.storage import read_json, write_json

ALIGNMENT_FILE = "alignment.npz"
CAMERAS_FILE = "cameras.json"
OVERLAY_FILE = "overlay.mp4"
REQUEST_FILE = "request.json"
Existing = Literal["refuse", "overwrite", "resume"]


def check_folder(folder: str | os.PathLike[str], existing: Existing, request: dict[str, object]) -> None:
    """Raise InputError where the output folder is in use and `existing` does not allow it, or where another job than
    `request` is to be resumed. Touches nothing.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the output {folder} is a file; name a folder")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if existing == "refuse":
        raise InputError(f"the output folder {folder} is in use; name another, or pass --overwrite or --resume")
    if existing == "resume":
        _check_same_request(folder, request)


def prepare_folder(folder: str | os.PathLike[str], existing: Existing, request: dict[str, object]) -> Path:
    """The checked output folder, ready to write into, with the request recorded so that a job can be resumed."""
    check_folder(folder, existing, request)
    folder = Path(folder)
    if existing == "overwrite":
        for name in (ALIGNMENT_FILE, CAMERAS_FILE, OVERLAY_FILE, REQUEST_FILE, ARRAYS, RECORD):
            (folder / name).unlink(missing_ok=True)
        SnapshotWriter(folder).clear()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / REQUEST_FILE, request)
    return folder


def _check_same_request(folder: Path, request: dict[str, object]) -> None:
    path = folder / REQUEST_FILE
    if not path.is_file():
        raise InputError(f"{folder} holds no {REQUEST_FILE}, so it is no job to resume; name another folder")
    earlier = read_json(path, "the record of a job")
    differing = [key for key in request if earlier.get(key) != json.loads(json.dumps(request[key]))]
    # "auto" may stand for another aligner on another computer: the earlier one has to be named to go on.
    differing = [f"aligner ({earlier.get(key)})" if key == "aligner" else key for key in differing]
    if differing:
        raise InputError(
            f"{folder} was started with other {', '.join(differing)}; resume with the same arguments, or --overwrite"
        )
