"""How uncertain every vertex is, from the covariance of what moves it.

The variance of a vertex is the trace of J Σ Jᵀ with J its derivative by everything that moves it, taken in the head's
frame: a trace does not change when the axes turn. Identity against identity, the same in all frames for vertices that
no joint moves, is worked out once; a frame then costs about 2 · 3V · m (m + S) operations for its m other columns.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import UNITS, Chart, Parameters
from flowface_jax.fitting.point_columns import moving_rows, pose, pose_columns
from flowface_jax.fitting.problem import FitProblem, leading
from flowface_jax.heads.model import HeadModel, restrict
from flowface_jax.pytrees import pytree_dataclass, static_field


@pytree_dataclass
class VertexGroup:
    """n vertices of a head: those that no joint moves, or those that one does.

    head: these vertices. shift [n,3] m: their offsets. ids [n]: their places in the full head. offset_rows [q],
    offset_slots [q]: which of them are offset unknowns, and which. joints: the active joints that move them, static.
    """

    head: HeadModel
    shift: jax.Array
    ids: jax.Array
    offset_rows: jax.Array
    offset_slots: jax.Array
    joints: tuple[int, ...] = static_field()


@pytree_dataclass
class Spread:
    """The covariance of what moves vertices: moving [m,m] (the movement groups, then log focal), moving_identity [m,S],
    identity [S,S], moving_offsets [m,3M], identity_offsets [S,3M], offsets [M] (traces of their 3 x 3 blocks).
    """

    moving: jax.Array
    moving_identity: jax.Array
    identity: jax.Array
    moving_offsets: jax.Array
    identity_offsets: jax.Array
    offsets: jax.Array


@dataclasses.dataclass(frozen=True)
class MovingGroups:
    """Which groups of a frame move vertices beside identity and offsets; static under jit.

    movement: of `MOVEMENT`, those that are not fixed, in order. joint_columns: 3A, of the A active joints. focals: how
    many log focals take the head along.
    """

    movement: tuple[str, ...]
    joint_columns: int
    focals: int


def moving_groups(columns: Columns, chart: Chart) -> MovingGroups:
    """The groups of `columns` that move vertices."""
    present = columns.frame_slices() | columns.shared_slices()
    size = lambda name: present[name].stop - present[name].start if name in present else 0
    moves = chart.layout.focal_moves_depth(chart.base.focal.shape[0])
    return MovingGroups(
        movement=tuple(name for name in MOVEMENT if name in present),
        joint_columns=size("joint_rotations"),
        focals=size("log_focal") if moves else 0,
    )


def moving_index(columns: Columns, groups: MovingGroups) -> np.ndarray:
    """Where the moving groups' unknowns [m] stand among a frame's d unknowns followed by the border's s."""
    frame, border = columns.frame_slices(), columns.shared_slices()
    parts = []
    for name in groups.movement:
        part, after = (frame[name], 0) if name in frame else (border[name], columns.frame_size)
        parts.append(np.arange(part.start, part.stop) + after)
    if groups.focals:
        part = border["log_focal"]
        parts.append(np.arange(part.start, part.stop) + columns.frame_size)
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def vertex_groups(head: HeadModel, parameters: Parameters, problem: FitProblem, chart: Chart) -> list[VertexGroup]:
    """All vertices of the full `head`, in one or two groups."""
    head = leading(head, parameters.identity.shape[0], parameters.expression.shape[1])
    active = chart.layout.active_joints if chart.layout.joint_pose != "fixed" else ()
    moved = moving_rows(head, active)
    shift = np.zeros((head.vertex_count, 3), np.asarray(parameters.offsets).dtype)
    shift[np.asarray(problem.vertex_ids)] = np.asarray(parameters.offsets)
    slot = np.full(head.vertex_count, -1)
    slot[np.asarray(problem.vertex_ids)[np.asarray(chart.offset_rows)]] = np.asarray(chart.offset_slots)
    groups = []
    for members, joints in ((~moved, ()), (moved, active)):
        ids = np.flatnonzero(members)
        if len(ids):
            slots = slot[ids]
            groups.append(
                VertexGroup(
                    head=restrict(head, jnp.asarray(ids)),
                    shift=jnp.asarray(shift[ids]),
                    ids=jnp.asarray(ids),
                    offset_rows=jnp.asarray(np.flatnonzero(slots >= 0)),
                    offset_slots=jnp.asarray(slots[slots >= 0]),
                    joints=joints,
                )
            )
    return groups


def identity_variance(group: VertexGroup, spread: Spread) -> jax.Array:
    """Variance [n] m² of the neutral head's vertices: identity and offsets alone."""
    return _from_identity(group, spread, group.head.identity_basis.T)


def frame_variance(
    group: VertexGroup,
    groups: MovingGroups,
    spread: Spread,
    neutral: jax.Array,
    identity: jax.Array,
    expression: jax.Array,
    joint_rotations: jax.Array,
    head_rotation: jax.Array,
    zoom: jax.Array,
) -> jax.Array:
    """Variance [n] m² of the group's vertices in the world, in one frame.

    neutral [n]: `identity_variance`. identity [S], expression [E], joint_rotations [K,3], head_rotation [3,3]: the
    frame's. zoom [3,focals] m: how the head moves in the world with log focal.
    """
    posed = pose(group.head, identity, expression, joint_rotations, group.joints)
    posing = pose_columns(posed.points + group.shift.T, head_rotation)
    # Of vertices that no joint moves these are as many zeros.
    joints = posed.joints if group.joints else jnp.zeros((groups.joint_columns, *posing.shape[1:]), posing.dtype)
    parts = dict(zip(MOVEMENT, (posed.expression, joints, posing[:3], posing[3:]), strict=True))
    zooming = jnp.broadcast_to((head_rotation.T @ zoom).T[:, :, None], (groups.focals, *posing.shape[1:]))
    moving = jnp.concatenate([*(parts[name] for name in groups.movement), zooming])
    shape = posed.identity[: spread.identity.shape[0]]
    flat = moving.reshape(len(moving), 3 * len(group.ids))
    pulled = spread.moving @ flat + 2.0 * (spread.moving_identity @ shape.reshape(len(shape), 3 * len(group.ids)))
    variance = jnp.sum((flat * pulled).reshape(moving.shape), axis=(0, 1))
    rows, slots = group.offset_rows, group.offset_slots
    met = spread.moving_offsets.reshape(len(moving), len(spread.offsets), 3)[:, slots]
    crossing = 2.0 * UNITS["offsets"] * jnp.einsum("xiq,xqi->q", moving[:, :, rows], met)
    alone = _from_identity(group, spread, posed.identity) if group.joints else neutral
    return jnp.maximum((variance + alone).at[rows].add(crossing), 0.0)


def _from_identity(group: VertexGroup, spread: Spread, columns: jax.Array) -> jax.Array:
    """Variance [n] m² by identity, with its columns [S,3,n], and by offsets."""
    size = spread.identity.shape[0]
    columns = columns[:size]
    flat = columns.reshape(size, 3 * len(group.ids))
    variance = jnp.sum((flat * (spread.identity @ flat)).reshape(columns.shape), axis=(0, 1))
    rows, slots, unit = group.offset_rows, group.offset_slots, UNITS["offsets"]
    met = spread.identity_offsets.reshape(size, len(spread.offsets), 3)[:, slots]
    crossing = 2.0 * unit * jnp.einsum("xiq,xqi->q", columns[:, :, rows], met)
    return variance.at[rows].add(crossing + unit**2 * spread.offsets[slots])
