"""Pickles of plain data, written opcode by opcode: what other programs load, without their packages and with no code.

Arrays are named as NumPy before 2 named them (`numpy.core`), which every later version still reads.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from flowface_jax.errors import InputError

_PROTOCOL: Final = {False: b"\x80\x03", True: b"\x80\x02"}
"""NumPy's arrays hold bytes, which protocol 2 cannot say; PyTorch's restricted reader wants protocol 2."""
_STOP: Final = b"."
_KINDS: Final = "biufc"


def pickle_bytes(value: Any, array_code: Callable[[np.ndarray], bytes] | None = None) -> bytes:
    """The pickle, for every Python 3, of nested tables, lists, tuples, text, numbers, None and arrays.

    array_code: the opcodes that leave one array on the stack; None for NumPy's own. Raises InputError for other values.
    """
    return _PROTOCOL[array_code is not None] + code(value, array_code or numpy_code) + _STOP


def code(value: Any, array_code: Callable[[np.ndarray], bytes]) -> bytes:
    """The opcodes that leave the value on the stack. Raises InputError for what is no plain data."""
    if isinstance(value, np.ndarray):
        return array_code(value)
    if isinstance(value, Mapping):
        return b"}(" + b"".join(code(part, array_code) for item in value.items() for part in item) + b"u"
    if isinstance(value, tuple):
        return b"(" + b"".join(code(item, array_code) for item in value) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(code(item, array_code) for item in value) + b"e"
    if value is None or isinstance(value, bool | np.bool_):
        return b"N" if value is None else b"\x88" if value else b"\x89"
    if isinstance(value, int | np.integer):
        return _integer(int(value))
    if isinstance(value, float | np.floating):
        return b"G" + struct.pack(">d", float(value))
    if isinstance(value, str):
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text
    if isinstance(value, bytes):
        return b"B" + struct.pack("<I", len(value)) + value
    raise InputError(f"expected plain data and arrays to write, found {type(value).__name__}")


def named(module: str, name: str) -> bytes:
    """The opcode that leaves a function or class on the stack."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def called(function: bytes, arguments: tuple[bytes, ...]) -> bytes:
    """The opcodes of a call with arguments that are opcodes themselves."""
    return function + b"(" + b"".join(arguments) + b"tR"


def numpy_code(array: np.ndarray) -> bytes:
    """The opcodes that leave a NumPy array on the stack. Raises InputError for arrays of objects and of text."""
    array = np.asarray(array, order="C")
    if array.dtype.kind not in _KINDS:
        raise InputError(f"expected an array of numbers to write, found {array.dtype}")
    plain = lambda value: code(value, numpy_code)
    order = "<" if array.dtype.itemsize > 1 else "|"
    stored = array.astype(array.dtype.newbyteorder("<"))
    dtype = called(named("numpy", "dtype"), (plain(array.dtype.str[1:]), plain(False), plain(True)))
    dtype += plain((3, order, None, None, None, -1, -1, 0)) + b"b"
    empty = (named("numpy", "ndarray"), plain((0,)), plain(b"b"))
    made = called(named("numpy.core.multiarray", "_reconstruct"), empty)
    return made + b"(" + plain(1) + plain(array.shape) + dtype + plain(False) + plain(stored.tobytes()) + b"tb"


def _integer(number: int) -> bytes:
    if -(2**31) <= number < 2**31:
        return b"J" + struct.pack("<i", number)
    size = number.bit_length() // 8 + 1
    return b"\x8a" + bytes([size]) + number.to_bytes(size, "little", signed=True)
