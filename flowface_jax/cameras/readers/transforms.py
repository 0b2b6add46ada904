"""transforms.json of instant-ngp, nerfstudio, VHAP/GaussianAvatars and INSTA: one camera-to-world pose per image."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from flowface_jax.cameras.calibration import Calibration
from flowface_jax.cameras.conversion import opencv_from_camera_to_world, opencv_from_opengl
from flowface_jax.cameras.readers.fields import calibration_of, intrinsic_matrix, number_array
from flowface_jax.errors import InputError
from flowface_jax.storage import read_json

_KIND = "camera poses (transforms.json)"
_LENS = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "FULL_OPENCV", "PERSPECTIVE")


def read_transforms(
    path: str | os.PathLike[str],
    camera_axes: Literal["auto", "opengl", "opencv"] = "auto",
    image_size: tuple[int, int] | None = None,
    length_scale_to_metres: float | None = None,
) -> Calibration:
    """Every frame of a transforms.json (or of the folder that holds it) as a camera named by its file path.

    Intrinsics (fl_x, fl_y, cx, cy, w, h, k1 …) are taken from the frame, else from the top level; without a focal
    length camera_angle_x counts; without cx, cy the middle of the image. image_size: (width, height) px where the
    file states none (else the images themselves are asked). camera_axes: matrices are camera-to-world, with OpenGL's
    axes (x right, y up, looking along −z) except in INSTA's files (known by their exp_path), which hold OpenCV's;
    "opengl" or "opencv" overrules. length_scale_to_metres: metres per unit of the file; absent, INSTA's and VHAP's
    files count as metres and all others as arbitrary. `frame_ids`: timestep_index where given, else the position.
    Pixels: instant-ngp and nerfstudio shoot the ray of pixel (i, j) through (i + 0.5, j + 0.5), our convention, so
    nothing is added. Raises InputError for damaged frames and for fisheye or equirectangular cameras.
    """
    path = Path(path)
    path = path / "transforms.json" if path.is_dir() else path
    record = read_json(path, _KIND)
    frames = record.get("frames") if isinstance(record, dict) else None
    if not isinstance(frames, list) or not frames or not all(isinstance(frame, dict) for frame in frames):
        raise InputError(f'{path} has no list "frames" with at least one frame; expected {_KIND}')
    if camera_axes not in ("auto", "opengl", "opencv"):
        raise InputError(f"camera_axes: expected auto, opengl or opencv, found '{camera_axes}'")
    insta = any("exp_path" in frame for frame in frames)
    vhap = any("flame_param_path" in frame for frame in frames)
    opencv_axes = camera_axes == "opencv" or (camera_axes == "auto" and insta)
    poses = np.asarray([_pose(path, frame, i) for i, frame in enumerate(frames)])
    rotation, translation = (opencv_from_camera_to_world if opencv_axes else opencv_from_opengl)(poses)
    sizes = [_size(path, record, frame, i, image_size) for i, frame in enumerate(frames)]
    if length_scale_to_metres is not None and not 0 < length_scale_to_metres < math.inf:
        raise InputError(f"length_scale_to_metres: expected a positive number, found {length_scale_to_metres}")
    metres = 1.0 if length_scale_to_metres is None and (insta or vhap) else length_scale_to_metres
    return calibration_of(
        path,
        names=[str(frame.get("file_path", f"frame{i}")) for i, frame in enumerate(frames)],
        intrinsics=[_intrinsics(path, record, frame, i, sizes[i]) for i, frame in enumerate(frames)],
        distortion=[_distortion(path, record, frame, i) for i, frame in enumerate(frames)],
        rotation=rotation,
        translation=translation * (metres or 1.0),
        image_size=sizes,
        frame_ids=[_frame_id(path, frame, i) for i, frame in enumerate(frames)],
        length_scale_to_metres=None if metres is None else 1.0,
        source="insta" if insta else "vhap" if vhap else "transforms",
        notes=(
            "top-left pixel centre at (0.5, 0.5) in the file: principal points kept",
            f"camera axes of the file: {'OpenCV' if opencv_axes else 'OpenGL'}",
        ),
    )


def _pose(path: Path, frame: Mapping[str, Any], index: int) -> np.ndarray:
    rows = frame.get("transform_matrix")
    height = len(rows) if isinstance(rows, list) else 4
    matrix = number_array(path, frame, "transform_matrix", (3, 4) if height == 3 else (4, 4), f"frame {index}")
    pose = np.eye(4)
    pose[:3] = matrix[:3]
    return pose


def _intrinsics(
    path: Path, record: Mapping[str, Any], frame: Mapping[str, Any], index: int, size: tuple[int, int]
) -> np.ndarray:
    model = str(frame.get("camera_model", record.get("camera_model", "OPENCV")))
    if model not in _MODELS or record.get("is_fisheye") or frame.get("is_fisheye"):
        raise InputError(
            f"{path}: frame {index}: camera model {model} (fisheye?) is not understood; undistort it first"
        )
    fx = _number(path, record, frame, index, "fl_x") or _focal_from_angle(path, record, frame, index, "x", size[0])
    fy = (
        _number(path, record, frame, index, "fl_y") or _focal_from_angle(path, record, frame, index, "y", size[1]) or fx
    )
    if fx is None:
        raise InputError(f"{path}: frame {index} has neither fl_x nor camera_angle_x, at its own or at the top level")
    cx, cy = (_number(path, record, frame, index, key) for key in ("cx", "cy"))
    return intrinsic_matrix(fx, fy, size[0] / 2 if cx is None else cx, size[1] / 2 if cy is None else cy)


def _distortion(path: Path, record: Mapping[str, Any], frame: Mapping[str, Any], index: int) -> list[float]:
    value = {key: _number(path, record, frame, index, key) or 0.0 for key in _LENS}
    model = frame.get("camera_model", record.get("camera_model"))
    if value["k4"] and model != "FULL_OPENCV":
        # nerfstudio multiplies k4 with r⁸, OpenCV divides by k4·r²; nothing in the file tells which is meant.
        raise InputError(
            f"{path}: frame {index}: k4 is not understood without camera_model FULL_OPENCV; undistort it first"
        )
    return [value[key] for key in _LENS]


def _frame_id(path: Path, frame: Mapping[str, Any], index: int) -> int:
    """The frame's time step where it states one (VHAP), else its place in the list."""
    if "timestep_index" not in frame:
        return index
    number = float(number_array(path, frame, "timestep_index", (), f"frame {index}"))
    if not (number.is_integer() and 0 <= number < 2**53):
        raise InputError(f"{path}: frame {index}: expected a whole number as 'timestep_index', found {number}")
    return int(number)


