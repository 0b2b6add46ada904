"""What a pickled file may hold, as inert records: a class name and numbers, and nothing that could run.

The unpickler hands out only these records; `resolve` afterwards turns them into plain NumPy arrays. So no method of
NumPy, SciPy, chumpy or PyTorch ever runs on what a file says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_PLAIN_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f(2|4|8|16)|c(8|16)|[SU]\d+|O\d*|bool)")
_LARGEST_DENSE = 100_000_000


class UnreadableError(ValueError):
    """The file holds something that is not, or not safely, an array."""


class Record:
    """An object of the file: its class, the arguments it was made with and its state."""

    origin = ""

    def __new__(cls, *arguments: Any, **_: Any) -> Record:
        record = object.__new__(cls)
        record.arguments = arguments
        record.state = None
        return record

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def resolved(self, resolve: Callable[[Any], Any]) -> Any:
        raise UnreadableError(f"an object of type {self.origin or type(self).__name__} is not an array")


class Dtype(Record):
    """numpy.dtype: the type code and, in the state, the byte order."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.dtype:
        code = _text(self.arguments[0]) if self.arguments else ""
        if not _PLAIN_DTYPE.fullmatch(code):
            raise UnreadableError(f"arrays of type {code!r} are not read (plain numbers and text only)")
        dtype = np.dtype("O" if code.lstrip("<>|=").startswith("O") else code)
        order = _text(self.state[1]) if isinstance(self.state, tuple) and len(self.state) > 1 else "="
        return dtype.newbyteorder(order) if order in ("<", ">") else dtype


class Array(Record):
    """numpy.ndarray: state is (version, shape, dtype, Fortran order, bytes or a list of objects)."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        if not isinstance(self.state, tuple) or len(self.state) not in (4, 5):
            raise UnreadableError("an array without contents")
        shape, dtype, fortran, raw = self.state[-4:]
        return array_of(raw, resolve(dtype), shape, "F" if fortran else "C", resolve)


class Scalar(Record):
    """A NumPy scalar: arguments are (dtype, bytes)."""

    def resolved(self, resolve: Callable[[Any], Any]) -> Any:
        dtype, raw = self.arguments
        return array_of([raw] if resolve(dtype).hasobject else raw, resolve(dtype), (), "C", resolve)[()]


class Buffer(Record):
    """An array of pickle protocol 5: arguments are (buffer, dtype, shape, order)."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        raw, dtype, shape, order = self.arguments[:4]
        return array_of(raw, resolve(dtype), shape, order if order in ("C", "F") else "C", resolve)


class Sparse(Record):
    """A scipy.sparse matrix, resolved to a dense float64 array."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        if not isinstance(self.state, dict):
            raise UnreadableError(f"a sparse matrix ({self.origin}) without contents")
        state = {str(name): resolve(value) for name, value in self.state.items()}
        shape = _shape(state.get("_shape", state.get("shape")))
        if len(shape) != 2 or math.prod(shape) > _LARGEST_DENSE:
            raise UnreadableError(f"a sparse matrix of shape {shape} is not read")
        values = np.asarray(state.get("data"), np.float64)
        rows, columns = self._indices(state, values.size)
        in_range = rows.size == columns.size == values.size and (
            values.size == 0
            or (min(rows.min(), columns.min()) >= 0 and rows.max() < shape[0] and columns.max() < shape[1])
        )
        if not in_range:
            raise UnreadableError("a sparse matrix whose indices do not fit its shape")
        dense = np.zeros(shape)
        np.add.at(dense, (rows, columns), values)
        return dense

    def _indices(self, state: dict[str, Any], count: int) -> tuple[np.ndarray, np.ndarray]:
        if "indptr" in state:
            pointers = np.asarray(state["indptr"], np.int64)
            steps = np.diff(pointers)
            if pointers.size == 0 or (steps < 0).any() or steps.sum() != count:
                raise UnreadableError("a sparse matrix whose pointers do not fit its values")
            major = np.repeat(np.arange(steps.size), steps)
            minor = np.asarray(state["indices"], np.int64)
            return (minor, major) if ".csc" in self.origin else (major, minor)
        rows, columns = state["coords"] if "coords" in state else (state.get("row"), state.get("col"))
        return np.asarray(rows, np.int64), np.asarray(columns, np.int64)


class Chumpy(Record):
    """A chumpy array (FLAME before 2023): the stored numbers, or a selection or reshaping of another one."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        kind = self.origin.rsplit(".", 1)[-1]
        state = self.state if isinstance(self.state, dict) else {}
        if kind == "Ch" and "x" in state:
            return np.asarray(resolve(state["x"]))
        if kind == "Select" and "a" in state and "idxs" in state:
            picked = np.asarray(resolve(state["a"])).ravel()[np.asarray(resolve(state["idxs"]), np.int64)]
            shape = resolve(state.get("preferred_shape"))
            return picked if shape is None else picked.reshape(_shape(shape, wildcard=True))
        if kind == "Reshape" and "a" in state and "newshape" in state:
            return np.asarray(resolve(state["a"])).reshape(_shape(resolve(state["newshape"]), wildcard=True))
        if kind == "transpose" and "a" in state:
            axes = resolve(state.get("axes"))
            return np.transpose(np.asarray(resolve(state["a"])), None if axes is None else _shape(axes))
        raise UnreadableError(
            f"{self.origin} is a chumpy expression, not stored numbers; save the file once more with plain NumPy arrays"
        )


