"""FLAME parameters as CAP4D poses them, found for a performance by least squares.

With root and neck at rest, CAP4D's head is FLAME's with another template: its pose correctives act at rest too (see
the reader in `evaluation.readers.cap4d_fit`). What they add there is a constant, which the identity has to take back
as far as it can; so have the offsets of a fit, for which the format has no place, and the coefficients beyond those
that CAP4D uses. Shapes are linear in all of this, and pose leaves them alone: one linear problem, solved exactly.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np
import scipy.linalg
from scipy.spatial.transform import Rotation

from flowface_jax.cameras.conversion import OPENGL_AXES
from flowface_jax.errors import InputError
from flowface_jax.exporting.flame import JAW, LEFT_EYE, NECK, RIGHT_EYE, FlamePose, filled, flame_pose
from flowface_jax.exporting.performance import Performance
from flowface_jax.heads.model import HeadModel

_COEFFICIENT_M: Final = 1e-5
"""A coefficient of 1 costs as much as missing all vertices by this: it only holds what the vertices do not decide."""


@dataclasses.dataclass(frozen=True, eq=False)
class Cap4dParameters:
    """shape: [S]. expr: [F,E], the last a blink. rot, tra, eye_rot, neck_rot, jaw_rot: [F,3], FLAME's frame to a world
    with y up. error_m: [F], weighted root mean square distance from the tracked head.
    """

    shape: np.ndarray
    expr: np.ndarray
    rot: np.ndarray
    tra: np.ndarray
    eye_rot: np.ndarray
    neck_rot: np.ndarray
    jaw_rot: np.ndarray
    error_m: np.ndarray


def cap4d_parameters(
    performance: Performance, identity: int, expression: int, blink: np.ndarray | None
) -> Cap4dParameters:
    """The parameters of every frame.

    identity, expression: how many coefficients CAP4D is set to use, the blink among the latter. blink: its blend shape
    [V,3] m, or None to leave its coefficient 0. Raises InputError for a blink of another mesh.
    """
    head = performance.head
    bases = _bases(head, identity, expression, blink)
    shape, expr, error = _solve(performance, *bases)
    frames = range(performance.track.frame_count)
    motion = [_motion(flame_pose(performance, frame)) for frame in frames]
    rot, tra, eye, neck, jaw = (np.stack([row[part] for row in motion]) for part in range(5))
    used = bases[1].shape[-1]
    with_blink = np.zeros((len(expr), expression))
    with_blink[:, : used - (blink is not None)] = expr[:, : used - (blink is not None)]
    if blink is not None:
        with_blink[:, -1] = expr[:, -1]
    return Cap4dParameters(filled(shape, identity), with_blink.astype(np.float32), rot, tra, eye, neck, jaw, error)


def _bases(head: HeadModel, identity: int, expression: int, blink: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Identity [3V,S] and expression columns [3V,E], the blink last where it is known."""
    count = head.vertex_count
    shapes = np.asarray(head.identity_basis, np.float64)[..., :identity].reshape(3 * count, -1)
    moves = np.asarray(head.expression_basis, np.float64)[..., : expression - 1].reshape(3 * count, -1)
    if blink is None:
        return shapes, moves
    if blink.shape != (count, 3):
        raise InputError(f"the blink: expected [{count},3], a blend shape of the head, found {list(blink.shape)}")
    return shapes, np.concatenate([moves, blink.reshape(-1, 1)], axis=1)


def rest_correctives(head: HeadModel) -> np.ndarray:
    """What CAP4D's pose correctives add to the head at rest: [V,3] m."""
    correctives = np.asarray(head.pose_correctives, np.float64)
    by_joint = correctives.reshape(head.vertex_count, 3, -1, 3, 3)[:, :, 1:]
    return -np.trace(by_joint, axis1=-2, axis2=-1).sum(-1)


def _solve(
    performance: Performance, shapes: np.ndarray, moves: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Identity [S], expressions [F,E] and what they miss [F] m. Expressions are eliminated, the identity solved first.

    Frames differ only in their own expression, so that what all of them ask of the identity is a sum over 3V numbers.
    """
    track, head = performance.track, performance.head
    weight = np.repeat(np.asarray(head.vertex_weights, np.float64), 3)
    weight /= weight.sum()
    ridge = _COEFFICIENT_M**2
    own = np.asarray(head.identity_basis, np.float64).reshape(3 * head.vertex_count, -1) @ track.identity
    own += (np.asarray(track.offsets, np.float64) - rest_correctives(head)).ravel()
    basis = np.asarray(head.expression_basis, np.float64).reshape(3 * head.vertex_count, -1)
    frames = len(track.expression)
    expression = np.asarray(track.expression, np.float64)
    weighted = moves * weight[:, None]
    factor = scipy.linalg.cho_factor(weighted.T @ moves + ridge * np.eye(moves.shape[1]))
    eliminated = lambda columns: (
        columns * weight[:, None] - weighted @ scipy.linalg.cho_solve(factor, weighted.T @ columns)
    )
    reduced = eliminated(shapes)
    wanted = own + basis @ expression.mean(0)
    left = reduced.T @ shapes + ridge / frames * np.eye(shapes.shape[1])
    shape = np.linalg.solve(left, reduced.T @ wanted)
    rest = own - shapes @ shape
    constant, by_expression = weighted.T @ rest, weighted.T @ basis
    found = scipy.linalg.cho_solve(factor, constant[:, None] + by_expression @ expression.T).T
    missed = [rest + basis @ expression[f] - moves @ found[f] for f in range(frames)]
    error = np.sqrt([3.0 * (weight * one**2).sum() for one in missed])
    return shape, found, error


def _motion(pose: FlamePose) -> tuple[np.ndarray, ...]:
    """rot, tra, eye_rot, neck_rot, jaw_rot [3] of one frame.

    CAP4D turns the head by rot where FLAME turns it by its neck, and leaves the trunk behind by neck_rot.
    """
    neck = Rotation.from_rotvec(pose.joints[NECK])
    turn, place = neck.as_matrix(), pose.rest[NECK]
    rotation = OPENGL_AXES @ pose.rotation @ turn
    translation = OPENGL_AXES @ (pose.rotation @ (place - turn @ place) + pose.translation)
    eyes = Rotation.from_rotvec(pose.joints[[LEFT_EYE, RIGHT_EYE]]).mean().as_rotvec()
    parts = (Rotation.from_matrix(rotation).as_rotvec(), translation, eyes, neck.inv().as_rotvec(), pose.joints[JAW])
    return tuple(np.asarray(part, np.float32) for part in parts)
