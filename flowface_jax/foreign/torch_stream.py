"""PyTorch's older stream of pickles: how torch.save wrote before 1.6, and still writes storages inside other pickles.

Five pickles follow each other (a magic number, the protocol, facts about the machine, the object, the keys of its
storages), then for each key a count and the numbers themselves.
"""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np

from flowface_jax.foreign import inert
from flowface_jax.foreign.allow_list import PLAIN, AllowListUnpickler, Globals
from flowface_jax.foreign.inert import UnreadableError
from flowface_jax.foreign.torch_objects import TENSORS, storage_description

_MAGIC: Final = 0x1950A86A20F9469CFC6C
_PROTOCOL: Final = 1001
_COUNT_BYTES: Final = 8


def read_stream(content: bytes, extra: Globals) -> Any:
    """The object in the stream as inert records. extra: names it may use besides those of arrays and tensors.

    Raises UnreadableError where the stream is another one or cut short, RefusedError for other names.
    """
    stream = io.BytesIO(content)
    storages: dict[str, inert.Storage] = {}
    parts: list[tuple[inert.Storage, inert.Storage, int, int]] = []

    def storage(identifier: Any) -> inert.Storage:
        dtype, key, count, part = storage_description(identifier)
        root = storages.setdefault(key, inert.Storage(np.empty(0, dtype), count))
        if root.arguments[0].dtype != dtype or root.arguments[1] != count:
            raise UnreadableError("a PyTorch storage that is described in two ways")
        if part is None:
            return root
        parts.append((inert.Storage(root.arguments[0]), root, *part))
        return parts[-1][0]

    load = lambda load_persistent=None: AllowListUnpickler(
        stream, {**PLAIN, **TENSORS, **extra}, load_persistent
    ).load()
    if load() != _MAGIC or load() != _PROTOCOL:
        raise UnreadableError("PyTorch data of an unknown kind; save its state_dict again with a current PyTorch")
    machine = load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise UnreadableError("PyTorch data written on a big-endian machine; save it again on another one")
    value = load(storage)
    _fill(storages, load(), stream)
    for part, root, offset, count in parts:
        numbers = root.arguments[0]
        if offset + count > numbers.size:
            raise UnreadableError("a PyTorch storage that reaches outside another")
        part.arguments = (numbers[offset : offset + count],)
    return value


def read_storage(content: Any) -> inert.Storage:
    """The one storage in a stream that another pickle holds as bytes. Raises as `read_stream`."""
    content = content if isinstance(content, bytes | bytearray) else str(content).encode("latin1")
    if content[:2] == b"PK":
        raise UnreadableError("PyTorch data in a zip; convert it once to NumPy arrays where PyTorch is installed")
    value = read_stream(bytes(content), {})
    if not isinstance(value, inert.Storage):
        raise UnreadableError("PyTorch data that is not a storage")
    return value


def _fill(storages: dict[str, inert.Storage], keys: Any, stream: io.BytesIO) -> None:
    """Give every storage its numbers, which lie in the stream in the order of `keys`, without copying them."""
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages):
        raise UnreadableError("a list of PyTorch storages that is not that of its tensors")
    content, position = stream.getbuffer(), stream.tell()
    for key in map(str, keys):
        empty, count = storages[key].arguments
        found = int.from_bytes(content[position : position + _COUNT_BYTES], "little")
        first, size = position + _COUNT_BYTES, count * empty.dtype.itemsize
        if found != count or first + size > len(content):
            raise UnreadableError("a PyTorch storage that is cut short")
        storages[key].arguments = (np.frombuffer(content[first : first + size].toreadonly(), empty.dtype), count)
        position = first + size
