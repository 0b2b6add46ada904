"""An .npz with a mesh in motion: `vertices` [F,V,3] and `triangles` (or `faces`) [T,3].

Optional: `valid` [F] bool, `frames_per_second`, and masks [V] bool as `region_NAME`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import shaped
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.storage import read_npz, write_npz

KIND = "vertices and triangles over time (.npz)"
_REGION = "region_"


def recognises(path: Path) -> bool:
    """Whether the file holds vertices and triangles."""
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    keys = set(read_npz(path, KIND))
    return "vertices" in keys and bool({"triangles", "faces"} & keys)


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The mesh in the world of the named cameras. Raises InputError for shapes that do not fit."""
    arrays = read_npz(path, KIND, ("vertices",))
    vertices = shaped(path, "vertices", arrays["vertices"], (None, None, 3), (None, 3))
    vertices = vertices[None] if vertices.ndim == 2 else vertices
    triangles = arrays.get("triangles", arrays.get("faces", np.zeros(0)))
    triangles = shaped(path, "triangles", triangles, (None, 3)).astype(np.int32)
    frames, count = vertices.shape[:2]
    valid = shaped(path, "valid", arrays.get("valid", np.ones(frames, bool)), (frames,)).astype(bool)
    regions = {
        key.removeprefix(_REGION): shaped(path, key, value, (count,)).astype(bool)
        for key, value in arrays.items()
        if key.startswith(_REGION)
    }
    rate = float(np.ravel(arrays.get("frames_per_second", 0))[0])
    if not np.isfinite(rate):
        raise InputError(f"{path}: expected frames_per_second to be a number, found {rate}")
    cameras = options.loaded_cameras()
    return MeshSequence(vertices * np.float32(options.metres), triangles, valid, regions, cameras, None, rate or None)


def write(path: Path, sequence: MeshSequence) -> None:
    """Write a sequence so that `read` gives its mesh back (cameras go into a file of their own)."""
    arrays = {"vertices": sequence.vertices, "triangles": sequence.triangles, "valid": sequence.valid}
    arrays |= {f"{_REGION}{name}": np.asarray(mask) for name, mask in sequence.regions.items()}
    if sequence.frames_per_second:
        arrays["frames_per_second"] = np.asarray(sequence.frames_per_second)
    write_npz(path, arrays)
