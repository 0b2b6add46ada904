"""What XLA calls: one handler per kernel, reading the call frame of XLA's typed foreign-function interface.

Offsets are those of `xla/ffi/api/c_api.h` (API 0.x, 64-bit), counted in 8-byte words. Leading batch axes come first in
every buffer; an argument that is the same for the whole batch has length 1 there.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import carray, cfunc, njit, types
from numba.extending import intrinsic

from flowface_jax.synthesis.rasteriser import grid, kernels

_EXTENSION, _API, _STAGE, _ARGUMENTS, _RESULTS = 1, 2, 4, 9, 14
_METADATA_EXTENSION, _EXECUTE = 1, 3
_DATA, _RANK, _DIMENSIONS = 3, 4, 5
_OPTIONS = dict(nogil=True, error_model="numpy", boundscheck=False)


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    """An integer address as a pointer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), generate


@njit(**_OPTIONS)
def _words(address: int, count: int) -> np.ndarray:
    return carray(_pointer(address), (count,), np.int64)


@njit(**_OPTIONS)
def _ready(frame: Any) -> bool:
    """Whether the kernel is to run; answers XLA's question for the interface's version otherwise."""
    head = carray(frame, (15,), np.int64)
    extension = head[_EXTENSION]
    while extension != 0:
        fields = _words(extension, 4)
        if (fields[1] & 0xFFFFFFFF) == _METADATA_EXTENSION:
            # The version that XLA itself states; the parts of the frame that are read here are the same in all of 0.x.
            _words(fields[3], 5)[3] = _words(head[_API], 5)[4]
            _words(fields[3], 5)[4] = 0
            return False
        extension = fields[2]
    return (head[_STAGE] & 0xFFFFFFFF) == _EXECUTE


@njit(**_OPTIONS)
def _buffer(frame: Any, kind: int, index: int) -> np.ndarray:
    """The fields of one buffer; kind is _ARGUMENTS or _RESULTS."""
    return _words(_words(carray(frame, (15,), np.int64)[kind], index + 1)[index], 6)


@njit(**_OPTIONS)
def _extent(buffer: np.ndarray, axis: int) -> int:
    """Length of an axis counted from the end: 1 is the last."""
    return _words(buffer[_DIMENSIONS], buffer[_RANK])[buffer[_RANK] - axis]


@njit(**_OPTIONS)
def _batch(result: np.ndarray, core: int) -> int:
    """Number of images: the product of the axes before the last `core` ones."""
    total = 1
    for axis in range(core + 1, result[_RANK] + 1):
        total *= _extent(result, axis)
    return total


@njit(**_OPTIONS)
def _address(buffer: np.ndarray, core: int, item_bytes: int, result: np.ndarray, result_core: int, n: int) -> int:
    """Where image n of the batch starts in a buffer whose own shape is its last `core` axes."""
    step = item_bytes
    for axis in range(1, core + 1):
        step *= _extent(buffer, axis)
    offset = 0
    for k in range(1, result[_RANK] - result_core + 1):
        length, own = _extent(result, result_core + k), _extent(buffer, core + k)
        if own > 1:
            offset += (n % length) * step
        step *= own
        n //= length
    return buffer[_DATA] + offset


@njit(**_OPTIONS)
def _floats1(buffer: np.ndarray, result: np.ndarray, core: int, n: int) -> np.ndarray:
    address = _address(buffer, 1, 4, result, core, n)
    return carray(_pointer(address), (_extent(buffer, 1),), np.float32)


@njit(**_OPTIONS)
def _floats2(buffer: np.ndarray, result: np.ndarray, core: int, n: int) -> np.ndarray:
    address = _address(buffer, 2, 4, result, core, n)
    return carray(_pointer(address), (_extent(buffer, 2), _extent(buffer, 1)), np.float32)


@njit(**_OPTIONS)
def _floats3(buffer: np.ndarray, result: np.ndarray, core: int, n: int) -> np.ndarray:
    address = _address(buffer, 3, 4, result, core, n)
    return carray(_pointer(address), (_extent(buffer, 3), _extent(buffer, 2), _extent(buffer, 1)), np.float32)


