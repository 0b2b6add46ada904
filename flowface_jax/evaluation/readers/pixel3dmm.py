"""Pixel3DMM's output: .frame files as metrical-tracker's, with the head's own motion and a fixed OpenGL camera.

flame.{R_rotation_matrix [1,3,3], t [1,3]} move the posed head; camera.{R_base_0 [1,3,3], t_base_0 [1,3]} are
world-to-camera with OpenGL's axes; camera.fl [1,1] is the focal length over the image's side, camera.pp [1,2] the
principal point over half of it. What its own projection minimises counts pixels from the centre of the first and puts
the axis at side/2 − 0.5 (x) and side/2 + 0.5 (y); half a pixel is added to both. The images are square crops: with
`crop_ymin_ymax_xmin_xmax.npy` (of its preprocessing) in the folder and the size of the images known, pixels become
those of the uncropped images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import read_array, shaped
from flowface_jax.evaluation.readers.image_space import pinhole_of
from flowface_jax.evaluation.readers.metrical_tracker import frame_files, image_size, posed_vertices
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.foreign import read_checkpoint

CROP_FILE = "crop_ymin_ymax_xmin_xmax.npy"
_OPENGL = np.float32([1, -1, -1])


def recognises(path: Path) -> bool:
    """Whether .frame files with a base camera lie there."""
    files = frame_files(path)
    return bool(files) and "camera.R_base_0" in read_checkpoint(files[0])


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The head in the camera's frame, m. Raises MissingAssetError without a FLAME head where no meshes were kept."""
    files = frame_files(path)
    frames = [read_checkpoint(file) for file in files]
    vertices, triangles, regions = posed_vertices(path, files, frames, options)
    entry = lambda key, *shape: np.stack(
        [shaped(f, key, a.get(key, np.zeros(0)), (1, *shape))[0] for f, a in zip(files, frames, strict=True)]
    )
    world = np.einsum("fij,fvj->fvi", entry("flame.R_rotation_matrix", 3, 3), vertices) + entry("flame.t", 3)[:, None]
    local = np.einsum("fij,fvj->fvi", entry("camera.R_base_0", 3, 3), world) + entry("camera.t_base_0", 3)[:, None]
    local = local * _OPENGL
    side = image_size(files[0], frames[0])[0]
    focal = np.repeat(entry("camera.fl", 1) * side, 2, axis=1)
    middle = np.float32([side / 2, side / 2 + 1]) + entry("camera.pp", 2) * (side / 2 + 0.5)
    focal, middle, size = _uncropped(path, focal, middle, side, options)
    cameras, seen = pinhole_of(local, focal, middle, size)
    return MeshSequence(local, triangles, np.ones(len(files), bool), regions, cameras, seen)


def _uncropped(
    path: Path, focal: np.ndarray, middle: np.ndarray, side: int, options: ReadOptions
) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    size = options.known_image_size()
    if size is None or not (path / CROP_FILE).is_file():
        return focal, middle, (side, side)
    top, bottom, left, right = shaped(path / CROP_FILE, "crop", read_array(path / CROP_FILE, "a crop"), (4,))
    scale = np.float32([(right - left) / side, (bottom - top) / side])
    return focal * scale, middle * scale + np.float32([left, top]), size
