"""A flat, square 'face' 1 m before a camera, in steady motion, for tests of what is scored and how it is called."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from flowface_jax.cameras.model import Cameras, make_cameras
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.readers import vertex_file
from tests.evaluation.moving_sheets import sheet

FRAMES, SIZE, FOCAL = 12, (64, 48), 200.0
COUNT = 36
KEY_POINTS = "7,8,9,10,14,25,28"
"""Seven vertices of the sheet in the order of a face's."""


def cameras(count: int = 1) -> Cameras:
    """Cameras of one place and direction; each further one has a shorter focal length."""
    focal = FOCAL / np.arange(1, count + 1)
    middle = np.asarray(SIZE) / 2
    return make_cameras(focal, [middle] * count, [np.eye(3)] * count, np.zeros((count, 3)), [SIZE] * count)


def face(
    drift: float = 0.0, frames: int = FRAMES, noise: float = 0.0, seed: int = 0, **changes: object
) -> MeshSequence:
    """The face, 40 px wide, moving `drift` px a frame along x, shaken by `noise` m."""
    flat, triangles = sheet()
    place = flat * [0.1, 0.1, 0] + [0, 0, 1]
    step = np.asarray([drift / FOCAL, 0, 0]) * np.arange(frames)[:, None]
    shaken = noise * np.random.default_rng(seed).normal(size=(frames, 1, 3))
    regions = {"face": np.ones(COUNT, bool), "mouth": flat[:, 1] > 0.3, "lips": flat[:, 1] > 0.7}
    vertices = (place + step[:, None] + shaken).astype(np.float32)
    sequence = MeshSequence(
        vertices, triangles.astype(np.int32), np.ones(frames, bool), regions, cameras(), name="face"
    )
    return dataclasses.replace(sequence, **changes)


def write_face(path: Path, sequence: MeshSequence | None = None, **changes: object) -> Path:
    """The face as an .npz of arrays without cameras."""
    vertex_file.write(path, face(**changes) if sequence is None else sequence)
    return path


def write_cameras(path: Path, count: int = 1) -> Path:
    cameras(count).save(path)
    return path
