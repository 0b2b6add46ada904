"""The one way in which a pickle is read here: with a list of the names it may use, and nothing else.

Pickle is a program that may call any function it names. Here the names it may use stand for inert records
(`inert.py`); anything else stops the reading with the name of what the file wanted to call.
"""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from flowface_jax.errors import InputError
from flowface_jax.foreign import inert
from flowface_jax.foreign.inert import Record, UnreadableError

Globals = Mapping[tuple[str, str], Any]
"""What stands for each (module, name) that a file may use."""

_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    AssertionError,
    ImportError,
    OverflowError,
    MemoryError,
    # Of this type are deep recursion, and what zipfile says of features that a damaged header seems to ask for.
    RuntimeError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    OSError,
)


class RefusedError(Exception):
    """The file asks for something outside the allow-list; the message is its name."""


class Function:
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


# The Python implementation, because that in C gives a file of a few bytes a memo of as many entries as it asks for.
class AllowListUnpickler(pickle._Unpickler):
    """Reads one pickle from `stream`, which stays where the pickle ends; Python 2's text comes as Latin-1.

    globals_: what the file may name. load_persistent: from the identifier of an external object to what stands for it;
    None: no such object may occur.
    """

    def __init__(
        self, stream: BinaryIO, globals_: Globals, load_persistent: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(stream, encoding="latin1")
        self._globals = globals_
        self._load_persistent = load_persistent

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._globals:
            return self._globals[module, name]
        origin = f"{module}.{name}"
        if module == "chumpy" or module.startswith("chumpy."):
            return type("Chumpy", (inert.Chumpy,), {"origin": origin})
        if (module == "scipy.sparse" or module.startswith("scipy.sparse.")) and _is_sparse_name(name):
            return type("Sparse", (inert.Sparse,), {"origin": f"scipy.sparse.{name}"})
        raise RefusedError(origin)

    def persistent_load(self, identifier: Any) -> Any:
        if self._load_persistent is None:
            raise RefusedError("an external (persistent) object")
        return self._load_persistent(identifier)


def guarded(read: Callable[[], Any], path: Path, kind: str) -> Any:
    """What `read` returns; whatever goes wrong in it becomes an InputError of one line about the file."""
    try:
        return read()
    except RefusedError as error:
        raise InputError(
            f"refuses to load {error} from {path}: {kind} holds only arrays; get it from its source"
        ) from None
    except UnreadableError as error:
        raise InputError(f"{path} cannot be read as {kind}: it holds {error}") from None
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is damaged, truncated or not {kind}: {reason}; fetch it again") from None


def not_callable(*_: Any) -> Any:
    """Stands for the call of what only names a type."""
    raise TypeError("the file calls something that only names a type")


def _reconstruct_object(cls: Any, base: Any = None, state: Any = None) -> Record:
    if not (isinstance(cls, type) and issubclass(cls, Record)):
        raise TypeError("the file rebuilds something that is not an array")
    return cls()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise TypeError("the file encodes something that is not text")
    return text.encode("latin1")


def _bytearray(content: Any = b"", encoding: Any = "latin1") -> bytearray:
    # Not of a number: that would be a request for memory.
    if not isinstance(content, bytes | bytearray | str):
        raise TypeError("the file makes bytes of something that is not bytes")
    return bytearray(_encode(content, encoding) if isinstance(content, str) else content)


def _is_sparse_name(name: str) -> bool:
    return name in {f"{layout}_{kind}" for layout in ("csc", "csr", "coo") for kind in ("matrix", "array")}


def _plain() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {}
    for core in ("numpy.core", "numpy._core"):
        table[f"{core}.multiarray", "_reconstruct"] = Function(lambda *_: inert.Array())
        table[f"{core}.multiarray", "scalar"] = Function(inert.Scalar)
        table[f"{core}.numeric", "_frombuffer"] = Function(inert.Buffer)
    table["numpy", "dtype"] = Function(inert.Dtype)
    for name in (("numpy", "ndarray"), ("numpy", "matrix"), ("numpy.matrixlib.defmatrix", "matrix")):
        table[name] = Function(not_callable)
    for builtins in ("builtins", "__builtin__"):
        table[builtins, "object"] = Function(not_callable)
        for container in (set, frozenset, list, tuple, dict, complex):
            table[builtins, container.__name__] = Function(container)
        table[builtins, "bytearray"] = Function(_bytearray)
        table[builtins, "bytes"] = Function(lambda: b"")
    for copyreg in ("copyreg", "copy_reg"):
        table[copyreg, "_reconstructor"] = Function(_reconstruct_object)
    table["_codecs", "encode"] = Function(_encode)
    table["collections", "OrderedDict"] = Function(inert.Dictionary)
    return table


PLAIN: Final[Globals] = _plain()
"""The names of plain data and NumPy arrays: every file may use them."""
