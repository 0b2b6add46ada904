"""How the left eyelids move along the eyeball, by a share of the opening, and how the eyeball turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flowface_jax.heads.generic import anatomy
from flowface_jax.heads.generic.fields import HeadFields, eye_offsets, lid_margin_angles, smooth_step

Array = NDArray[np.float64]

_MEETING = 0.22
"""Where closed lids meet: share of the opening above the lower margin."""

_UPPER_REACH, _LOWER_REACH = np.radians(78.0), np.radians(-72.0)
_LIFT = 1.0
"""Extra distance (mm) from the eyeball of closed lids: a straight path from open to closed cuts into the ball."""


def lid_motion(fields: HeadFields, upper: float, lower: float) -> Array:
    """Displacement [V,3] mm of the left lids, each moved by a share of its way to where they meet (1 = closed)."""
    offset = eye_offsets(fields)
    elevation = np.arctan2(offset[:, 1], offset[:, 2])
    top, bottom = lid_margin_angles(offset[:, 0])
    meeting = bottom + _MEETING * (top - bottom)
    above = elevation > 0.5 * (top + bottom)
    above_share = 1.0 - smooth_step((elevation - top) / (_UPPER_REACH - top), 0.02, 1.0)
    below_share = 1.0 - smooth_step((bottom - elevation) / (bottom - _LOWER_REACH), 0.02, 1.0)
    turn = np.where(above, above_share * upper * (meeting - top), below_share * lower * (meeting - bottom))
    distance = np.linalg.norm(offset, axis=1)
    reach = fields.soft * (1.0 - smooth_step(distance, 19.0, 27.0)) * (offset[:, 2] > -2.0)
    turn = turn * reach
    closing = np.where(above, upper * above_share, lower * below_share) * reach * (top - bottom) / np.max(top - bottom)
    cos, sin = np.cos(turn), np.sin(turn)
    moved = np.column_stack(
        [offset[:, 0], cos * offset[:, 1] + sin * offset[:, 2], cos * offset[:, 2] - sin * offset[:, 1]]
    )
    lift = _LIFT * np.clip(closing, 0.0, None)
    moved *= (1.0 + lift / np.maximum(distance, 1.0))[:, None]
    return moved - offset


def gaze(fields: HeadFields, yaw_degrees: float, pitch_degrees: float) -> Array:
    """Displacement [V,3] mm of the left eyeball turned about its centre: yaw to the subject's left, pitch upwards."""
    yaw, pitch = np.radians(yaw_degrees), np.radians(pitch_degrees)
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    result = np.zeros_like(fields.points)
    ball = fields.mesh.parts["eyeball"]
    offset = fields.points[ball] - np.asarray(anatomy.EYE_CENTRE)
    result[ball] = offset @ (about_y @ about_x).T - offset
    return result
