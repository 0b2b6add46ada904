"""3DDFA_V2's dense output: a folder of OBJ or PLY meshes, or of .npy vertices, one a frame, in pixels.

Its writers turn y upside down (height − y), which needs the image's height to undo; .npy arrays [3,V] (or [V,3]) are
not turned. x, y count from the centre of the first pixel; z grows towards the camera, in pixels. Triangles of .npy
folders come from `triangles.npy` [T,3] or a mesh beside them. Only the image is meaningful: the scale of the vertices
is a stand-in.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected
from flowface_jax.evaluation.readers.files import files_of, read_array, stacked
from flowface_jax.evaluation.readers.image_space import metric_stand_in
from flowface_jax.evaluation.readers.mesh_folder import read_mesh, same_meshes
from flowface_jax.evaluation.readers.options import ReadOptions

KIND = "3DDFA_V2"
VERTICES = 38365
"""Of the mesh without neck that 3DDFA_V2 comes with."""
TRIANGLES = "triangles.npy"
_HALF_PIXEL = 0.5


def recognises(path: Path) -> bool:
    """Whether meshes or arrays of its many vertices lie there."""
    if not path.is_dir():
        return False
    arrays = [file for file in files_of(path, ".npy") if file.name != TRIANGLES]
    if arrays:
        return VERTICES in read_array(arrays[0], KIND).shape
    meshes = files_of(path, ".obj", ".ply")
    return bool(meshes) and len(read_mesh(meshes[0])[0]) % VERTICES == 0


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The meshes where the image shows them. Raises InputError where the image's size is not known, a file holds
    several faces, or .npy files come without triangles.
    """
    size = options.known_image_size()
    if size is None:
        raise InputError(f"{path}: expected the size of the images; give it (--image-size WIDTHxHEIGHT)")
    arrays = [file for file in files_of(path, ".npy") if file.name != TRIANGLES]
    points, triangles = _from_arrays(path, arrays) if arrays else _from_meshes(path, size[1])
    valid = np.isfinite(points).all((1, 2))
    if not valid.any():
        raise InputError(f"{path}: expected at least one frame with a face, found none")
    seen = Projected(points[..., :2] + np.float32(_HALF_PIXEL), -points[..., 2], size)
    return MeshSequence(metric_stand_in(seen, valid), triangles, valid, {}, None, seen)


def _from_meshes(path: Path, height: int) -> tuple[np.ndarray, np.ndarray]:
    vertices, triangles = same_meshes(files_of(path, ".obj", ".ply"))
    if vertices.shape[1] > VERTICES and vertices.shape[1] % VERTICES == 0:
        raise InputError(f"{path}: expected one face in each file, found {vertices.shape[1] // VERTICES}; write one")
    vertices[..., 1] = height - vertices[..., 1]
    return vertices, triangles


def _from_arrays(path: Path, files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    rows = []
    for file in files:
        array = read_array(file, KIND)
        array = array[0] if array.ndim == 3 and len(array) == 1 else array
        array = array.T if array.ndim == 2 and array.shape[0] == 3 != array.shape[1] else array
        if array.ndim != 2 or array.shape[1] != 3:
            raise InputError(f"{file}: expected vertices [3,V] of one face, found {list(array.shape)}")
        rows.append(array)
    points, _ = stacked(path, "vertices", rows)
    if (path / TRIANGLES).is_file():
        triangles = read_array(path / TRIANGLES, "triangles")
        triangles = triangles.T if triangles.shape[0] == 3 != triangles.shape[-1] else triangles
    else:
        meshes = files_of(path, ".obj", ".ply")
        if not meshes:
            raise InputError(f"{path}: expected {TRIANGLES} [T,3] or one mesh beside the arrays, found neither")
        triangles = read_mesh(meshes[0])[1]
    if triangles.ndim != 2 or triangles.shape[1] != 3 or not 0 <= triangles.min() <= triangles.max() < points.shape[1]:
        raise InputError(f"{path}: expected triangles [T,3] of {points.shape[1]} vertices, found {triangles.shape}")
    return points, triangles.astype(np.int32)
