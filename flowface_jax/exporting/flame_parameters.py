"""FLAME parameters of all frames in one file, under the names that its users know them by."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

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
)
from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.target import Target
from flowface_jax.reporting import Reporter
from flowface_jax.storage import write_npz

NAME = "flame"
FORMAT = "flowface-flame-parameters/1"
_ABOUT = {
    "smplx": "smplx's FLAME: global_orient turns about the root joint, transl is added last, rotations are axis-angle",
    "vhap": "VHAP's tracked_flame_params: rotation turns about the root joint, eyes_pose is left then right",
    "deca": "DECA's code: pose is the global rotation about the root joint, then the jaw; eye_pose left then right",
}


@dataclasses.dataclass(frozen=True)
class FlameSettings:
    """names: smplx (betas, global_orient, …), vhap (shape, rotation, …) or deca (shape, exp, pose)."""

    names: Literal["smplx", "vhap", "deca"] = "smplx"


def write_flame(performance: Performance, file: Path, settings: FlameSettings, reporter: Reporter) -> None:
    """Write the file. Raises InputError where the head is not FLAME."""
    require_flame(performance, NAME)
    track, cameras = performance.track, performance.track.cameras
    poses = [flame_pose(performance, frame) for frame in range(track.frame_count)]
    arrays = parameters(performance, poses, settings.names) | {
        "format": np.asarray(FORMAT),
        "head": np.asarray(performance.head.name),
        "jaw": np.asarray("in the expressions" if jaw_is_in_expressions(performance.head) else "joint"),
        "conventions": np.asarray(
            [_ABOUT[settings.names], "metres, radians; world: OpenCV's axes (x right, y down, z forward)",
             "offsets are added after posing, in FLAME's own frame before the global rotation"]
        ),
        "offsets": np.asarray(track.offsets, np.float32),
        "seen": performance.seen,
        "frame_ids": np.asarray(track.frame_ids),
        "frame_times_s": performance.frame_times,
        "camera_names": np.asarray(cameras.names),
        "camera_focal_px": np.asarray(cameras.focal),
        "camera_principal_point_px": np.asarray(cameras.principal_point),
        "camera_rotation_world_to_camera": np.asarray(cameras.rotation),
        "camera_translation_world_to_camera_m": np.asarray(cameras.translation),
        "camera_image_size": np.asarray(cameras.image_size),
    }  # fmt: skip
    write_npz(file, arrays)


def parameters(performance: Performance, poses: list[FlamePose], names: str) -> dict[str, np.ndarray]:
    """The parameters of all frames under one set of names, float32."""
    turns = Rotation.from_matrix([pose.rotation for pose in poses]).as_rotvec()
    shifts = np.stack([pose.translation + pose.rotation @ pose.rest[ROOT] - pose.rest[ROOT] for pose in poses])
    joints = np.stack([pose.joints for pose in poses])
    shape = filled(performance.track.identity, IDENTITY)
    expression = filled(np.stack([pose.expression for pose in poses]), EXPRESSION)
    neck, jaw = joints[:, NECK], joints[:, JAW]
    eyes = np.concatenate([joints[:, LEFT_EYE], joints[:, RIGHT_EYE]], axis=1)
    table = {
        "smplx": {
            "betas": shape, "expression": expression, "global_orient": turns, "transl": shifts, "neck_pose": neck,
            "jaw_pose": jaw, "leye_pose": eyes[:, :3], "reye_pose": eyes[:, 3:],
        },
        "vhap": {
            "shape": shape, "expr": expression, "rotation": turns, "translation": shifts, "neck_pose": neck,
            "jaw_pose": jaw, "eyes_pose": eyes,
        },
        "deca": {
            "shape": np.tile(shape, (len(poses), 1)), "exp": expression, "pose": np.concatenate([turns, jaw], axis=1),
            "transl": shifts, "neck_pose": neck, "eye_pose": eyes,
        },
    }[names]  # fmt: skip
    return {name: np.asarray(values, np.float32) for name, values in table.items()}


TARGET = Target(
    NAME, "FLAME parameters of all frames under common names (FLAME heads)", FlameSettings, write_flame, ".npz"
)
