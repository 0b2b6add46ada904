"""metrical-tracker's output: a folder with `checkpoint/NNNNN.frame`, or the checkpoint folder itself.

Each file is a PyTorch checkpoint of arrays: flame.{shape [1,300], exp [1,100], eyes [1,12] and jaw [1,6] as 6D
rotations, eyelids [1,2]}, opencv.{R [1,3,3], t [1,3], K [1,3,3]} world-to-camera, img_size (height, width). The head
stays in FLAME's own frame, m, and the camera moves. `mesh/NNNNN.ply`, where kept, holds the posed vertices. Pixels
have the image's corner at 0, as PyTorch3D counts. Eyelids are two blend shapes of the tracker's own, added after
posing: `l_eyelid.npy` and `r_eyelid.npy` are looked for beside the head.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers.files import files_of, read_array, shaped
from flowface_jax.evaluation.readers.flame_parameters import (
    JAW,
    LEFT_EYE,
    NECK,
    RIGHT_EYE,
    FlameFrames,
    axis_angle,
    joints_at_rest,
    pose,
)
from flowface_jax.evaluation.readers.image_space import pinhole_of
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.foreign import read_checkpoint
from flowface_jax.heads.ply import read_ply

logger = logging.getLogger(__name__)
KIND = "a metrical-tracker folder"


def recognises(path: Path) -> bool:
    """Whether .frame files with OpenCV cameras lie there."""
    files = frame_files(path)
    return bool(files) and "opencv.K" in read_checkpoint(files[0])


def frame_files(path: Path) -> list[Path]:
    """The .frame files of the folder or of its `checkpoint`."""
    if not path.is_dir():
        return []
    folder = path / "checkpoint" if (path / "checkpoint").is_dir() else path
    return files_of(folder, ".frame")


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The head in the camera's frame, m, before one camera. Raises MissingAssetError without a FLAME head where no
    meshes were kept.
    """
    files = frame_files(path)
    frames = [read_checkpoint(file) for file in files]
    vertices, triangles, regions = posed_vertices(path, files, frames, options)
    entry = lambda key, *shape: np.stack(
        [shaped(f, key, a.get(key, np.zeros(0)), shape)[0] for f, a in zip(files, frames, strict=True)]
    )
    rotation, translation, lens = entry("opencv.R", 1, 3, 3), entry("opencv.t", 1, 3), entry("opencv.K", 1, 3, 3)
    local = np.einsum("fij,fvj->fvi", rotation, vertices) + translation[:, None]
    focal = np.stack([lens[:, 0, 0], lens[:, 1, 1]], axis=1)
    cameras, seen = pinhole_of(local, focal, lens[:, :2, 2], image_size(files[0], frames[0]))
    return MeshSequence(local, triangles, np.ones(len(files), bool), regions, cameras, seen)


def image_size(file: Path, arrays: dict[str, np.ndarray]) -> tuple[int, int]:
    """(width, height) px."""
    height, width = shaped(file, "img_size", arrays.get("img_size", np.zeros(0)), (2,)).astype(int)
    return int(width), int(height)


def posed_vertices(
    path: Path, files: list[Path], frames: list[dict[str, np.ndarray]], options: ReadOptions
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Vertices [F,V,3] in FLAME's frame, triangles [T,3] and regions: by the named head, else from the kept meshes."""
    meshes = [files[0].parent.parent / "mesh" / f"{file.stem}.ply" for file in files]
    if options.head is None and all(mesh.is_file() for mesh in meshes):
        read = [read_ply(mesh) for mesh in meshes]
        counts = {len(mesh.vertices) for mesh in read}
        if len(counts) > 1:
            raise InputError(f"{path}: expected meshes of one size, found {sorted(counts)} vertices")
        return np.stack([mesh.vertices for mesh in read]).astype(np.float32), read[0].triangles, {}
    try:
        head = options.flame_head(path, KIND)
    except MissingAssetError:
        raise MissingAssetError(
            f"{path}: holds FLAME parameters and no mesh/ folder; name the FLAME file that they are for (--head)"
        ) from None
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    vertices = pose(head, _parameters(files, frames)) + _eyelids(files, frames, options)
    return vertices, np.asarray(head.triangles), regions


def _parameters(files: list[Path], frames: list[dict[str, np.ndarray]]) -> FlameFrames:
    def entry(key: str, columns: int | None, absent: np.ndarray | None = None) -> np.ndarray:
        rows = []
        for file, arrays in zip(files, frames, strict=True):
            value = arrays.get(f"flame.{key}", absent)
            rows.append(shaped(file, f"flame.{key}", np.zeros(0) if value is None else value, (1, columns))[0])
        return np.stack(rows)

    rest = np.float32([[1, 0, 0, 0, 1, 0]])
    joints = joints_at_rest(len(files))
    eyes = entry("eyes", 12, np.tile(rest, (1, 2)))
    joints[:, NECK], joints[:, JAW] = axis_angle(entry("neck", 6, rest)), axis_angle(entry("jaw", 6, rest))
    joints[:, LEFT_EYE], joints[:, RIGHT_EYE] = axis_angle(eyes[:, :6]), axis_angle(eyes[:, 6:])
    return FlameFrames(entry("shape", None)[0], entry("exp", None), joints)


def _eyelids(files: list[Path], frames: list[dict[str, np.ndarray]], options: ReadOptions) -> np.ndarray:
    """What closing the lids adds: [F,V,3] m, or 0 where the tracker's blend shapes are not there."""
    closed = np.stack([np.ravel(arrays.get("flame.eyelids", np.zeros(2)))[:2] for arrays in frames])
    shapes = [options.beside_head(name) for name in ("l_eyelid.npy", "r_eyelid.npy")]
    if not closed.any():
        return np.zeros(1, np.float32)
    if None in shapes:
        logger.warning("%s: the lids are left open: no l_eyelid.npy and r_eyelid.npy beside the head", files[0].parent)
        return np.zeros(1, np.float32)
    blend = np.stack([shaped(s, "eyelid", read_array(s, "an eyelid blend shape").squeeze(), (None, 3)) for s in shapes])
    return np.einsum("fk,kvd->fvd", closed, blend).astype(np.float32)
