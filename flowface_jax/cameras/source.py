"""`load_cameras`: any calibration file that is understood, recognised by its name or its content."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from flowface_jax.cameras.calibration import Calibration, ideal_calibration
from flowface_jax.cameras.model import FORMAT, Cameras
from flowface_jax.cameras.readers.cap4d import read_cap4d_cameras
from flowface_jax.cameras.readers.colmap import read_colmap
from flowface_jax.cameras.readers.facescape import read_facescape
from flowface_jax.cameras.readers.famos import read_famos
from flowface_jax.cameras.readers.multiface import read_multiface
from flowface_jax.cameras.readers.transforms import read_transforms
from flowface_jax.errors import InputError


def read_flowface(path: str | os.PathLike[str]) -> Calibration:
    """Our own JSON form: ideal pinholes in metres."""
    return ideal_calibration(Cameras.load(path))


READERS: Final[dict[str, Callable[..., Calibration]]] = {
    "flowface": read_flowface,
    "multiface": read_multiface,
    "facescape": read_facescape,
    "famos": read_famos,
    "colmap": read_colmap,
    "transforms": read_transforms,
    "cap4d": read_cap4d_cameras,
}

UNDERSTOOD: Final[dict[str, str]] = {
    "flowface": "flowface's JSON (Cameras.save)",
    "multiface": "Multiface's KRT file or the folder with it",
    "facescape": "FaceScape's params.json or the folder with it",
    "famos": "FaMoS's Tsai .tka file or a folder of them",
    "colmap": "COLMAP's text model: the folder with cameras.txt and images.txt",
    "transforms": "transforms.json of instant-ngp, nerfstudio, VHAP or INSTA, or the folder with it",
    "cap4d": "CAP4D's fit.npz",
}


def load_cameras(path: str | os.PathLike[str], format: str = "auto", **options: Any) -> Calibration:
    """The calibration in a file or folder; `format` is a key of `READERS`, or "auto" to recognise it.

    options: those of the format's reader (`names`, `image_scale`, …). Raises InputError where the path is absent, the
    format is not recognised, or an option does not belong to it.
    """
    if format == "auto":
        format = recognise(path)
    if format not in READERS:
        raise InputError(f"camera format: expected auto, {', '.join(READERS)}; found '{format}'")
    reader = READERS[format]
    accepted = [name for name in inspect.signature(reader).parameters if name != "path"]
    unknown = [name for name in options if name not in accepted]
    if unknown:
        raise InputError(
            f"camera format {format} has no option {', '.join(unknown)}; it takes {', '.join(accepted) or 'none'}"
        )
    return reader(path, **options)


def recognise(path: str | os.PathLike[str]) -> str:
    """The key of `READERS` for a file or folder, by its name, else its content. Raises InputError if there is none."""
    path = Path(path)
    if not path.exists():
        raise InputError(f"no such file or folder: {path} (expected cameras: {'; '.join(UNDERSTOOD.values())})")
    found = _of_folder(path) if path.is_dir() else _of_file(path)
    if found is None:
        raise InputError(
            f"{path} is no camera file that is understood; understood are {'; '.join(UNDERSTOOD.values())}"
        )
    return found


def _of_folder(folder: Path) -> str | None:
    marks = {
        "cameras.txt": "colmap",
        "cameras.bin": "colmap",
        "KRT": "multiface",
        "params.json": "facescape",
        "transforms.json": "transforms",
        "fit.npz": "cap4d",
    }
    found = [name for mark, name in marks.items() if (folder / mark).is_file()]
    if any(folder.glob("*.tka")):
        found.append("famos")
    if len(set(found)) > 1:
        raise InputError(f"{folder} holds cameras of several formats ({', '.join(sorted(set(found)))}); name the file")
    return found[0] if found else None


def _of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix == ".tka":
        return "famos"
    if path.name in ("cameras.txt", "images.txt"):
        return "colmap"
    if suffix == ".npz":
        return "cap4d"
    if suffix == ".json":
        return _of_json(path)
    return "multiface" if path.name.startswith("KRT") or _looks_like_krt(path) else None


def _of_json(path: Path) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not valid JSON (camera file): {error}") from None
    if not isinstance(value, dict):
        return None
    if value.get("format") == FORMAT:
        return "flowface"
    if isinstance(value.get("frames"), list):
        return "transforms"
    return "facescape" if any(re.fullmatch(r"\d+_K", key) for key in value) else None


def _looks_like_krt(path: Path) -> bool:
    """A name on the first line, then rows of 3, 3, 3, 5, 4, 4 and 4 numbers."""
    with path.open("rb") as file:
        head = file.read(4096).decode("utf-8", errors="replace").splitlines()[:8]
    return [len(line.split()) for line in head] == [1, 3, 3, 3, 5, 4, 4, 4]
