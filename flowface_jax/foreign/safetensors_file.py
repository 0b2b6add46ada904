"""safetensors: a length, a JSON header with name, type, shape and place of every tensor, then their bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import ml_dtypes
import numpy as np

from flowface_jax.foreign.inert import UnreadableError

_LENGTH_BYTES: Final = 8
_ALIGNMENT: Final = 8
_LARGEST_HEADER: Final = 100_000_000
"""Bytes; the limit that the format's own reader has."""
_METADATA: Final = "__metadata__"
_TYPES: Final[dict[str, Any]] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_CODES: Final = {np.dtype(dtype): code for code, dtype in _TYPES.items()}


def looks_like_safetensors(content: bytes) -> bool:
    """Whether the bytes begin as a safetensors file does."""
    return content[_LENGTH_BYTES : _LENGTH_BYTES + 1] == b"{"


def parse_safetensors(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Tensors (read-only views of the bytes) and metadata. Raises UnreadableError where header and bytes disagree."""
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    first = _LENGTH_BYTES + length
    if len(content) < _LENGTH_BYTES or length > _LARGEST_HEADER or first > len(content):
        raise UnreadableError("a safetensors header that is cut short; fetch the file again")
    try:
        header = json.loads(content[_LENGTH_BYTES:first])
    except ValueError:
        raise UnreadableError("a safetensors header that is not JSON; fetch the file again") from None
    if not isinstance(header, dict):
        raise UnreadableError("a safetensors header that is not a table; fetch the file again")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise UnreadableError("safetensors metadata that is not text; fetch the file again")
    return {name: _tensor(name, entry, content, first) for name, entry in header.items()}, metadata


def safetensors_bytes(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file of these tensors and this metadata; the same content gives the same bytes, whatever its order."""
    header: dict[str, Any] = {_METADATA: dict(sorted(metadata.items()))}
    # Wide numbers first, as the format's own writer does, so that every tensor begins at a multiple of its item size.
    names = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    position = 0
    for name in names:
        array = tensors[name]
        code = _CODES[array.dtype]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [position, position + array.nbytes]}
        position += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % _ALIGNMENT)
    parts = [len(text).to_bytes(_LENGTH_BYTES, "little"), text]
    return b"".join([*parts, *(np.ascontiguousarray(tensors[name]).tobytes() for name in names)])


def _tensor(name: str, entry: Any, content: bytes, first: int) -> np.ndarray:
    try:
        code, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        is_sane = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        raise UnreadableError(f"a safetensors entry ({name}) without type, shape and place") from None
    if code not in _TYPES:
        raise UnreadableError(f"tensors of type {code}, which are not read ({name})")
    dtype = np.dtype(_TYPES[code])
    if not is_sane or end - begin != math.prod(shape) * dtype.itemsize or first + end > len(content):
        raise UnreadableError(f"a tensor ({name}) whose bytes are cut short or do not fit its shape; fetch it again")
    return np.frombuffer(content, dtype, math.prod(shape), first + begin).reshape(shape)
