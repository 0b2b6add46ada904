"""`open_sequence`: whatever a tracker wrote, recognised by what lies there, as a mesh sequence."""

from __future__ import annotations

import dataclasses
import os
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Final

from flowface_jax.cameras.model import Cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, check_sequence
from flowface_jax.evaluation.readers import (
    cap4d_fit,
    deca,
    flowface_track,
    mediapipe_points,
    mesh_folder,
    metrical_tracker,
    pixel3dmm,
    three_ddfa,
    vertex_file,
    vhap,
)
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.heads.model import HeadModel

READERS: Final[dict[str, ModuleType]] = {
    "flowface": flowface_track,
    "metrical-tracker": metrical_tracker,
    "pixel3dmm": pixel3dmm,
    "vhap": vhap,
    "cap4d": cap4d_fit,
    "arrays": vertex_file,
    "mediapipe": mediapipe_points,
    "deca": deca,
    "3ddfa-v2": three_ddfa,
    "meshes": mesh_folder,
}
"""In the order in which they are asked: the first that recognises a path reads it."""
KINDS: Final = tuple(READERS)
_UNDERSTOOD = (
    "a flowface track folder, metrical-tracker's or Pixel3DMM's .frame folder, VHAP's npz or export, CAP4D's fit.npz, "
    "DECA/EMOCA codes, MediaPipe landmarks (.npz, .json), 3DDFA_V2 meshes, a folder of OBJ or PLY meshes, "
    "or an .npz of vertices and triangles"
)


def open_sequence(
    path: str | os.PathLike[str],
    *,
    head: HeadModel | str | os.PathLike[str] | None = None,
    cameras: Cameras | str | os.PathLike[str] | None = None,
    unit: str | None = None,
    name: str | None = None,
    kind: str = "auto",
    image_size: tuple[int, int] | None = None,
    frames_per_second: float | None = None,
) -> MeshSequence:
    """What a tracker wrote, in metres and OpenCV cameras, checked by `check_sequence`.

    head: of the track, where it is not the built-in one; FLAME for formats that store its parameters. cameras: of the
    world that meshes without cameras lie in. unit: "mm", "cm" or "m" of plain meshes. name: for tables; the path's by
    default. kind: one of KINDS where "auto" does not recognise it. image_size: (width, height) px, where the format
    needs and lacks it. Raises InputError for a path that is nothing known, damaged files, or a mesh that is no head;
    MissingAssetError where the head is needed and not named.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"no such file or folder: {path} (expected {_UNDERSTOOD})")
    options = ReadOptions(head, cameras, unit, image_size)
    sequence = READERS[_kind_of(path, kind)].read(path, options)
    rate = sequence.frames_per_second if frames_per_second is None else frames_per_second
    return check_sequence(dataclasses.replace(sequence, name=name or _name(path), frames_per_second=rate))


def _kind_of(path: Path, kind: str) -> str:
    if kind != "auto":
        if kind not in READERS:
            raise InputError(f"expected a kind of auto, {', '.join(KINDS)}, found '{kind}'")
        return kind
    if path.suffix == ".npz" and path.is_file() and not zipfile.is_zipfile(path):
        # Said here, where nothing is known of what it should have been.
        raise InputError(f"{path} is no .npz file, or is cut off (expected {_UNDERSTOOD}); make or fetch it again")
    for name, reader in READERS.items():
        if reader.recognises(path):
            return name
    raise InputError(f"{path} is none of these: {_UNDERSTOOD}; if it is, name its kind (--kind)")


def _name(path: Path) -> str:
    path = path.resolve()
    return path.name if path.is_dir() else path.stem
