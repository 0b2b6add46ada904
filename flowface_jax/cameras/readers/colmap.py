"""COLMAP's text model: cameras.txt (intrinsics) and images.txt (one pose per image)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.fields import calibration_of, intrinsic_matrix, parse_numbers, read_lines
from flowface_jax.errors import InputError

PARAMETERS = {
    "SIMPLE_PINHOLE": ("f", "cx", "cy"),
    "PINHOLE": ("fx", "fy", "cx", "cy"),
    "SIMPLE_RADIAL": ("f", "cx", "cy", "k1"),
    "RADIAL": ("f", "cx", "cy", "k1", "k2"),
    "OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
    "FULL_OPENCV": ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
}
"""The camera models understood and the order of their parameters (COLMAP, camera models)."""

_LENS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


@dataclass(frozen=True)
class _Lens:
    intrinsics: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]


def read_colmap(path: str | os.PathLike[str]) -> Calibration:
    """A COLMAP text model: the folder with cameras.txt and images.txt (or one of the two files).

    Every image becomes a camera named by its file path, in the order of the names; `frame_ids` is that order. Poses are
    world-to-camera with quaternions w x y z. The scale of the world is arbitrary (`length_scale_to_metres` None).
    Pixels: COLMAP puts the centre of the top-left pixel at (0.5, 0.5) as we do, so nothing is added. Raises InputError
    with the line number for a damaged line and for camera models other than `PARAMETERS`.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if (folder / "cameras.bin").exists() and not (folder / "cameras.txt").exists():
        raise InputError(f"{folder} holds a binary COLMAP model; run colmap model_converter --output_type TXT first")
    lenses = _read_lenses(folder / "cameras.txt")
    images = sorted(_read_images(folder / "images.txt", lenses), key=lambda image: image[0])
    if not images:
        raise InputError(f"{folder / 'images.txt'} lists no image; expected at least one registered image")
    return calibration_of(
        path,
        names=[name for name, _, _, _ in images],
        intrinsics=[lens.intrinsics for _, _, _, lens in images],
        distortion=[lens.distortion for _, _, _, lens in images],
        rotation=[rotation for _, rotation, _, _ in images],
        translation=[translation for _, _, translation, _ in images],
        image_size=[lens.size for _, _, _, lens in images],
        frame_ids=np.arange(len(images)),
        length_scale_to_metres=None,
        source="colmap",
        notes=("top-left pixel centre at (0.5, 0.5) in the file: principal points kept", "arbitrary length unit"),
    )


def _read_lenses(path: Path) -> dict[str, _Lens]:
    """Camera id → lens. A line: id, model, width, height, parameters."""
    lenses = {}
    for number, line in enumerate(read_lines(path, "COLMAP's cameras.txt"), start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 5:
            raise InputError(
                f"{path}, line {number}: expected id, model, width, height, parameters; found '{line[:60]}'"
            )
        identifier, model = words[:2]
        if model not in PARAMETERS:
            raise InputError(
                f"{path}, line {number}: camera model {model} is not understood; undistort the images in COLMAP or use "
                f"one of {', '.join(PARAMETERS)}"
            )
        numbers = parse_numbers(" ".join(words[2:]))
        if numbers is None or len(numbers) != 2 + len(PARAMETERS[model]):
            raise InputError(
                f"{path}, line {number}: expected width, height and {len(PARAMETERS[model])} parameters of {model}, "
                f"found '{' '.join(words[2:])[:80]}'"
            )
        value = dict(zip(PARAMETERS[model], numbers[2:], strict=True))
        lenses[identifier] = _Lens(
            intrinsics=intrinsic_matrix(
                value.get("fx", value.get("f", 0.0)), value.get("fy", value.get("f", 0.0)), value["cx"], value["cy"]
            ),
            distortion=np.asarray([value.get(name, 0.0) for name in _LENS]),
            size=(int(numbers[0]), int(numbers[1])),
        )
    return lenses


def _read_images(path: Path, lenses: dict[str, _Lens]) -> list[tuple[str, np.ndarray, np.ndarray, _Lens]]:
    """Name, rotation, translation, lens of each image. Two lines an image; the second (2D points) may be blank."""
    images = []
    points_follow = False
    for number, line in enumerate(read_lines(path, "COLMAP's images.txt"), start=1):
        if points_follow:
            points_follow = False
            continue
        words = line.split(maxsplit=9)
        if not words or words[0].startswith("#"):
            continue
        numbers = parse_numbers(" ".join(words[1:8]))
        if len(words) < 10 or numbers is None:
            raise InputError(
                f"{path}, line {number}: expected id, quaternion w x y z, translation, camera id, name; "
                f"found '{line[:60]}'"
            )
        quaternion, camera, name = np.asarray(numbers[:4]), words[8], words[9].strip()
        if abs(np.linalg.norm(quaternion) - 1) > 1e-2:
            raise InputError(f"{path}, line {number}: expected a unit quaternion, found {numbers[:4]}")
        if camera not in lenses:
            raise InputError(f"{path}, line {number}: image '{name}' uses camera {camera}, which cameras.txt lacks")
        rotation = Rotation.from_quat(quaternion, scalar_first=True).as_matrix()
        images.append((name, rotation, np.asarray(numbers[4:7]), lenses[camera]))
        points_follow = True
    return images
