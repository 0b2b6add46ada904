"""Reading PLY meshes: positions and faces, text or binary, whatever else the file holds beside them."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import require_file

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_CORNERS = ("vertex_indices", "vertex_index")


@dataclass(frozen=True)
class PlyMesh:
    """A mesh in the file's own unit; polygons are split into triangles.

    vertices: [V,3] float64. triangles: [T,3] int32; none in a file of points.
    """

    vertices: np.ndarray
    triangles: np.ndarray


@dataclass(frozen=True)
class _Property:
    name: str
    type: str
    count_type: str | None  # of a list; None: a single value


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


def read_ply(path: str | os.PathLike[str]) -> PlyMesh:
    """Read the elements `vertex` (x, y, z) and `face` (vertex_indices) of a PLY file, text or binary.

    Raises InputError where the file is absent, truncated or not a PLY mesh.
    """
    path = require_file(path, "a PLY mesh")
    try:
        vertices, triangles = mesh_of(read_ply_elements(path))
    except (KeyError, ValueError, IndexError, TypeError, OverflowError):
        raise InputError(f"{path} is damaged or truncated (a PLY mesh); fetch or make it again") from None
    if not np.isfinite(vertices).all() or (
        triangles.size and not 0 <= triangles.min() <= triangles.max() < len(vertices)
    ):
        raise InputError(f"{path} holds positions or faces that cannot be (a PLY mesh); fetch or make it again")
    return PlyMesh(vertices, triangles)


def read_ply_elements(path: str | os.PathLike[str]) -> dict[str, dict]:
    """Every element of a PLY file by name, each its properties by name: arrays, or lists of arrays where rows differ.

    Nothing is checked but the form. Raises InputError where the file is absent, truncated or not a PLY mesh.
    """
    path = require_file(path, "a PLY mesh")
    payload = path.read_bytes()
    order, elements, start = _header(path, payload)
    try:
        return _text_tables(payload[start:], elements) if not order else _tables(payload, start, elements, order)
    except (KeyError, ValueError, IndexError, TypeError, OverflowError):
        raise InputError(f"{path} is damaged or truncated (a PLY mesh); fetch or make it again") from None


def mesh_of(elements: dict[str, dict]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] float64 and triangles [T,3] int32 of a PLY file's elements; KeyError or ValueError without."""
    vertices = np.stack([np.asarray(elements["vertex"][axis], np.float64) for axis in "xyz"], axis=-1)
    faces = next((elements["face"][name] for name in _CORNERS if name in elements.get("face", {})), [])
    return vertices, _triangles(faces)


def _header(path: Path, payload: bytes) -> tuple[str, list[_Element], int]:
    """Byte order ('' for text), elements, and where the data begins."""
    end = re.search(rb"end_header[ \t]*\r?\n", payload[: 1 << 20])
    if not payload.startswith(b"ply") or end is None:
        raise InputError(f"{path} is no PLY file; expected a mesh in that format")
    order, elements = None, []
    for line in payload[: end.start()].decode("ascii", errors="replace").splitlines():
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = _ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2]), ()))
            elif words[:1] == ["property"]:
                last = elements[-1]
                added = (
                    _Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
                    if words[1] == "list"
                    else _Property(words[2], _TYPES[words[1]], None)
                )
                elements[-1] = _Element(last.name, last.count, (*last.properties, added))
        except (IndexError, KeyError, ValueError):
            raise InputError(f"{path}: the PLY header is damaged at '{line.strip()[:60]}'") from None
    if order is None or not any(element.name == "vertex" for element in elements):
        raise InputError(f"{path}: the PLY header names no format or no vertices; fetch or make the file again")
    return order, elements, end.end()


def _tables(payload: bytes, start: int, elements: list[_Element], order: str) -> dict[str, dict]:
    tables = {}
    for element in elements:
        table, start = _binary_element(payload, start, element, order)
        tables[element.name] = table
    return tables


def _binary_element(payload: bytes, start: int, element: _Element, order: str) -> tuple[dict, int]:
    """The element's columns by name (lists of arrays where rows differ in length), and where the next one begins."""
    first = _row(payload, start, element, order) if element.count else ({}, start)
    lengths = [len(first[0][p.name]) if p.count_type else 0 for p in element.properties] if element.count else []
    fields = []
    for place, (item, length) in enumerate(zip(element.properties, lengths, strict=False)):
        if item.count_type:
            fields += [(f"n{place}", order + item.count_type), (f"p{place}", order + item.type, (length,))]
        else:
            fields.append((f"p{place}", order + item.type))
    kind = np.dtype(fields)
    if start + kind.itemsize * element.count <= len(payload):
        rows = np.frombuffer(payload, kind, element.count, start)
        regular = all((rows[f"n{p}"] == n).all() for p, n in enumerate(lengths) if element.properties[p].count_type)
        if regular:
            table = {item.name: rows[f"p{place}"] for place, item in enumerate(element.properties) if element.count}
            return table, start + kind.itemsize * element.count
    table = {item.name: [] for item in element.properties}
    for _ in range(element.count):
        row, start = _row(payload, start, element, order)
        for name, value in row.items():
            table[name].append(value)
    return table, start


def _row(payload: bytes, start: int, element: _Element, order: str) -> tuple[dict, int]:
    row = {}
    for item in element.properties:
        count = 1
        if item.count_type:
            count = int(np.frombuffer(payload, order + item.count_type, 1, start)[0])
            start += np.dtype(item.count_type).itemsize
        values = np.frombuffer(payload, order + item.type, count, start)
        start += values.nbytes
        row[item.name] = values if item.count_type else values[0]
    return row, start


def _text_tables(text: bytes, elements: list[_Element]) -> dict[str, dict]:
    lines = iter([line.split() for line in text.splitlines() if line.strip()])
    tables = {}
    for element in elements:
        table: dict[str, list] = {item.name: [] for item in element.properties}
        for _ in range(element.count):
            words = next(lines, [])
            place = 0
            for item in element.properties:
                if item.count_type:
                    count = int(words[place])
                    table[item.name].append(np.asarray(words[place + 1 : place + 1 + count], np.float64))
                    place += 1 + count
                else:
                    table[item.name].append(float(words[place]))
                    place += 1
        tables[element.name] = table
    return tables


def _triangles(faces: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """Polygons as fans of triangles [T,3]."""
    if isinstance(faces, np.ndarray) and faces.ndim == 2:
        ids = faces.astype(np.int64)
        corners = [ids[:, [0, k, k + 1]] for k in range(1, ids.shape[1] - 1)]
        return np.stack(corners, axis=1).reshape(-1, 3).astype(np.int32) if corners else np.zeros((0, 3), np.int32)
    fans = [(face[0], face[k], face[k + 1]) for face in faces for k in range(1, len(face) - 1)]
    return np.asarray(fans, np.int64).reshape(-1, 3).astype(np.int32)
