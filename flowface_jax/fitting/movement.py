"""Movement columns: what may change from frame to frame, whether it belongs to the frame or is shared by all.

Columns stand basis first and points last, [x,3,P]: products with the information of points then run along memory.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.border import offset_columns
from flowface_jax.fitting.collapse import CAMERA_COLUMNS, Collapsed
from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases, corners_to_points, pose, pose_columns
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class MovementTerms:
    """A chunk of frames' alignment term by movement [x], identity [S], offsets [3M] and all cameras' unknowns [7C].

    movement [c,x,x], with_identity [c,x,S], with_offsets [c,x,3M], with_cameras [c,x,7C], gradient [c,x]. The rest is
    summed over frames and holds only what does not follow from the points' summed information: identity [S,S],
    identity_gradient [S], identity_cameras [S,7C], identity_offsets [S,3M].
    """

    movement: jax.Array
    with_identity: jax.Array
    with_offsets: jax.Array
    with_cameras: jax.Array
    gradient: jax.Array
    identity: jax.Array
    identity_gradient: jax.Array
    identity_cameras: jax.Array
    identity_offsets: jax.Array


def add_terms(first: MovementTerms, second: MovementTerms) -> MovementTerms:
    """The terms of two sets of points together."""
    return jax.tree.map(jnp.add, first, second)


def movement_split(columns: Columns) -> tuple[np.ndarray, np.ndarray]:
    """Which movement columns belong to a frame's own block, and which to the border."""
    own, shared, at = [], [], 0
    frame, border = columns.frame_slices(), columns.shared_slices()
    for name in MOVEMENT:
        part = frame.get(name, border.get(name))
        if part is not None:
            size = part.stop - part.start
            (own if name in frame else shared).extend(range(at, at + size))
            at += size
    return np.asarray(own, np.int32), np.asarray(shared, np.int32)


def moving_joints(chart: Chart) -> tuple[int, ...]:
    """The joints that may be away from rest."""
    return chart.layout.active_joints if chart.layout.joint_pose != "fixed" else ()


def select_movement(expression: jax.Array, joints: jax.Array, posing: jax.Array, columns: Columns) -> jax.Array:
    """Columns [E,...], [3A,...] and [6,...] of the groups that move, one after the other: [x,...]."""
    present = {name for name, _ in (*columns.frame, *columns.shared)}
    parts = dict(zip(MOVEMENT, (expression, joints, posing[:3], posing[3:]), strict=True))
    chosen = [parts[name] for name in MOVEMENT if name in present]
    return jnp.concatenate(chosen) if chosen else posing[:0]


def identity_columns(identity: jax.Array, columns: Columns) -> jax.Array:
    """Identity's columns [S,...] if it moves, else none."""
    return identity if "identity" in columns.shared_slices() else identity[:0]


def weighted_by(information: jax.Array, basis: jax.Array) -> jax.Array:
    """Information [...,3,3,P] times columns [...,x,3,P]: plain arithmetic, the products being only three wide."""
    return sum(information[..., None, :, j, :] * basis[..., j, None, :] for j in range(3))


def still_terms(
    collapsed: Collapsed, local: jax.Array, rows: Parameters, bases: PointBases, columns: Columns
) -> MovementTerms:
    """The terms of the points that no joint moves: their expression and identity columns are the same in all frames."""
    frames, count = local.shape[0], local.shape[-1]
    moves = movement_columns(columns)
    expression = bases.expression if moves.expression else bases.expression[:0]
    identity = identity_columns(bases.identity, columns)
    constant = jnp.concatenate([expression, identity])
    constant = constant.reshape(len(constant), 3 * count)
    posing = jax.vmap(pose_columns)(local, rows.head_rotation)
    posing = posing if moves.pose else posing[:, :0]
    e, s = len(expression), len(identity)
    information, gradient = collapsed.information * bases.still, collapsed.gradient * bases.still
    flat = weighted_by(information, expression).reshape(frames * e, 3 * count)
    weighted_posing = weighted_by(information, posing)
    by_expression = (flat @ constant.T).reshape(frames, e, e + s)
    poses = posing.shape[1]
    by_posing = weighted_posing.reshape(frames * poses, 3 * count) @ constant.T
    by_posing = by_posing.reshape(frames, poses, e + s)
    among_posing = jnp.einsum("txip,tyip->txy", weighted_posing, posing)
    cross = (collapsed.cross * bases.still).reshape(frames, CAMERA_COLUMNS * collapsed.cross.shape[1], 3 * count)
    pulling = gradient.reshape(frames, 3 * count)
    posing = posing.reshape(frames, poses, 3 * count)
    weighted = (flat.reshape(frames, e, 3, count), weighted_posing)
    arranged = moves.arrange
    return MovementTerms(
        movement=moves.arrange_square(by_expression[..., :e], by_posing[..., :e], among_posing),
        with_identity=arranged(by_expression[..., e:], by_posing[..., e:]),
        with_offsets=arranged(*(offset_columns(part, bases.offset_points, bases.offset_weights) for part in weighted)),
        with_cameras=arranged(
            jnp.einsum("xn,tan->txa", constant[:e], cross), jnp.einsum("txn,tan->txa", posing, cross)
        ),
        gradient=arranged(pulling @ constant[:e].T, jnp.einsum("txn,tn->tx", posing, pulling)),
        identity=jnp.zeros((s, s), local.dtype),
        identity_gradient=jnp.zeros((s,), local.dtype),
        identity_cameras=jnp.zeros((s, cross.shape[1]), local.dtype),
        identity_offsets=jnp.zeros((s, 3 * len(bases.offset_points)), local.dtype),
    )


