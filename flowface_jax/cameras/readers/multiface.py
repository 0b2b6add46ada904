"""Multiface's `KRT` file: the calibrated rig of one capture.

Records of eight lines and a blank one: camera id; three rows of K; five distortion numbers; three rows of [R|t],
world-to-camera, OpenCV axes, mm (facebookresearch/multiface, README and dataset.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from flowface_jax.cameras.calibration import Calibration, select_cameras
from flowface_jax.cameras.readers.fields import calibration_of, corner_origin, line_numbers, read_lines

FULL_IMAGE_SIZE = (1334, 2048)
"""Width and height of the published images, px."""


def read_multiface(
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    image_size: tuple[int, int] = FULL_IMAGE_SIZE,
) -> Calibration:
    """The cameras of a Multiface `KRT` file (or of the capture folder that holds it), in metres.

    names: only these cameras. image_size: (width, height) px of the images in use; where it is not the published
    1334 x 2048, intrinsics are scaled with it. Distortion is taken as OpenCV's k1, k2, p1, p2, k3 (all zero in the
    published files). Pixels: the file follows OpenCV, whose K puts the centre of the top-left pixel at 0, so half a
    pixel is added to the principal point. Raises InputError with the line number for a damaged record.
    """
    path = Path(path)
    path = path / "KRT" if path.is_dir() else path
    lines = read_lines(path, "a Multiface KRT file")
    cameras: list[str] = []
    intrinsics, distortion, rotation, translation = [], [], [], []
    index = 0
    while index < len(lines):
        if not lines[index].strip():
            index += 1
            continue
        name = lines[index].strip()
        cameras.append(name)
        rows = [line_numbers(path, lines, index + 1 + r, 3, f"row {r + 1} of K of '{name}'") for r in range(3)]
        lens = line_numbers(path, lines, index + 4, 5, f"the distortion of '{name}'")
        pose = np.asarray(
            [line_numbers(path, lines, index + 5 + r, 4, f"row {r + 1} of [R|t] of '{name}'") for r in range(3)]
        )
        intrinsics.append(corner_origin(np.asarray(rows)))
        distortion.append([*lens, 0.0, 0.0, 0.0])
        rotation.append(pose[:, :3])
        translation.append(pose[:, 3] / 1000.0)
        index += 8
    scale = np.asarray(image_size, np.float64) / FULL_IMAGE_SIZE
    calibration = calibration_of(
        path,
        names=cameras,
        intrinsics=np.diag([*scale, 1.0]) @ np.asarray(intrinsics),
        distortion=distortion,
        rotation=rotation,
        translation=translation,
        image_size=np.tile(image_size, (len(cameras), 1)),
        source="multiface",
        notes=("pixel centres at integers in the file: 0.5 px added to the principal points", "millimetres to metres"),
    )
    return calibration if names is None else select_cameras(calibration, list(names))
