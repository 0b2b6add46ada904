"""The FaceScape benchmark's folders: truth, cameras and views of its lab and wild images.

As published in `benchmark/`: `data/lab_gt_mesh/NN.obj`, `data/lab_cam/NN_F_VV.json`, `data/wild_gt_mesh/NNN.obj`, and
the arrays of `code/predef/`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.reconstruction.facescape import PUPIL_DISTANCE, LabView, Mesh, WildView
from flowface_jax.heads.obj import read_obj
from flowface_jax.storage import read_json, require_file

LAB_SUBJECTS, LAB_FOCALS, LAB_VIEWS = 20, 3, 11
WILD_IMAGES = 400


class LabImage(NamedTuple):
    """An image of the lab: subject, which focal length, which view."""

    subject: int
    focal: int
    view: int

    @property
    def name(self) -> str:
        return f"{self.subject:02d}_{self.focal}_{self.view:02d}"


def lab_images() -> Iterator[LabImage]:
    """All 660, in the order of the published lists."""
    for subject in range(LAB_SUBJECTS):
        for focal in range(LAB_FOCALS):
            for view in range(LAB_VIEWS):
                yield LabImage(subject, focal, view)


def read_lab_truth(benchmark: str | os.PathLike[str], image: LabImage) -> tuple[Mesh, LabView]:
    """The true mesh, mm in the image's OpenCV camera, and the view. Raises InputError for files that do not fit."""
    folder = Path(benchmark)
    mesh = read_obj(folder / "data" / "lab_gt_mesh" / f"{image.subject:02d}.obj")
    path = folder / "data" / "lab_cam" / f"{image.name}.json"
    camera = read_json(path, "a FaceScape lab camera")
    try:
        intrinsics, pose = (np.asarray(one, np.float64) for one in camera)
    except (TypeError, ValueError):
        raise InputError(f"{path}: expected a list of K [3,3] and Rt [3,4]") from None
    if intrinsics.shape != (3, 3) or pose.shape != (3, 4):
        raise InputError(
            f"{path}: expected K [3,3] and Rt [3,4], found {list(intrinsics.shape)} and {list(pose.shape)}"
        )
    vertices = mesh.vertices * PUPIL_DISTANCE @ pose[:, :3].T + pose[:, 3] * PUPIL_DISTANCE
    centres = _array(folder, "lab_head_centers.npy", (LAB_FOCALS, 3))
    turns = _array(folder, "lab_rotations.npy", (LAB_VIEWS, 3, 3))
    return (vertices, mesh.triangles), LabView(intrinsics, centres[image.focal], turns[image.view])


def read_wild_truth(benchmark: str | os.PathLike[str], image: int) -> tuple[Mesh, WildView]:
    """The true mesh, in half widths of the picture, and the view, of image 0 to 399."""
    folder = Path(benchmark)
    if not 0 <= image < WILD_IMAGES:
        raise InputError(f"expected an image of 0 to {WILD_IMAGES - 1}, found {image}")
    mesh = read_obj(folder / "data" / "wild_gt_mesh" / f"{image:03d}.obj")
    scale = _array(folder, "wild_pupil_scales.npy", (WILD_IMAGES,))[image]
    centre = _array(folder, "wild_head_centers.npy", (WILD_IMAGES, 3))[image]
    turn = _array(folder, "wild_rotations.npy", (WILD_IMAGES, 3, 3))[image]
    return (mesh.vertices, mesh.triangles), WildView(float(scale), centre, turn)


def _array(folder: Path, name: str, shape: tuple[int, ...]) -> np.ndarray:
    path = require_file(folder / "code" / "predef" / name, "an array of the FaceScape benchmark")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise InputError(f"{path} is no array of plain numbers; fetch it again") from None
    if array.shape != shape:
        raise InputError(f"{path}: expected shape {list(shape)}, found {list(array.shape)}")
    return array.astype(np.float64)
