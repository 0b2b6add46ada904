"""PyTorch's zip file, as torch.save writes since 1.6: one pickle (data.pkl) and an entry for each storage."""

from __future__ import annotations

import io
import zipfile
from typing import Any, Final

import numpy as np

from flowface_jax.foreign import inert
from flowface_jax.foreign.allow_list import PLAIN, AllowListUnpickler, Globals
from flowface_jax.foreign.inert import UnreadableError
from flowface_jax.foreign.torch_objects import TENSORS, storage_description

_PICKLE: Final = "data.pkl"


def read_zip(content: bytes, extra: Globals) -> Any:
    """The object in the file as inert records. extra: names it may use besides those of arrays and tensors.

    Raises UnreadableError where the zip is another one or its sizes disagree, RefusedError for other names.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        folder = _folder(archive)
        _check_sizes(archive, len(content))
        names = set(archive.namelist())
        order = f"{folder}byteorder"
        if order in names and archive.read(order).strip() != b"little":
            raise UnreadableError("PyTorch data written on a big-endian machine; save it again on another one")
        storages: dict[str, tuple[np.dtype, inert.Storage]] = {}

        def storage(identifier: Any) -> inert.Storage:
            dtype, key, count, _ = storage_description(identifier)
            if key not in storages:
                entry = f"{folder}data/{key}"
                if entry not in names:
                    raise UnreadableError(f"tensors whose numbers ({entry}) are missing")
                if archive.getinfo(entry).file_size != count * dtype.itemsize:
                    raise UnreadableError(f"a PyTorch storage ({entry}) of another size than it says")
                storages[key] = dtype, inert.Storage(np.frombuffer(archive.read(entry), dtype))
            known, read = storages[key]
            return read if known == dtype else inert.Storage(_as_type(read.arguments[0], dtype, count))

        stream = io.BytesIO(archive.read(f"{folder}{_PICKLE}"))
        return AllowListUnpickler(stream, {**PLAIN, **TENSORS, **extra}, storage).load()


def _as_type(numbers: np.ndarray, dtype: np.dtype, count: int) -> np.ndarray:
    """The bytes of a storage as other numbers: tensors of two types may share one."""
    if numbers.nbytes != count * dtype.itemsize:
        raise UnreadableError("a PyTorch storage that is described in two ways")
    return numbers.view(dtype)


def _folder(archive: zipfile.ZipFile) -> str:
    """The folder inside the zip that everything lies in, with its slash."""
    names = archive.namelist()
    pickles = [name for name in names if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
    if len(pickles) != 1:
        raise UnreadableError("no PyTorch checkpoint (a zip without data.pkl); name a file written by torch.save")
    folder = pickles[0].removesuffix(_PICKLE)
    if f"{folder}constants.pkl" in names:
        raise UnreadableError("a TorchScript program; save its state_dict instead")
    return folder


def _check_sizes(archive: zipfile.ZipFile, size: int) -> None:
    """Entries lie in the file as they are, so that no small file asks for much memory."""
    entries = archive.infolist()
    is_plain = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    if not is_plain or sum(entry.file_size for entry in entries) > size:
        raise UnreadableError("compressed entries, which torch.save does not write; save it again with PyTorch")
