"""A glTF 2.0 document that grows: JSON and one binary buffer, written as GLB (Khronos glTF 2.0 specification)."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np

_COMPONENTS = {np.dtype("<f4"): 5126, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125, np.dtype("u1"): 5121}
_SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_SPARSE_BELOW = 0.5
"""Share of rows that differ from zero below which an accessor stores these alone."""

VERTICES, INDICES = 34962, 34963
"""What a buffer view is bound to: ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER."""


class GltfDocument:
    """Collects objects and arrays; objects refer to each other by the numbers that `add` and `array` return."""

    def __init__(self, asset: dict[str, Any]) -> None:
        self._json: dict[str, Any] = {"asset": asset}
        self._binary = bytearray()

    def add(self, kind: str, value: dict[str, Any]) -> int:
        """Append to a list of the document ("nodes", "meshes", …) and return its number there."""
        self._json.setdefault(kind, []).append(value)
        return len(self._json[kind]) - 1

    def count(self, kind: str) -> int:
        """How many objects of a kind there are: the number that the next one will have."""
        return len(self._json.get(kind, []))

    def set(self, name: str, value: Any) -> None:
        """Set a value of the document itself."""
        self._json[name] = value

    def array(self, values: np.ndarray, bound_to: int | None = None, bounds: bool = False) -> int:
        """Store an array [N,…] and return the number of its accessor; bounds: state its smallest and largest values."""
        values = np.ascontiguousarray(values)
        accessor = self._accessor(values, bounds) | {"bufferView": self._view(values.tobytes(), bound_to)}
        return self.add("accessors", accessor)

    def displacements(self, values: np.ndarray, threshold: float) -> int:
        """Store the displacements [N,3] of a blend shape; where few rows exceed the threshold, these alone."""
        values = np.where(np.abs(values) > threshold, values, 0.0).astype("<f4")
        rows = np.flatnonzero(values.any(1))
        if len(rows) == 0:
            rows = np.zeros(1, np.int64)
        if len(rows) > _SPARSE_BELOW * len(values):
            return self.array(values, VERTICES, bounds=True)
        accessor = self._accessor(values, bounds=True)
        accessor["sparse"] = {
            "count": len(rows),
            "indices": {"bufferView": self._view(rows.astype("<u4").tobytes()), "componentType": 5125},
            "values": {"bufferView": self._view(values[rows].tobytes())},
        }
        return self.add("accessors", accessor)

    def image(self, png: bytes) -> int:
        """Store a PNG and return the number of the image."""
        return self.add("images", {"bufferView": self._view(png), "mimeType": "image/png"})

    def glb(self) -> bytes:
        """The file: header, JSON chunk, binary chunk."""
        self._json["buffers"] = [{"byteLength": len(self._binary)}]
        text = json.dumps(self._json, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("utf-8")
        text += b" " * (-len(text) % 4)
        binary = bytes(self._binary) + b"\0" * (-len(self._binary) % 4)
        total = 12 + 8 + len(text) + 8 + len(binary)
        parts = (
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        )
        return b"".join(parts)

    def _view(self, payload: bytes, bound_to: int | None = None) -> int:
        self._binary += b"\0" * (-len(self._binary) % 4)
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self._binary), "byteLength": len(payload)}
        if bound_to is not None:
            view["target"] = bound_to
        self._binary += payload
        return self.add("bufferViews", view)

    @staticmethod
    def _accessor(values: np.ndarray, bounds: bool) -> dict[str, Any]:
        accessor: dict[str, Any] = {
            "componentType": _COMPONENTS[values.dtype],
            "count": len(values),
            "type": _SHAPES[values.shape[1:]],
        }
        if bounds:
            flat = values.reshape(len(values), -1)
            accessor |= {"min": flat.min(0).tolist(), "max": flat.max(0).tolist()}
        return accessor
