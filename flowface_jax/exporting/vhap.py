"""VHAP's data set (Qian 2024), which GaussianAvatars trains on: pictures, cameras and FLAME parameters by time step.

The world has y up, is metric and is moved so that the head stands in its origin on average; matrices are
camera-to-world with OpenGL's axes. FLAME turns about its root joint here, and offsets are added before posing.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.aligners.frames import laid_on
from flowface_jax.cameras.conversion import OPENGL_AXES, opengl_from_opencv
from flowface_jax.evaluation.readers.vhap import TRANSFORMS
from flowface_jax.exporting.flame import (
    EXPRESSION,
    IDENTITY,
    JAW,
    LEFT_EYE,
    NECK,
    RIGHT_EYE,
    ROOT,
    FlamePose,
    filled,
    flame_pose,
    jaw_is_in_expressions,
    require_flame,
    written_frames,
)
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.pictures import check_pictures, image_size, matte_pictures, with_matte, write_png
from flowface_jax.exporting.target import Target
from flowface_jax.heads.model import HeadModel
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_json, write_npz

logger = logging.getLogger(__name__)
NAME = "vhap"
TEETH = 120
"""Vertices that VHAP appends to FLAME's: 5143 instead of 5023."""
OPEN_JAW_RAD = 0.3
"""How far the canonical head opens its jaw."""
VALIDATION_CAMERA = 8
"""The camera kept for validation where there is one of that number, as VHAP does; else the last."""
_WHITE = (255, 255, 255)
_SMALLEST_OFFSET = 1e-7


@dataclasses.dataclass(frozen=True)
class VhapSettings:
    """images: copy the clips' pictures (needs --video). mattes: for each camera a film or folder of pictures, white
    where the person is, separated by commas; pictures are then laid on white and fg_masks written. train: share of the
    time steps to train on, the rest is for testing.
    """

    images: bool = True
    mattes: tuple[str, ...] = ()
    train: float = 0.7


def write_vhap(performance: Performance, folder: Path, settings: VhapSettings, reporter: Reporter) -> None:
    """Write the folder. Raises InputError without a FLAME head, and where pictures lack."""
    require_flame(performance, NAME)
    chosen = written_frames(performance, NAME)
    if settings.images:
        check_pictures(performance)
    _warn(performance)
    centre = np.mean([_placed(flame_pose(performance, frame))[1] for frame in chosen], axis=0)
    _write_parameters(performance, folder, chosen, centre)
    if settings.images:
        _write_pictures(performance, folder, settings, chosen, reporter)
    views = [_view(performance, camera, centre) for camera in range(performance.track.cameras.count)]
    entries = [
        _entry(performance, views, step, int(frame), camera, bool(settings.images and settings.mattes))
        for step, frame in enumerate(chosen)
        for camera in range(len(views))
    ]
    _write_lists(folder, entries, len(chosen), views, settings.train)


def _warn(performance: Performance) -> None:
    if jaw_is_in_expressions(performance.head):
        logger.warning(
            "vhap: GaussianAvatars reads flame2023.pkl, but the head is '%s': put its file in that one's place, or "
            "track the clip with flame2023.pkl",
            performance.head.name,
        )
    cameras = performance.track.cameras
    away = np.abs(np.asarray(cameras.principal_point) - np.asarray(cameras.image_size) / 2).max()
    if away > 0.5:
        logger.warning(
            "vhap: a principal point is %.1f px away from the image's middle, where GaussianAvatars takes it to be",
            away,
        )


def _placed(pose: FlamePose) -> tuple[np.ndarray, np.ndarray]:
    """Rotation [3,3] and translation [3] m of FLAME's root joint in a world with y up."""
    rotation = OPENGL_AXES @ pose.rotation
    return rotation, OPENGL_AXES @ pose.translation + rotation @ pose.rest[ROOT] - pose.rest[ROOT]


def _write_parameters(performance: Performance, folder: Path, chosen: np.ndarray, centre: np.ndarray) -> None:
    """One file for each time step, and the head with nothing but the jaw opened."""
    shared, values = _shared_parameters(performance), {}
    for step, frame in enumerate(chosen):
        values = _parameters(performance, flame_pose(performance, frame), centre)
        write_npz(folder / "flame_param" / f"{step:05d}.npz", shared | values)
    rest = {key: np.zeros_like(value) for key, value in values.items() if key != "dynamic_offset"}
    rest["jaw_pose"][0, 0] = OPEN_JAW_RAD
    write_npz(folder / "canonical_flame_param.npz", shared | rest)


def _shared_parameters(performance: Performance) -> dict[str, np.ndarray]:
    offsets = np.asarray(performance.track.offsets, np.float32)
    return {
        "shape": filled(performance.track.identity, IDENTITY),
        "static_offset": _with_teeth(offsets),
    }


def _with_teeth(offsets: np.ndarray) -> np.ndarray:
    """Offsets [1,V+120,3] of FLAME's vertices [V,3] and of the teeth, which have none."""
    return np.concatenate([offsets, np.zeros((TEETH, 3))]).astype(np.float32)[None]


