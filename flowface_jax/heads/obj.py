"""Reading Wavefront OBJ meshes: positions, texture coordinates, faces and their materials."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.storage import require_file


@dataclass(frozen=True)
class ObjMesh:
    """A mesh as the file has it, in the file's own unit; polygons are split into triangles, order kept.

    vertices: [V,3] float64. uv: [N,2] float64. triangles: [T,3] int32 into vertices. triangle_uvs: [T,3] int32 into uv,
    -1 where a corner has none. materials: [T] int32 into material_names, -1 before the first `usemtl`.
    """

    vertices: np.ndarray
    uv: np.ndarray
    triangles: np.ndarray
    triangle_uvs: np.ndarray
    materials: np.ndarray
    material_names: tuple[str, ...]


def read_obj(path: str | os.PathLike[str]) -> ObjMesh:
    """Read v, vt, f (v, v/vt, v//vn, v/vt/vn, negative ids) and usemtl; the rest is skipped.

    Raises InputError naming the line where the file is not an OBJ mesh.
    """
    lines = _lines(path)
    vertices, uv = _floats(path, lines, "v ", 3), _floats(path, lines, "vt ", 2)
    corners: list[tuple[int, int]] = []
    materials: list[int] = []
    names: dict[str, int] = {}
    material = vertex_count = uv_count = 0
    material = -1
    for number, line in enumerate(lines, 1):
        if line.startswith("v "):
            vertex_count += 1
        elif line.startswith("vt "):
            uv_count += 1
        elif line.startswith("usemtl"):
            material = names.setdefault(line[len("usemtl") :].strip(), len(names))
        elif line.startswith("f "):
            try:
                polygon = [_corner(corner, vertex_count, uv_count) for corner in line.split()[1:]]
            except ValueError:
                polygon = []
            if len(polygon) < 3 or not all(0 <= v < len(vertices) and t < len(uv) for v, t in polygon):
                raise InputError(
                    f"{path} line {number}: not a face of this mesh: {line.strip()[:60]!r}; the OBJ is damaged"
                )
            for second, third in zip(polygon[1:-1], polygon[2:], strict=True):
                corners += (polygon[0], second, third)
                materials.append(material)
    ids = np.asarray(corners, np.int32).reshape(-1, 3, 2)
    return ObjMesh(vertices, uv, ids[..., 0], ids[..., 1], np.asarray(materials, np.int32), tuple(names))


def read_obj_vertices(path: str | os.PathLike[str]) -> np.ndarray:
    """Only the vertices [V,3] float64: quick, for shapes that share their faces with another file. Raises "
    "InputError."""
    return _floats(path, _lines(path), "v ", 3)


def _lines(path: str | os.PathLike[str]) -> list[str]:
    path = require_file(path, "an OBJ mesh")
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if not any(line.startswith("v ") for line in lines):
        raise InputError(f"{path} holds no vertices (lines beginning with 'v'); expected an OBJ mesh")
    return lines


def _floats(path: str | os.PathLike[str], lines: list[str], prefix: str, width: int) -> np.ndarray:
    """The first `width` numbers of every line with the prefix: [N,width]."""
    rows = [line.split()[1 : width + 1] for line in lines if line.startswith(prefix)]
    try:
        numbers = np.array(rows, np.float64).reshape(-1, width)
        if np.isfinite(numbers).all():
            return numbers
    except ValueError:
        pass
    for number, line in enumerate(lines, 1):
        if line.startswith(prefix) and not _are_numbers(line.split()[1 : width + 1], width):
            raise InputError(
                f"{path} line {number}: expected {width} numbers, found {line.strip()[:60]!r}; the OBJ is damaged"
            )
    raise InputError(f"{path}: {prefix.strip()} lines cannot be read; the OBJ is damaged")


def _are_numbers(words: list[str], width: int) -> bool:
    try:
        return len(words) == width and bool(np.isfinite([float(word) for word in words]).all())
    except ValueError:
        return False


def _corner(text: str, vertex_count: int, uv_count: int) -> tuple[int, int]:
    """Zero-based (vertex, uv) of one face corner; uv -1 where absent. Raises ValueError."""
    parts = text.split("/")
    vertex = int(parts[0])
    uv = int(parts[1]) if len(parts) > 1 and parts[1] else 0
    vertex = vertex - 1 if vertex > 0 else vertex_count + vertex
    return vertex, uv - 1 if uv >= 0 else uv_count + uv
