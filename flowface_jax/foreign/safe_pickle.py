"""Pickled model files (.pkl, and .npy or .npz with objects in them), read without executing what they contain."""

from __future__ import annotations

import io
import os
import zipfile
from typing import Any

import numpy as np

from flowface_jax.foreign import inert
from flowface_jax.foreign.allow_list import PLAIN, AllowListUnpickler, Function, guarded
from flowface_jax.foreign.inert import resolve
from flowface_jax.foreign.torch_objects import TENSORS
from flowface_jax.foreign.torch_stream import read_storage
from flowface_jax.storage import require_file

_GLOBALS = {**PLAIN, **TENSORS, ("torch.storage", "_load_from_bytes"): Function(read_storage)}


def read_pickle(path: str | os.PathLike[str], kind: str) -> Any:
    """The plain data of a pickle file (dicts, lists, numbers, text, NumPy arrays), nothing in it executed.

    Reads protocols 0 to 5, Python 2 pickles too. Sparse matrices come back dense, chumpy and PyTorch arrays as NumPy
    arrays. Raises InputError if the file is absent, damaged, or names a function or class outside the allow-list.
    """
    path = require_file(path, kind)
    return guarded(lambda: resolve(_load(io.BytesIO(path.read_bytes()))), path, kind)


def read_npy(path: str | os.PathLike[str], kind: str) -> Any:
    """An .npy file: its array, or the Python object that a 0-d object array holds. Raises as `read_pickle`."""
    path = require_file(path, kind)
    return guarded(lambda: _npy(io.BytesIO(path.read_bytes())), path, kind)


def read_npz_objects(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """All entries of an .npz, pickled objects among them read as `read_npy` does. Raises as `read_pickle`."""
    path = require_file(path, kind)

    def entries() -> dict[str, Any]:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name[: -len(".npy")]: _npy(io.BytesIO(archive.read(name))) for name in names}

    return guarded(entries, path, kind)


def _load(stream: io.BytesIO) -> Any:
    return AllowListUnpickler(stream, _GLOBALS).load()


def _npy(stream: io.BytesIO) -> Any:
    """One .npy stream. The header is parsed here, so that NumPy never meets a pickle."""
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        value = resolve(_load(stream))
        is_wrapped = isinstance(value, np.ndarray) and value.dtype.hasobject and value.shape == ()
        return value[()] if is_wrapped else value
    order = "F" if fortran else "C"
    return inert.array_of(stream.read(), dtype, shape, order, lambda item: item)