class Dictionary(dict):
    """collections.OrderedDict; what PyTorch hangs on it besides its entries (format versions) is passed over."""

    def __setstate__(self, state: Any) -> None:
        return


class Opaque(Record):
    """Something that is no array and not needed: it resolves to None."""

    def resolved(self, resolve: Callable[[Any], Any]) -> None:
        return None


class Storage(Record):
    """The numbers behind PyTorch tensors: the first argument is one flat array."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        return self.arguments[0]


class Tensor(Record):
    """A PyTorch tensor: arguments are (storage, offset, size, stride[, dtype]); resolved to a read-only view."""

    def resolved(self, resolve: Callable[[Any], Any]) -> np.ndarray:
        storage, offset, size, stride = self.arguments[:4]
        if not isinstance(storage, Storage):
            raise UnreadableError("a PyTorch tensor without its numbers; convert it once to a NumPy array")
        flat = resolve(storage)
        if len(self.arguments) > 4:
            flat = flat.view(self.arguments[4])
        size, stride = _shape(size), _shape(stride)
        (offset,) = _shape(offset)
        count = math.prod(size)
        if len(size) != len(stride) or count > max(flat.size, 1):
            raise UnreadableError("a PyTorch tensor larger than its storage")
        if count == 0:
            return np.empty(size, flat.dtype)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if last >= flat.size:
            raise UnreadableError("a PyTorch tensor that reaches outside its storage")
        steps = [step * flat.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(flat[offset:], size, steps, writeable=False)


def resolve(value: Any) -> Any:
    """Replace every record inside dicts, lists and tuples by the array it stands for. Raises UnreadableError."""
    # What is shared is resolved once: nested sharing would double the work at every level. Items are kept beside their
    # results, so that no id is given out twice.
    done: dict[int, tuple[Any, Any]] = {}
    open_items: set[int] = set()

    def visit(item: Any) -> Any:
        if not isinstance(item, Record | dict | list | tuple):
            return item
        if id(item) in open_items:
            raise UnreadableError("an array that contains itself")
        if id(item) not in done:
            open_items.add(id(item))
            done[id(item)] = item, _resolved(item, visit)
            open_items.discard(id(item))
        return done[id(item)][1]

    return visit(value)


def _resolved(item: Record | dict | list | tuple, visit: Callable[[Any], Any]) -> Any:
    if isinstance(item, Record):
        return item.resolved(visit)
    if isinstance(item, dict):
        return {visit(key): visit(entry) for key, entry in item.items()}
    return [visit(entry) for entry in item] if isinstance(item, list) else tuple(visit(entry) for entry in item)


def array_of(raw: Any, dtype: np.dtype, shape: Any, order: str, resolve: Callable[[Any], Any]) -> np.ndarray:
    """An array from its bytes (or, of objects, from their list). Raises UnreadableError where the sizes disagree."""
    shape = _shape(shape)
    count = math.prod(shape)
    if dtype.hasobject:
        if not isinstance(raw, list) or len(raw) != count:
            raise UnreadableError("an array of objects whose contents do not fit its shape")
        objects = np.empty(count, object)
        for i, item in enumerate(raw):
            objects[i] = resolve(item)
        return objects.reshape(shape, order=order)
    if isinstance(raw, str):
        raw = raw.encode("latin1")
    if not isinstance(raw, bytes | bytearray) or len(raw) != count * dtype.itemsize:
        raise UnreadableError(f"an array of shape {shape} whose bytes do not fit it")
    return np.frombuffer(bytes(raw), dtype).reshape(shape, order=order)


def _shape(value: Any, wildcard: bool = False) -> tuple[int, ...]:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, int):
        value = (value,)
    smallest = -1 if wildcard else 0
    if not isinstance(value, tuple | list) or not all(isinstance(n, int | np.integer) and n >= smallest for n in value):
        raise UnreadableError(f"{value!r} is not the shape of an array")
    return tuple(int(n) for n in value)


def _text(value: Any) -> str:
    return value.decode("latin1") if isinstance(value, bytes) else str(value)