def _parameters(performance: Performance, pose: FlamePose, centre: np.ndarray) -> dict[str, np.ndarray]:
    """One time step; dynamic_offset only where a joint turns vertices that have offsets."""
    rotation, translation = _placed(pose)
    joints = pose.joints.astype(np.float32)
    values = {
        "translation": (translation - centre)[None],
        "rotation": Rotation.from_matrix(rotation).as_rotvec()[None],
        "neck_pose": joints[None, NECK],
        "jaw_pose": joints[None, JAW],
        "eyes_pose": np.concatenate([joints[LEFT_EYE], joints[RIGHT_EYE]])[None],
        "expr": filled(pose.expression, EXPRESSION)[None],
    }
    dynamic = unposed(performance.head, pose) - performance.track.offsets
    if np.abs(dynamic).max() > _SMALLEST_OFFSET:
        values["dynamic_offset"] = _with_teeth(dynamic)
    return {key: np.asarray(value, np.float32) for key, value in values.items()}


def unposed(head: HeadModel, pose: FlamePose) -> np.ndarray:
    """The offsets [V,3] m that, added before posing, give those of the pose after it."""
    moved = np.flatnonzero(np.abs(pose.offsets).max(axis=1) > 0)
    chained: list[np.ndarray] = []
    for joint, parent in zip(Rotation.from_rotvec(pose.joints).as_matrix(), head.joint_parents, strict=True):
        chained.append(joint if parent < 0 else chained[parent] @ joint)
    weights = np.asarray(head.skinning_weights, np.float64)[moved]
    result = np.array(pose.offsets)
    result[moved] = np.linalg.solve(np.einsum("vk,kij->vij", weights, np.stack(chained)), result[moved, :, None])[
        ..., 0
    ]
    return result


def _write_pictures(
    performance: Performance, folder: Path, settings: VhapSettings, chosen: np.ndarray, reporter: Reporter
) -> None:
    track, steps = performance.track, {int(frame): step for step, frame in enumerate(chosen)}
    count = track.cameras.count
    mattes: Iterable[Any] = itertools.repeat((None,) * count)
    if settings.mattes:
        mattes = zip(*matte_pictures(performance, settings.mattes, NAME), strict=False)
    views = zip(*(performance.pictures(camera) for camera in range(count)), strict=False)
    bar = reporter.bar(NAME, track.frame_count, "frames")
    for frame, pictures, cut in zip(range(track.frame_count), views, mattes, strict=False):
        if frame in steps:
            for camera, (picture, matte) in enumerate(zip(pictures, cut, strict=True)):
                name = _name(steps[frame], camera)
                if matte is not None:
                    write_png(folder / "fg_masks" / name, matte)
                    picture = laid_on(with_matte(picture, matte), _WHITE)
                write_png(folder / "images" / name, picture)
        bar.advance_to(frame + 1)
    bar.close()


def _name(step: int, camera: int) -> str:
    return f"{step:05d}_{camera:02d}.png"


def _view(performance: Performance, camera: int, centre: np.ndarray) -> dict[str, Any]:
    """What a camera's entries share."""
    cameras = performance.track.cameras
    width, height = image_size(performance, camera)
    focal = float(cameras.focal[camera])
    middle = np.asarray(cameras.principal_point, np.float64)[camera]
    rotation = np.asarray(cameras.rotation, np.float64)[camera] @ OPENGL_AXES
    translation = np.asarray(cameras.translation, np.float64)[camera] + rotation @ centre
    return {
        "cx": float(middle[0]),
        "cy": float(middle[1]),
        "fl_x": focal,
        "fl_y": focal,
        "h": height,
        "w": width,
        "camera_angle_x": 2 * math.atan(width / (2 * focal)),
        "camera_angle_y": 2 * math.atan(height / (2 * focal)),
        "transform_matrix": opengl_from_opencv(rotation, translation).tolist(),
    }


def _entry(
    performance: Performance, views: list[dict[str, Any]], step: int, frame: int, camera: int, masked: bool
) -> dict[str, Any]:
    name = _name(step, camera)
    about = {
        "timestep_index": step,
        "timestep_index_original": frame,
        "timestep_id": f"{int(performance.track.frame_ids[frame]):05d}",
        "camera_index": camera,
        "camera_id": performance.track.cameras.names[camera],
        "file_path": f"images/{name}",
        "flame_param_path": f"flame_param/{step:05d}.npz",
    }
    return views[camera] | about | ({"fg_mask_path": f"fg_masks/{name}"} if masked else {})


def _write_lists(
    folder: Path, entries: list[dict[str, Any]], steps: int, views: list[dict[str, Any]], share: float
) -> None:
    """transforms.json and its division, as VHAP divides: time steps for testing, one of several cameras for
    validation.
    """
    cameras = list(range(len(views)))
    first_test = min(steps, math.ceil(steps * share))
    kept = VALIDATION_CAMERA if VALIDATION_CAMERA in cameras else cameras[-1]
    validation = [kept] if len(cameras) > 1 else []
    training = [camera for camera in cameras if camera not in validation]
    lens = {key: value for key, value in views[-1].items() if key != "transform_matrix"}
    lists = {
        TRANSFORMS: (range(steps), cameras),
        "transforms_train.json": (range(first_test), training),
        "transforms_val.json": (range(first_test), validation),
        "transforms_test.json": (range(first_test, steps), cameras),
    }
    for name, (times, seen) in lists.items():
        frames = [one for one in entries if one["timestep_index"] in times and one["camera_index"] in seen]
        indices = {"timestep_indices": list(times), "camera_indices": seen}
        write_json(folder / name, lens | indices | {"frames": frames})


TARGET = Target(NAME, "VHAP's data set, for GaussianAvatars (FLAME heads)", VhapSettings, write_vhap)
