"""FLAME parameters of a performance as FLAME's programs share them: head pose, neck, jaw, eyes, coefficients."""

from __future__ import annotations

import dataclasses
import logging
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.errors import InputError
from flowface_jax.evaluation.readers.flame_parameters import JAW, LEFT_EYE, NECK, RIGHT_EYE, ROOT, joints_at_rest
from flowface_jax.exporting.performance import Performance
from flowface_jax.heads.flame import JOINT_NAMES
from flowface_jax.heads.model import HeadModel, vertices

logger = logging.getLogger(__name__)

IDENTITY: Final = 300
EXPRESSION: Final = 100
"""Coefficients that FLAME has and its programs store; fewer are filled up with 0."""


@dataclasses.dataclass(frozen=True, eq=False)
class FlamePose:
    """One frame of FLAME: x_world = rotation · (posed head, root at rest, + offsets) + translation.

    rotation: [3,3] and translation: [3] m, to our world; a turned root joint is part of them. joints: [5,3] axis-angle,
    rad, the root's 0. expression: [E]. rest: [5,3] m, the joints' places in this shape. offsets: [V,3] m, added after
    posing.
    """

    rotation: np.ndarray
    translation: np.ndarray
    joints: np.ndarray
    expression: np.ndarray
    rest: np.ndarray
    offsets: np.ndarray


def require_flame(performance: Performance, target: str) -> None:
    """Raises InputError where the head is not FLAME."""
    head = performance.head
    if head.joint_names != JOINT_NAMES or "flame" not in head.name:
        raise InputError(
            f"{target} holds FLAME meshes and parameters, the track's head is '{head.name}'; track the clip with a "
            "FLAME head (flowface track --head FILE), or lay it onto one (--retarget FILE)"
        )


def require_camera(performance: Performance, camera: int, target: str) -> None:
    """Raises InputError where the track has no camera of that number."""
    count = performance.track.cameras.count
    if camera >= count:
        raise InputError(f"{target}.camera: expected 0 to {count - 1}, the track's cameras, found {camera}")


def flame_pose(performance: Performance, frame: int) -> FlamePose:
    """The parameters of one frame."""
    track, head = performance.track, performance.head
    identity, expression = (np.asarray(a, np.float64) for a in (track.identity, track.expression[frame]))
    rest = np.asarray(head.joint_template, np.float64) + np.asarray(head.joint_identity, np.float64) @ identity
    rest += np.asarray(head.joint_expression, np.float64) @ expression
    joints = np.array(track.joint_rotations[frame], np.float64)
    head_rotation = Rotation.from_rotvec(track.head_rotation[frame]).as_matrix()
    root = Rotation.from_rotvec(joints[ROOT]).as_matrix()
    joints[ROOT] = 0.0
    translation = head_rotation @ (rest[ROOT] - root @ rest[ROOT]) + track.head_translation[frame]
    offsets = np.asarray(track.offsets, np.float64) @ root
    return FlamePose(head_rotation @ root, translation, joints, expression, rest, offsets)


def posed(performance: Performance, pose: FlamePose) -> np.ndarray:
    """Vertices [V,3] m in FLAME's own frame, without the pose's rotation and translation."""
    arrays = (performance.track.identity, pose.expression, pose.joints, pose.offsets)
    return np.asarray(_vertices(performance.head, *(jnp.asarray(array, jnp.float32) for array in arrays)))


def canonical(performance: Performance, jaw_rad: float) -> np.ndarray:
    """Vertices [V,3] m of the person's head with nothing but the jaw opened."""
    head, track = performance.head, performance.track
    joints = joints_at_rest(1)[0]
    joints[JAW, 0] = jaw_rad
    return np.asarray(
        _vertices(
            head, jnp.asarray(track.identity), jnp.zeros(head.expression_size), joints, jnp.asarray(track.offsets)
        )
    )


def filled(coefficients: np.ndarray, size: int) -> np.ndarray:
    """Coefficients [...,≤size] filled up with 0, float32. Raises InputError for more."""
    coefficients = np.asarray(coefficients, np.float32)
    missing = size - coefficients.shape[-1]
    if missing < 0:
        raise InputError(
            f"expected at most {size} coefficients, found {coefficients.shape[-1]}; it is not FLAME's head"
        )
    return np.pad(coefficients, [(0, 0)] * (coefficients.ndim - 1) + [(0, missing)])


def jaw_is_in_expressions(head: HeadModel) -> bool:
    """Whether it is FLAME 2023 without a jaw joint, whose expressions are others than those of FLAME 2023."""
    return "no_jaw" in head.name


def written_frames(performance: Performance, target: str) -> np.ndarray:
    """Numbers in the track of the frames that show a face. Raises InputError where there is none."""
    frames = np.flatnonzero(performance.seen)
    if not len(frames):
        raise InputError(f"no frame of the track shows a face; there is nothing to write for {target}")
    left_out = performance.track.frame_count - len(frames)
    if left_out:
        logger.warning("%s: %d frame(s) without a face are left out", target, left_out)
    return frames


_vertices = jax.jit(vertices)

__all__ = [
    "EXPRESSION",
    "IDENTITY",
    "JAW",
    "LEFT_EYE",
    "NECK",
    "RIGHT_EYE",
    "ROOT",
    "FlamePose",
    "canonical",
    "filled",
    "flame_pose",
    "jaw_is_in_expressions",
    "posed",
    "require_camera",
    "require_flame",
    "written_frames",
]
