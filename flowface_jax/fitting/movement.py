"""Movement columns: what may change from frame to frame, whether it belongs to the frame or is shared by all."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import Chart


def movement_split(columns: Columns) -> tuple[list[int], list[int]]:
    """Which of a frame's movement columns (see `Movement`) belong to its own block, and which to the border."""
    own, shared, at = [], [], 0
    frame, border = dict(columns.frame), dict(columns.shared)
    for name in MOVEMENT:
        if name in frame or name in border:
            slices = columns.frame_slices() if name in frame else columns.shared_slices()
            size = slices[name].stop - slices[name].start
            (own if name in frame else shared).extend(range(at, at + size))
            at += size
    return own, shared


def select_movement(expression: jax.Array, joints: jax.Array, pose_part: jax.Array, columns: Columns) -> jax.Array:
    """Columns [3,n,E], [3,n,3A], [3,n,6] of the groups that move, side by side: [3,n,x]."""
    present = {name for name, _ in (*columns.frame, *columns.shared)}
    parts = {
        "expression": expression,
        "joint_rotations": joints,
        "head_rotation": pose_part[..., :3],
        "head_translation": pose_part[..., 3:],
    }
    chosen = [parts[name] for name in MOVEMENT if name in present]
    return jnp.concatenate(chosen, axis=-1) if chosen else jnp.zeros((*pose_part.shape[:2], 0), pose_part.dtype)


def moving_joints(chart: Chart) -> tuple[int, ...]:
    """The joints that may be away from rest."""
    return chart.layout.active_joints if chart.layout.joint_pose != "fixed" else ()
