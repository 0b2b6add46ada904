"""How points of the head move with identity, expression, joints and pose: the head model's side of the Jacobian."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np

from flowface_jax.fitting.parameters import UNITS, Chart
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.heads.model import HeadModel, restrict, skin, vertices
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class PointBases:
    """The head model at P observed points and M temporal vertices, coordinates first.

    identity [3,P,S] and expression [3,P,E]: the rest pose's basis, constant for points that no active joint moves.
    still [P]: 1 for those, 0 for the `moved` points [n], whose columns change with the joints. moved_head: the k·n
    corners of those points, moved_barycentric [k,n]. temporal_head: the vertices of the temporal term.
    offset_points [r], offset_weights [r], offset_slots [r]: which observed point moves how much with which offset;
    offset_pairs [2,q]: pairs of these that belong to the same point, both orders and with themselves.
    offset_temporal [q], temporal_slots [q]: the same for temporal vertices.
    """

    identity: jax.Array
    expression: jax.Array
    still: jax.Array
    moved: jax.Array
    moved_head: HeadModel
    moved_barycentric: jax.Array
    temporal_head: HeadModel
    offset_points: jax.Array
    offset_weights: jax.Array
    offset_slots: jax.Array
    offset_pairs: jax.Array
    offset_temporal: jax.Array
    temporal_slots: jax.Array


def point_bases(problem: FitProblem, chart: Chart) -> PointBases:
    """Gather, once per fit and on the host, what the linearisation needs of the head."""
    head = problem.head
    corners, count = problem.barycentric.shape
    barycentric = np.asarray(problem.barycentric)
    moves = _moving_rows(head, chart.layout.active_joints)[: corners * count].reshape(corners, count).any(0)
    moved = np.flatnonzero(moves)
    rows = np.asarray(chart.offset_rows)
    slots = np.asarray(chart.offset_slots)
    at_points = rows < corners * count

    def at(basis: jax.Array) -> jax.Array:
        values = np.asarray(basis)[: corners * count].reshape(corners, count, 3, -1)
        if corners == 1:
            return jnp.asarray(np.moveaxis(values[0], 0, 1))
        return jnp.asarray(np.einsum("kp,kpis->ips", barycentric, values))

    return PointBases(
        identity=at(head.identity_basis),
        expression=at(head.expression_basis),
        still=jnp.asarray(~moves, problem.point_weight.dtype),
        moved=jnp.asarray(moved),
        moved_head=restrict(head, jnp.asarray((np.arange(corners)[:, None] * count + moved).ravel())),
        moved_barycentric=jnp.asarray(barycentric[:, moved]),
        temporal_head=restrict(head, jnp.arange(corners * count, head.vertex_count)),
        offset_points=jnp.asarray(rows[at_points] % max(count, 1)),
        offset_weights=jnp.asarray(barycentric.ravel()[rows[at_points]]),
        offset_slots=jnp.asarray(slots[at_points]),
        offset_pairs=jnp.asarray(_pairs(rows[at_points] % max(count, 1))),
        offset_temporal=jnp.asarray(rows[~at_points] - corners * count),
        temporal_slots=jnp.asarray(slots[~at_points]),
    )


def _pairs(points: np.ndarray) -> np.ndarray:
    """All ordered pairs [2,q] of entries of `points` [r] that are equal."""
    order = np.argsort(points, kind="stable")
    _, starts, counts = np.unique(points[order], return_index=True, return_counts=True)
    groups = [order[a : a + n] for a, n in zip(starts, counts, strict=True)]
    pairs = [np.stack(np.meshgrid(group, group, indexing="ij")).reshape(2, -1) for group in groups]
    return np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)


def _moving_rows(head: HeadModel, active_joints: tuple[int, ...]) -> np.ndarray:
    """Which rows of the head move with an active joint or one that hangs from it, or with its pose correctives."""
    turns = set(active_joints)
    for joint, parent in enumerate(head.joint_parents):
        if parent in turns:
            turns.add(joint)
    weights = np.asarray(head.skinning_weights)
    moves = (weights[:, sorted(turns)] > 0).any(1) if turns else np.zeros(len(weights), bool)
    if turns and head.pose_correctives.shape[-1]:
        correctives = np.asarray(head.pose_correctives).reshape(len(weights), 3, -1, 9)
        moves |= (correctives[:, :, sorted(turns)] != 0).any((1, 2, 3))
    return moves


@pytree_dataclass
class Posed:
    """Head vertices of one frame and their derivatives in the head's frame: points [3,n], identity [3,n,S],
    expression [3,n,E], joints [3,n,3A] by the A active joints' axis-angle.
    """

    points: jax.Array
    identity: jax.Array
    expression: jax.Array
    joints: jax.Array


def pose(
    head: HeadModel, identity: jax.Array, expression: jax.Array, joint_rotations: jax.Array, active: tuple[int, ...]
) -> Posed:
    """The vertices of `head` for identity [S], expression [E] and joint_rotations [K,3], without offsets.

    The blend shapes' columns go through the same skinning as the vertices, in which they are linear.
    """
    if not active:
        points = vertices(head, identity, expression)
        bases = [jnp.moveaxis(basis, 1, 0) for basis in (head.identity_basis, head.expression_basis)]
        return Posed(points.T, *bases, jnp.zeros((3, len(points), 0), points.dtype))
    chosen = jnp.asarray(active)

    def of(rotations: jax.Array) -> jax.Array:
        return vertices(head, identity, expression, joint_rotations.at[chosen].set(rotations))

    points = of(joint_rotations[chosen])
    turned = jax.jacfwd(of)(joint_rotations[chosen]).reshape(len(points), 3, -1)
    matrices = jaxlie.SO3.exp(joint_rotations).as_matrix()
    through = jax.vmap(lambda shape, joints: skin(head, shape, joints, matrices), in_axes=-1, out_axes=-1)
    return Posed(
        points=points.T,
        identity=jnp.moveaxis(through(head.identity_basis, head.joint_identity), 1, 0),
        expression=jnp.moveaxis(through(head.expression_basis, head.joint_expression), 1, 0),
        joints=UNITS["joint_rotations"] * jnp.moveaxis(turned, 1, 0),
    )


def corners_to_points(posed: Posed, barycentric: jax.Array) -> Posed:
    """Corner rows [k·n] mixed into points [n] with barycentric [k,n]."""
    corners, count = barycentric.shape

    def mixed(values: jax.Array) -> jax.Array:
        shares = barycentric.reshape(corners, count, *(1,) * (values.ndim - 2))
        return jnp.sum(values.reshape(3, corners, count, *values.shape[2:]) * shares, axis=1)

    return Posed(*(mixed(getattr(posed, field.name)) for field in dataclasses.fields(posed)))


def pose_columns(local: jax.Array, head_rotation: jax.Array) -> jax.Array:
    """Derivatives [3,n,6] in the head's frame of points [3,n] by the head's rotation (in the world) and translation."""
    x, y, z = local
    zero = jnp.zeros_like(x)
    body = jnp.stack([jnp.stack([zero, z, -y], -1), jnp.stack([-z, zero, x], -1), jnp.stack([y, -x, zero], -1)])
    turning = jnp.einsum("ipb,ab->ipa", body, head_rotation)
    shifting = UNITS["head_translation"] * head_rotation.T[:, None, :]
    return jnp.concatenate([turning, jnp.broadcast_to(shifting, turning.shape)], axis=-1)