@njit(**_OPTIONS)
def _integers1(buffer: np.ndarray, result: np.ndarray, core: int, n: int) -> np.ndarray:
    address = _address(buffer, 1, 4, result, core, n)
    return carray(_pointer(address), (_extent(buffer, 1),), np.int32)


@njit(**_OPTIONS)
def _integers2(buffer: np.ndarray, result: np.ndarray, core: int, n: int) -> np.ndarray:
    address = _address(buffer, 2, 4, result, core, n)
    return carray(_pointer(address), (_extent(buffer, 2), _extent(buffer, 1)), np.int32)


@njit(**_OPTIONS)
def _rasterise(frame: Any) -> int:
    if _ready(frame):
        pixels, depth = _buffer(frame, _ARGUMENTS, 0), _buffer(frame, _ARGUMENTS, 1)
        triangles, settings = _buffer(frame, _ARGUMENTS, 2), _buffer(frame, _ARGUMENTS, 3)
        found, mixed, far = (_buffer(frame, _RESULTS, 0), _buffer(frame, _RESULTS, 1), _buffer(frame, _RESULTS, 2))
        for n in range(_batch(found, 2)):
            near, orthographic, cull, mix = _floats1(settings, found, 2, n)
            kernels.rasterise(
                _floats2(pixels, found, 2, n),
                _floats1(depth, found, 2, n),
                _integers2(triangles, found, 2, n),
                near,
                orthographic > 0,
                cull > 0,
                mix > 0,
                _integers2(found, found, 2, n),
                _floats3(mixed, found, 2, n),
                _floats2(far, found, 2, n),
            )
    return 0


@njit(**_OPTIONS)
def _interpolate(frame: Any) -> int:
    if _ready(frame):
        triangle, barycentric = _buffer(frame, _ARGUMENTS, 0), _buffer(frame, _ARGUMENTS, 1)
        triangles, attributes = _buffer(frame, _ARGUMENTS, 2), _buffer(frame, _ARGUMENTS, 3)
        out = _buffer(frame, _RESULTS, 0)
        for n in range(_batch(out, 2)):
            kernels.interpolate(
                _integers1(triangle, out, 2, n),
                _floats2(barycentric, out, 2, n),
                _integers2(triangles, out, 2, n),
                _floats2(attributes, out, 2, n),
                _floats2(out, out, 2, n),
            )
    return 0


@njit(**_OPTIONS)
def _vertex_normals(frame: Any) -> int:
    if _ready(frame):
        vertices, triangles = _buffer(frame, _ARGUMENTS, 0), _buffer(frame, _ARGUMENTS, 1)
        out = _buffer(frame, _RESULTS, 0)
        for n in range(_batch(out, 2)):
            kernels.vertex_normals(
                _floats2(vertices, out, 2, n), _integers2(triangles, out, 2, n), _floats2(out, out, 2, n)
            )
    return 0


_SIGNATURE = types.int64(types.voidptr)


def compile_handler(name: str) -> Any:
    """The C function of a kernel for XLA, compiled or read from numba's cache."""
    # numba's cache looks at the file of the outermost function only; a changed constant makes it look anew.
    version = _source_version()

    def run_rasterise(frame: Any) -> int:
        return _rasterise(frame) if version else 0

    def run_interpolate(frame: Any) -> int:
        return _interpolate(frame) if version else 0

    def run_vertex_normals(frame: Any) -> int:
        return _vertex_normals(frame) if version else 0

    functions = (run_rasterise, run_interpolate, run_vertex_normals)
    return _compiled({function.__name__.removeprefix("run_"): function for function in functions}[name])


def _source_version() -> int:
    """A number, not 0, that changes with the code of the kernels."""
    return 1 + sum(zlib.crc32(Path(module.__file__).read_bytes()) for module in (kernels, grid))


def _compiled(function: Any) -> Any:
    try:
        return cfunc(_SIGNATURE, cache=True, nopython=True, error_model="numpy")(function)
    except (RuntimeError, OSError):
        # No folder to cache in (a read-only installation without a home): compiled anew by each process.
        return cfunc(_SIGNATURE, nopython=True, error_model="numpy")(function)
