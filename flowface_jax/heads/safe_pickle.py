"""Reading pickled model files without executing anything that they contain.

Pickle is a program that may call any function it names. Here the names it may use are an allow-list of inert records
(`inert.py`); anything else stops the reading with the name of what the file wanted to call.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.heads import inert
from flowface_jax.heads.inert import Record, UnreadableError, resolve
from flowface_jax.storage import require_file

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_TORCH_STORAGES = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}
_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    ImportError,
    OverflowError,
    MemoryError,
    RecursionError,
    struct.error,
)


class _Refused(Exception):  # noqa: N818 (never leaves this module)
    """The file asks for something outside the allow-list."""


class _Function:
    """A callable that a pickle may call but not alter."""

    __slots__ = ("_build",)

    def __init__(self, build: Callable[..., Any]) -> None:
        object.__setattr__(self, "_build", build)

    def __call__(self, *arguments: Any) -> Any:
        return self._build(*arguments)

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError("the file tries to change a function")

    def __setstate__(self, state: Any) -> None:
        raise TypeError("the file tries to change a function")


class _TorchStorageType(_Function):
    """torch.LongStorage and its like: stands for a number type, cannot be called."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: type) -> None:
        super().__init__(_not_callable)
        object.__setattr__(self, "dtype", np.dtype(dtype))


def read_pickle(path: str | os.PathLike[str], kind: str) -> Any:
    """The plain data of a pickle file (dicts, lists, numbers, text, NumPy arrays), nothing in it executed.

    Reads protocols 0 to 5, Python 2 pickles too. Sparse matrices come back dense, chumpy and PyTorch arrays as NumPy
    arrays. Raises InputError if the file is absent, damaged, or names a function or class outside the allow-list.
    """
    path = require_file(path, kind)
    return _guarded(lambda: resolve(_load(io.BytesIO(path.read_bytes()))), path, kind)


def read_npy(path: str | os.PathLike[str], kind: str) -> Any:
    """An .npy file: its array, or the Python object that a 0-d object array holds. Raises as `read_pickle`."""
    path = require_file(path, kind)
    return _guarded(lambda: _npy(io.BytesIO(path.read_bytes())), path, kind)


def read_npz_objects(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """All entries of an .npz, pickled objects among them read as `read_npy` does. Raises as `read_pickle`."""
    path = require_file(path, kind)

    def entries() -> dict[str, Any]:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            return {name[: -len(".npy")]: _npy(io.BytesIO(archive.read(name))) for name in names}

    return _guarded(entries, path, kind)


def _guarded(read: Callable[[], Any], path: Path, kind: str) -> Any:
    try:
        return read()
    except _Refused as error:
        raise InputError(
            f"refuses to load {error} from {path}: {kind} holds only arrays; get it from its source"
        ) from None
    except UnreadableError as error:
        raise InputError(f"{path} cannot be read as {kind}: it holds {error}") from None
    except (zipfile.BadZipFile, zlib.error, OSError, *_DAMAGE) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged, truncated or not {kind}: {reason}; fetch it again") from None


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, globals_: dict[tuple[str, str], Any]) -> None:
        super().__init__(stream, encoding="latin1")
        self._globals = globals_

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._globals:
            return self._globals[module, name]
        origin = f"{module}.{name}"
        if module == "chumpy" or module.startswith("chumpy."):
            return type("Chumpy", (inert.Chumpy,), {"origin": origin})
        if (module == "scipy.sparse" or module.startswith("scipy.sparse.")) and _is_sparse_name(name):
            return type("Sparse", (inert.Sparse,), {"origin": f"scipy.sparse.{name}"})
        raise _Refused(origin)

    def persistent_load(self, identifier: Any) -> Any:
        raise _Refused("an external (persistent) object")


class _StorageUnpickler(_Unpickler):
    """Reads the description of one PyTorch storage, whose numbers follow it in the stream."""

    def persistent_load(self, identifier: Any) -> tuple[np.dtype, int]:
        if isinstance(identifier, tuple) and len(identifier) >= 5 and isinstance(identifier[1], _TorchStorageType):
            return identifier[1].dtype, int(identifier[4])
        raise _Refused("an external (persistent) object")


def _load(stream: io.BytesIO) -> Any:
    return _Unpickler(stream, _GLOBALS).load()


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


def _torch_storage(payload: Any) -> inert.Storage:
    """The numbers of a storage as `torch.save` writes them inside other pickles (its older stream format)."""
    stream = io.BytesIO(payload if isinstance(payload, bytes) else payload.encode("latin1"))
    if stream.getvalue()[:2] == b"PK":
        raise UnreadableError("PyTorch data in a zip; convert it once to NumPy arrays where PyTorch is installed")
    load = lambda: _StorageUnpickler(stream, _TORCH_GLOBALS).load()
    if load() != _TORCH_MAGIC:
        raise UnreadableError("PyTorch data of an unknown kind; convert it once to NumPy arrays")
    load()
    if load().get("little_endian") is not True:
        raise UnreadableError("PyTorch data written on a big-endian machine; convert it once to NumPy arrays")
    dtype, count = load()
    load()
    (stored,) = struct.unpack("<q", stream.read(8))
    raw = stream.read(max(stored, 0) * dtype.itemsize)
    if stored != count or len(raw) != stored * dtype.itemsize:
        raise UnreadableError("a PyTorch storage that is cut short")
    return inert.Storage(np.frombuffer(raw, dtype))


def _reconstruct_object(cls: Any, base: Any = None, state: Any = None) -> Record:
    if not (isinstance(cls, type) and issubclass(cls, Record)):
        raise TypeError("the file rebuilds something that is not an array")
    return cls()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError("the file encodes something that is not text")
    return text.encode("latin1")


def _not_callable(*_: Any) -> Any:
    raise TypeError("the file calls something that only names a type")


def _is_sparse_name(name: str) -> bool:
    return name in {f"{layout}_{kind}" for layout in ("csc", "csr", "coo") for kind in ("matrix", "array")}


def _allowed() -> dict[tuple[str, str], Any]:
    """Every name that a file may use, and the inert thing it gets for it."""
    table: dict[tuple[str, str], Any] = {}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = _Function(lambda *_: inert.Array())
        table[f"{core}.multiarray", "scalar"] = _Function(inert.Scalar)
        table[f"{core}.numeric", "_frombuffer"] = _Function(inert.Buffer)
    table["numpy", "dtype"] = _Function(inert.Dtype)
    for name in (("numpy", "ndarray"), ("numpy", "matrix"), ("numpy.matrixlib.defmatrix", "matrix")):
        table[name] = _Function(_not_callable)
    for builtins in ("builtins", "__builtin__"):
        table[builtins, "object"] = _Function(_not_callable)
        for container in (set, frozenset, list, tuple, dict, bytearray, complex):
            table[builtins, container.__name__] = _Function(container)
        table[builtins, "bytes"] = _Function(lambda: b"")
    for copyreg in ("copyreg", "copy_reg"):
        table[copyreg, "_reconstructor"] = _Function(_reconstruct_object)
    table["_codecs", "encode"] = _Function(_encode)
    table["collections", "OrderedDict"] = _Function(dict)
    return table


_TORCH_GLOBALS: dict[tuple[str, str], Any] = {
    ("torch", name): _TorchStorageType(dtype) for name, dtype in _TORCH_STORAGES.items()
}
_GLOBALS: dict[tuple[str, str], Any] = {
    **_allowed(),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(inert.Tensor),
    ("torch.storage", "_load_from_bytes"): _Function(_torch_storage),
}
