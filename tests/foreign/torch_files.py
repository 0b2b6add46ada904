"""Checkpoints in PyTorch's formats, written by hand: PyTorch itself is not needed for the tests."""

from __future__ import annotations

import io
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
STORAGE_NAMES = {
    np.dtype(np.float32): "FloatStorage",
    np.dtype(np.float64): "DoubleStorage",
    np.dtype(np.float16): "HalfStorage",
    np.dtype(ml_dtypes.bfloat16): "BFloat16Storage",
    np.dtype(np.int64): "LongStorage",
    np.dtype(np.bool_): "BoolStorage",
}


@dataclass(frozen=True)
class View:
    """A tensor that is a view of a flat storage; storages are told apart by identity."""

    storage: np.ndarray
    size: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int = 0
    parameter: bool = False


@dataclass(frozen=True)
class Raw:
    """Pickle opcodes that leave one value on the stack."""

    code: bytes


@dataclass
class Writer:
    """Writes pickles of protocol 2 and remembers their storages.

    stream: of the older format. claimed: what to say that every storage holds, true or not.
    """

    storages: list[np.ndarray] = field(default_factory=list)
    stream: bool = False
    claimed: int | None = None

    def pickle(self, value: Any) -> bytes:
        return b"\x80\x02" + self.code(value) + b"."

    def code(self, value: Any) -> bytes:
        if isinstance(value, Raw):
            return value.code
        if isinstance(value, np.ndarray):
            flat = np.ascontiguousarray(value).reshape(-1)
            strides = np.zeros(value.shape, np.uint8).strides
            return self.code(View(flat, value.shape, strides))
        if isinstance(value, View):
            return self._tensor(value)
        if isinstance(value, dict):
            items = b"".join(self.code(key) + self.code(entry) for key, entry in value.items())
            state = self.code(Raw(b"}X\x09\x00\x00\x00_metadata}s"))
            return b"ccollections\nOrderedDict\n)R(" + items + b"u" + state + b"b"
        if isinstance(value, list | tuple):
            end = b"t" if isinstance(value, tuple) else b"l"
            return b"(" + b"".join(map(self.code, value)) + end
        if isinstance(value, bool) or value is None:
            return {True: b"\x88", False: b"\x89", None: b"N"}[value]
        if isinstance(value, int):
            raw = value.to_bytes(16, "little", signed=True)
            return b"\x8a\x10" + raw
        if isinstance(value, float):
            return b"G" + struct.pack(">d", value)
        text = value.encode()
        return b"X" + struct.pack("<I", len(text)) + text

    def _tensor(self, view: View) -> bytes:
        found = [i for i, storage in enumerate(self.storages) if storage is view.storage]
        if not found:
            self.storages.append(view.storage)
        key = found[0] if found else len(self.storages) - 1
        count = view.storage.size if self.claimed is None else self.claimed
        kind = Raw(f"ctorch\n{STORAGE_NAMES[view.storage.dtype]}\n".encode())
        identifier = ("storage", kind, str(key), "cpu", count, *((None,) if self.stream else ()))
        arguments = (Raw(self.code(identifier) + b"Q"), view.offset, view.size, view.stride, False, {})
        tensor = b"ctorch._utils\n_rebuild_tensor_v2\n" + self.code(arguments) + b"R"
        if view.parameter:
            tensor = b"ctorch._utils\n_rebuild_parameter\n" + self.code((Raw(tensor), True, {})) + b"R"
        return tensor


def write_zip(
    path: Path, value: Any, byteorder: bytes = b"little", claimed: int | None = None, compressed: bool = False
) -> Path:
    """As torch.save writes today."""
    writer = Writer(claimed=claimed)
    pickled = writer.pickle(value)
    kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", byteorder)
        for key, storage in enumerate(writer.storages):
            archive.writestr(f"archive/data/{key}", storage.tobytes())
        archive.writestr("archive/version", b"3\n")
    return path


def write_stream(path: Path, value: Any, little_endian: bool = True, claimed: int | None = None) -> Path:
    """As torch.save wrote before 1.6."""
    writer = Writer(stream=True, claimed=claimed)
    pickled = writer.pickle(value)
    machine = {"protocol_version": PROTOCOL, "little_endian": little_endian}
    content = io.BytesIO()
    for part in (MAGIC, PROTOCOL, machine):
        content.write(writer.pickle(part))
    content.write(pickled)
    content.write(writer.pickle([str(key) for key in range(len(writer.storages))]))
    for storage in writer.storages:
        content.write(struct.pack("<q", storage.size if claimed is None else claimed))
        content.write(storage.tobytes())
    path.write_bytes(content.getvalue())
    return path


WRITERS = {"zip": write_zip, "stream": write_stream}
