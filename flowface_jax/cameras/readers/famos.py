"""FaMoS's `.tka` files: one Tsai calibration per view.

By line: header; three rows of the rotation; camera position X, Y, Z in mm; focal length f in mm; K and K2, Tsai's
radial coefficients per mm² and mm⁴, which *undistort*; S; pixel size x, y in mm; principal point a, b in px; image
size; c (TimoBolkart/TEMPEH, utils/camera.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.readers.fields import calibration_of, intrinsic_matrix, line_numbers, read_lines
from flowface_jax.errors import InputError

_KIND = "a Tsai camera (.tka)"
_FIELDS = (
    ("X of the camera position", 4),
    ("Y of the camera position", 5),
    ("Z of the camera position", 6),
    ("the focal length f", 7),
    ("K", 8),
    ("K2", 9),
    ("the pixel width x", 11),
    ("the pixel height y", 12),
    ("a of the principal point", 13),
    ("b of the principal point", 14),
)


@dataclass(frozen=True)
class _TsaiView:
    rotation: np.ndarray
    translation: np.ndarray
    intrinsics: np.ndarray
    distortion: np.ndarray
    size: tuple[int, int]


def read_famos(
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    image_scale: float = 1.0,
    turn_to: Literal["portrait", "landscape"] | None = None,
) -> Calibration:
    """The views of a folder of `.tka` files (or of one file), named by file stem, in metres.

    names: only these views. image_scale: size of the images in use over the calibrated size, 0.25 for the published
    `images_4`. turn_to: views of the other orientation are turned by 90° counter-clockwise, pose and intrinsics with
    them, for images that were turned likewise. Tsai's undistorting polynomial is inverted to OpenCV's k1, k2 by least
    squares over the radii that the image covers. Pixels: the data set's own code scales by plain multiplication and
    turns with y' = w − x, which is exact where the origin is the corner of the image, so nothing is added to the
    principal point. Raises InputError with the line number for a damaged file.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(path.glob("*.tka"))
        if not files:
            raise InputError(f"{path} holds no .tka file; expected the folder of one FaMoS sequence's calibration")
    else:
        files = [path]
    if names is not None:
        absent = [name for name in names if name not in {file.stem for file in files}]
        if absent:
            raise InputError(f"{path} has no view {', '.join(absent)}; it has {', '.join(file.stem for file in files)}")
        by_name = {file.stem: file for file in files}
        files = [by_name[name] for name in names]
    if not (np.isfinite(image_scale) and image_scale > 0):
        raise InputError(f"image_scale: expected a positive number such as 0.25, found {image_scale}")
    views = [_turned(_read_view(file, image_scale), turn_to) for file in files]
    return calibration_of(
        path,
        names=[file.stem for file in files],
        intrinsics=[view.intrinsics for view in views],
        distortion=[view.distortion for view in views],
        rotation=[view.rotation for view in views],
        translation=[view.translation for view in views],
        image_size=[view.size for view in views],
        source="famos",
        notes=("origin at the image corner in the file: principal points kept", "millimetres to metres"),
    )


def tsai_to_opencv(k: float, k2: float, largest_radius: float) -> np.ndarray:
    """OpenCV's k1, k2 [2] that invert r_u = r_d (1 + k r_d² + k2 r_d⁴) up to the distorted radius given.

    k, k2 act on the plane at depth 1 (Tsai's K·f² and K2·f⁴). Least squares over 200 radii.
    """
    distorted = np.linspace(0, largest_radius, 201)[1:]
    undistorted = distorted * (1 + k * distorted**2 + k2 * distorted**4)
    design = np.stack([undistorted**2, undistorted**4], axis=-1)
    # Weighted by the radius, the residual is a displacement rather than a ratio.
    return np.linalg.lstsq(design * undistorted[:, None], distorted - undistorted, rcond=None)[0]


def _read_view(path: Path, image_scale: float) -> _TsaiView:
    lines = read_lines(path, _KIND)
    rotation = np.asarray([line_numbers(path, lines, 1 + r, 3, f"row {r + 1} of the rotation") for r in range(3)])
    x, y, z, f, k, k2, pixel_x, pixel_y, a, b = (
        line_numbers(path, lines, index, 1, what, label=True)[0] for what, index in _FIELDS
    )
    width, height = line_numbers(path, lines, 15, 2, "the image width and height", label=True)
    if min(f, pixel_x, pixel_y, width, height) <= 0:
        raise InputError(f"{path}: focal length, pixel size and image size must be positive; fetch the file again")
    intrinsics = intrinsic_matrix(f / pixel_x, f / pixel_y, a, b)
    corners = np.asarray([[0, 0], [width, 0], [0, height], [width, height]])
    radius = np.linalg.norm((corners - (a, b)) * (pixel_x, pixel_y) / f, axis=1).max()
    k1_k2 = tsai_to_opencv(k * f**2, k2 * f**4, radius) if k or k2 else np.zeros(2)
    return _TsaiView(
        rotation=rotation,
        translation=-rotation @ (x, y, z) / 1000.0,
        intrinsics=np.diag([image_scale, image_scale, 1.0]) @ intrinsics,
        distortion=np.concatenate([k1_k2, np.zeros(6)]),
        size=(round(width * image_scale), round(height * image_scale)),
    )


def _turned(view: _TsaiView, turn_to: str | None) -> _TsaiView:
    """The view turned by 90° counter-clockwise where its orientation is not the wanted one: (x, y) → (y, w − x)."""
    if turn_to not in (None, "portrait", "landscape"):
        raise InputError(f"turn_to: expected portrait, landscape or nothing, found '{turn_to}'")
    width, height = view.size
    if turn_to is None or width == height or (turn_to == "portrait") == (height > width):
        return view
    turn = np.asarray([[0, 1, 0], [-1, 0, 0], [0, 0, 1]], np.float64)
    fx, fy, (cx, cy) = view.intrinsics[0, 0], view.intrinsics[1, 1], view.intrinsics[:2, 2]
    return _TsaiView(
        rotation=turn @ view.rotation,
        translation=turn @ view.translation,
        intrinsics=intrinsic_matrix(fy, fx, cy, width - cx),
        distortion=view.distortion,
        size=(height, width),
    )
