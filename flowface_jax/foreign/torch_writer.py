"""Files that `torch.load` reads, written without PyTorch: its zip of one pickle and an entry for each storage."""

from __future__ import annotations

import io
import zipfile
from typing import Any, Final

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.foreign.pickle_writer import called, code, named, numpy_code, pickle_bytes

_FOLDER: Final = "archive"
_VERSION: Final = b"3\n"
_STORAGES: Final = {
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.int32): "IntStorage",
    np.dtype(np.int16): "ShortStorage",
    np.dtype(np.int8): "CharStorage",
    np.dtype(np.uint8): "ByteStorage",
    np.dtype(np.bool_): "BoolStorage",
}


def torch_bytes(value: Any, tensors: bool = True) -> bytes:
    """What `torch.save` writes of nested tables, lists, text, numbers and arrays; same value, same bytes.

    tensors: arrays become PyTorch's tensors; else they stay NumPy's, as in files of programs that saved such, which
    PyTorch since 2.6 loads only with weights_only=False. Raises InputError for what is no plain data, and for arrays of
    a type that PyTorch has not.
    """
    storages: list[np.ndarray] = []

    def tensor(array: np.ndarray) -> bytes:
        storages.append(np.asarray(array, order="C"))
        return _tensor_code(storages[-1], str(len(storages) - 1))

    pickled = pickle_bytes(value, tensor if tensors else None)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        entries = {"data.pkl": pickled, "byteorder": b"little"}
        entries |= {f"data/{key}": _little_endian(storage).tobytes() for key, storage in enumerate(storages)}
        entries["version"] = _VERSION
        for name, payload in entries.items():
            archive.writestr(zipfile.ZipInfo(f"{_FOLDER}/{name}", date_time=(1980, 1, 1, 0, 0, 0)), payload)
    return content.getvalue()


def _tensor_code(array: np.ndarray, key: str) -> bytes:
    kind = _STORAGES.get(array.dtype.newbyteorder("="))
    if kind is None:
        raise InputError(f"expected numbers of a type that PyTorch has, found {array.dtype}")
    plain = lambda value: code(value, numpy_code)
    stored = b"(" + plain("storage") + named("torch", kind) + plain(key) + plain("cpu") + plain(array.size) + b"tQ"
    strides = tuple(step // array.itemsize for step in np.empty(array.shape, array.dtype).strides)
    hooks = called(named("collections", "OrderedDict"), ())
    parts = (stored, plain(0), plain(array.shape), plain(strides), plain(False), hooks)
    return called(named("torch._utils", "_rebuild_tensor_v2"), parts)


def _little_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"))