def moved_terms(
    collapsed: Collapsed, local: jax.Array, rows: Parameters, bases: PointBases, chart: Chart, columns: Columns
) -> MovementTerms:
    """The terms of the points that joints move: all their columns change from frame to frame."""
    active = moving_joints(chart)

    def one_frame(collapsed: Collapsed, local: jax.Array, row: Parameters) -> MovementTerms:
        posed = pose(bases.moved_head, row.identity, row.expression, row.joint_rotations, active)
        posed = corners_to_points(posed, bases.moved_barycentric)
        posing = pose_columns(local[:, bases.moved], row.head_rotation)
        movement = select_movement(posed.expression, posed.joints, posing, columns)
        identity = identity_columns(posed.identity, columns)
        information, pull = collapsed.information[..., bases.moved], collapsed.gradient[:, bases.moved]
        cross = collapsed.cross[..., bases.moved]
        cross = cross.reshape(cross.shape[0] * CAMERA_COLUMNS, *cross.shape[2:])
        weighted, weighted_identity = weighted_by(information, movement), weighted_by(information, identity)
        to_offsets = lambda part: offset_columns(part, bases.moved_offset_points, bases.moved_offset_weights)
        product = lambda first, second: jnp.einsum("xip,yip->xy", first, second)
        return MovementTerms(
            movement=product(weighted, movement),
            with_identity=product(weighted, identity),
            with_offsets=to_offsets(weighted),
            with_cameras=product(movement, cross),
            gradient=jnp.einsum("xip,ip->x", movement, pull),
            identity=product(weighted_identity, identity),
            identity_gradient=jnp.einsum("xip,ip->x", identity, pull),
            identity_cameras=product(identity, cross),
            identity_offsets=to_offsets(weighted_identity),
        )

    axes = Parameters(None, 0, 0, 0, 0, None, None, None, None)
    terms = jax.vmap(one_frame, in_axes=(0, 0, axes))(collapsed, local, rows)
    summed = ("identity", "identity_gradient", "identity_cameras", "identity_offsets")
    return dataclasses.replace(terms, **{name: getattr(terms, name).sum(0) for name in summed})


@dataclasses.dataclass(frozen=True)
class MovementColumns:
    """Which movement columns are there: expression (count or 0), joints (count or 0), pose (6 or 0)."""

    expression: int
    joints: int
    pose: int

    def arrange(self, by_expression: jax.Array, by_pose: jax.Array) -> jax.Array:
        """Rows [c,E,...] and [c,6,...] in the order of the movement columns, zeros for the joints: [c,x,...]."""
        none = jnp.zeros((len(by_pose), self.joints, *by_pose.shape[2:]), by_pose.dtype)
        return jnp.concatenate([by_expression, none, by_pose], axis=1)

    def arrange_square(self, expression: jax.Array, mixed: jax.Array, pose: jax.Array) -> jax.Array:
        """Symmetric blocks [c,E,E], [c,6,E] and [c,6,6] in the order of the movement columns: [c,x,x]."""
        return self.arrange_blocks(expression, jnp.swapaxes(mixed, 1, 2), mixed, pose)

    def arrange_blocks(self, expression: jax.Array, right: jax.Array, below: jax.Array, pose: jax.Array) -> jax.Array:
        """Blocks [c,E,E], [c,E,6], [c,6,E] and [c,6,6] in the order of the movement columns: [c,x,x]."""
        upper = self.arrange(expression, below)
        lower = self.arrange(right, pose)
        none = jnp.zeros((*upper.shape[:2], self.joints), upper.dtype)
        return jnp.concatenate([upper, none, lower], axis=2)


def movement_columns(columns: Columns) -> MovementColumns:
    """The sizes of the movement groups that are not fixed."""
    slices = columns.shared_slices() | columns.frame_slices()
    size = lambda name: slices[name].stop - slices[name].start if name in slices else 0
    return MovementColumns(
        expression=size("expression"),
        joints=size("joint_rotations"),
        pose=size("head_rotation") + size("head_translation"),
    )
