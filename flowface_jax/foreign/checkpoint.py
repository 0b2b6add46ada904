"""A foreign checkpoint, whichever of the usual formats it is in, as names and arrays."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np

from flowface_jax.foreign import inert
from flowface_jax.foreign.allow_list import Globals, guarded
from flowface_jax.foreign.inert import UnreadableError, resolve
from flowface_jax.foreign.safetensors_file import looks_like_safetensors, parse_safetensors
from flowface_jax.foreign.torch_objects import companions
from flowface_jax.foreign.torch_stream import read_stream
from flowface_jax.foreign.torch_zip import read_zip
from flowface_jax.storage import require_file

KIND: Final = "a checkpoint (torch.save or safetensors)"
_ZIP_MAGIC: Final = b"PK\x03\x04"
_PICKLE_MAGIC: Final = b"\x80"
_DEEPEST: Final = 16
_MOST_ENTRIES: Final = 200_000


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """All named tensors of a checkpoint, in the file's order and with the file's types; nothing in it is executed.

    Reads what torch.save writes (zip files, and the stream from before PyTorch 1.6) and safetensors, told apart by
    their content. Tables in tables are joined by "." ("state_dict.backbone.norm1.weight"). What is not a tensor under
    a name is left out: counters, settings, lists, and tables with other keys than text, as optimizers have. Arrays are
    read-only and may share memory. Raises InputError if the file is absent, cut short, of another format, or names a
    function or class that tensors do not need.
    """
    path = require_file(path, KIND)
    return guarded(lambda: _tensors(path.read_bytes()), path, KIND)


def _tensors(content: bytes) -> dict[str, np.ndarray]:
    names: Globals = companions()
    if content.startswith(_ZIP_MAGIC):
        return _flattened(read_zip(content, names))
    if content.startswith(_PICKLE_MAGIC):
        return _flattened(read_stream(content, names))
    if looks_like_safetensors(content):
        return parse_safetensors(content)[0]
    raise UnreadableError(f"none of these formats (it begins with {content[:8]!r}); name the checkpoint itself")


def _flattened(value: Any) -> dict[str, np.ndarray]:
    """The arrays in nested tables of records, names joined by dots."""
    arrays: dict[str, np.ndarray] = {}
    seen = 0

    def visit(item: Any, prefix: str, depth: int) -> None:
        nonlocal seen
        seen += 1
        if seen > _MOST_ENTRIES or depth > _DEEPEST:
            raise UnreadableError("tables too many or too deep for a checkpoint")
        if isinstance(item, inert.Tensor | inert.Array | inert.Buffer):
            array = resolve(item)
            if not array.dtype.hasobject:
                arrays[prefix] = array
        elif isinstance(item, dict) and all(isinstance(key, str) for key in item):
            for key, entry in item.items():
                visit(entry, f"{prefix}.{key}" if prefix else key, depth + 1)

    if not isinstance(value, dict):
        raise UnreadableError("no table of named tensors; save a state_dict")
    visit(value, "", 0)
    return arrays