def _focal_from_angle(
    path: Path, record: Mapping[str, Any], frame: Mapping[str, Any], index: int, axis: str, side: int
) -> float | None:
    """Focal length px from the full angle of view, rad, over `side` px."""
    angle = _number(path, record, frame, index, f"camera_angle_{axis}")
    if angle is None:
        return None
    if not 0 < angle < math.pi:
        raise InputError(f"{path}: frame {index}: camera_angle_{axis} must lie between 0 and pi, found {angle}")
    return 0.5 * side / math.tan(0.5 * angle)


def _number(path: Path, record: Mapping[str, Any], frame: Mapping[str, Any], index: int, key: str) -> float | None:
    """A finite number of the frame, else of the top level, else None."""
    owner = frame if key in frame else record
    if owner.get(key) is None:
        return None
    return float(number_array(path, owner, key, (), f"frame {index}"))


def _size(
    path: Path, record: Mapping[str, Any], frame: Mapping[str, Any], index: int, given: tuple[int, int] | None
) -> tuple[int, int]:
    """(width, height): stated in the file, else given by the caller, else asked of the image."""
    width, height = (_number(path, record, frame, index, key) for key in ("w", "h"))
    if width is not None and height is not None:
        return int(width), int(height)
    if given is not None:
        return given
    relative = str(frame.get("file_path", ""))
    for candidate in (path.parent / relative, path.parent / f"{relative}.png", path.parent / f"{relative}.jpg"):
        image = cv2.imread(str(candidate)) if candidate.is_file() else None
        if image is not None:
            return image.shape[1], image.shape[0]
    raise InputError(
        f"{path}: frame {index} states no w and h and its image is not there; pass image_size=(width, height)"
    )
