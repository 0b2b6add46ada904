"""A folder of OBJ or PLY meshes, one a frame, all of one topology."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import files_of
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.heads.obj import read_obj, read_obj_vertices
from flowface_jax.heads.ply import read_ply

SUFFIXES = (".obj", ".ply")


def recognises(path: Path) -> bool:
    """Whether meshes lie in the folder, or the path is one."""
    return path.suffix.lower() in SUFFIXES if path.is_file() else path.is_dir() and bool(files_of(path, *SUFFIXES))


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The meshes in natural order of their names, in the world of the named cameras.

    Raises InputError where meshes differ in vertices or triangles.
    """
    vertices, triangles = same_meshes([path] if path.is_file() else files_of(path, *SUFFIXES))
    valid = np.ones(len(vertices), bool)
    return MeshSequence(vertices * np.float32(options.metres), triangles, valid, {}, options.loaded_cameras())


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [V,3] and triangles [T,3] of an OBJ or PLY file."""
    mesh = read_obj(path) if path.suffix.lower() == ".obj" else read_ply(path)
    return mesh.vertices, mesh.triangles


def same_meshes(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices [F,V,3] float32 of all files and the triangles [T,3] that they share.

    Raises InputError where one differs, naming it. Faces of OBJ files are compared by their number.
    """
    first, triangles = read_mesh(files[0])
    if not len(triangles):
        raise InputError(f"{files[0]} holds no faces; expected a triangle mesh")
    rows = [first]
    for file in files[1:]:
        vertices, others = _compared(file, len(triangles))
        if len(vertices) != len(first):
            raise InputError(
                f"{file}: expected {len(first)} vertices as in {files[0].name}, found {len(vertices)}; all frames "
                "need one topology"
            )
        if others is not None and not np.array_equal(others, triangles):
            raise InputError(f"{file}: expected the triangles of {files[0].name}, found others; one topology is needed")
        rows.append(vertices)
    return np.stack(rows).astype(np.float32), triangles


def _compared(file: Path, triangles: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Vertices, and triangles where reading them costs little."""
    if file.suffix.lower() == ".obj":
        vertices, found = read_obj_vertices(file), _faces(file)
        # An OBJ without faces takes those of the first file.
        if found and found != triangles:
            return read_mesh(file)
        return vertices, None
    return read_mesh(file)


def _faces(file: Path) -> int:
    """Triangles of an OBJ file, counted without being read; polygons count as their fans."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        return sum(len(line.split()) - 3 for line in lines if line.startswith("f "))
