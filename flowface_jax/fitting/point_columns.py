"""How points of the head move with identity, expression, joints and pose: the head model's side of the Jacobian."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np

from flowface_jax.fitting.columns import MOVEMENT, Columns
from flowface_jax.fitting.parameters import UNITS, Chart
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.heads.model import HeadModel, restrict, skin, vertices
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class PointBases:
    """The head model at P observed points and M temporal vertices; columns stand basis first, points last.

    identity [S,3,P] and expression [E,3,P]: the rest pose's basis, constant for points that no active joint moves.
    still [P]: 1 for those, 0 for the `moved` points [m], whose columns change with the joints. moved_head: the k·m
    corners of those points, moved_barycentric [k,m].
    offset_points [M,q], offset_weights [M,q]: the observed points that each offset moves, and how much; moved_offset_*
    the same among the moved points; pair_slots [2,n], pair_points [n], pair_weights [n]: which two offsets meet in
    which point.
    temporal_head: the vertices of the temporal term. temporal_basis [E+S,3,r]: expression and identity columns at those
    of them, temporal_rigid [r], that nothing but these and the pose moves; temporal_moments [3,3,E+S,E+S], their
    products summed over these vertices. temporal_others: the remaining ones, as a head of their own, at
    temporal_other_rows. rigid_offset_rows [n], rigid_offset_slots [n], other_offset_*: which of either are offset.
    """

    identity: jax.Array
    expression: jax.Array
    still: jax.Array
    moved: jax.Array
    moved_head: HeadModel
    moved_barycentric: jax.Array
    offset_points: jax.Array
    offset_weights: jax.Array
    moved_offset_points: jax.Array
    moved_offset_weights: jax.Array
    pair_slots: jax.Array
    pair_points: jax.Array
    pair_weights: jax.Array
    temporal_head: HeadModel
    temporal_basis: jax.Array
    temporal_rigid: jax.Array
    temporal_moments: jax.Array
    temporal_others: HeadModel
    temporal_other_rows: jax.Array
    rigid_offset_rows: jax.Array
    rigid_offset_slots: jax.Array
    other_offset_rows: jax.Array
    other_offset_slots: jax.Array


def point_bases(problem: FitProblem, chart: Chart, columns: Columns) -> PointBases:
    """Gather, once per fit and on the host, what the linearisation needs of the head."""
    head = problem.head
    corners, count = problem.barycentric.shape
    observed = corners * count
    barycentric = np.asarray(problem.barycentric)
    moving = moving_rows(head, chart.layout.active_joints if chart.layout.joint_pose != "fixed" else ())
    moves = moving[:observed].reshape(corners, count).any(0)
    moved = np.flatnonzero(moves)
    return PointBases(
        identity=_at_points(head.identity_basis, barycentric),
        expression=_at_points(head.expression_basis, barycentric),
        still=jnp.asarray(~moves, problem.point_weight.dtype),
        moved=jnp.asarray(moved),
        moved_head=restrict(head, jnp.asarray((np.arange(corners)[:, None] * count + moved).ravel())),
        moved_barycentric=jnp.asarray(barycentric[:, moved]),
        **_offset_fields(chart, barycentric, moves),
        **_temporal_fields(head, chart, columns, moving, observed),
    )


def _at_points(basis: jax.Array, barycentric: np.ndarray) -> jax.Array:
    """A basis on corner rows [k·P (+ more),3,n] at the points: [n,3,P]."""
    corners, count = barycentric.shape
    values = np.asarray(basis)[: corners * count].reshape(corners, count, 3, -1)
    if corners == 1:
        return jnp.asarray(np.ascontiguousarray(values[0].transpose(2, 1, 0)))
    return jnp.asarray(np.einsum("kp,kpin->nip", barycentric, values))


def _offset_fields(chart: Chart, barycentric: np.ndarray, moves: np.ndarray) -> dict[str, jax.Array]:
    """The offsets' part of the bases: from corner rows to the points that each offset moves."""
    corners, count = barycentric.shape
    rows, slots = np.asarray(chart.offset_rows), np.asarray(chart.offset_slots)
    seen = rows < corners * count
    points, slots = rows[seen] % max(count, 1), slots[seen]
    weights = barycentric.ravel()[rows[seen]]
    total = chart.layout.offset_count
    order = np.argsort(slots, kind="stable")
    place = np.zeros(len(slots), np.int64)
    place[order] = np.arange(len(slots)) - np.searchsorted(slots[order], slots[order])
    width = int(place.max(initial=0)) + 1
    by_slot, by_weight = np.zeros((total, width), np.int32), np.zeros((total, width), barycentric.dtype)
    by_slot[slots, place], by_weight[slots, place] = points, weights
    pairs = _pairs(points)
    moved_index = np.cumsum(moves) - 1
    return {
        "offset_points": jnp.asarray(by_slot),
        "offset_weights": jnp.asarray(by_weight),
        "moved_offset_points": jnp.asarray(np.maximum(moved_index[by_slot], 0) if count else by_slot),
        "moved_offset_weights": jnp.asarray(np.where(moves[by_slot], by_weight, 0) if count else by_weight),
        "pair_slots": jnp.asarray(slots[pairs]),
        "pair_points": jnp.asarray(points[pairs[0]]),
        "pair_weights": jnp.asarray(weights[pairs[0]] * weights[pairs[1]]),
    }


def _temporal_fields(
    head: HeadModel, chart: Chart, columns: Columns, moving: np.ndarray, observed: int
) -> dict[str, jax.Array | HeadModel]:
    """The temporal vertices, those that move rigidly but for the blend shapes apart from the others."""
    shared_movement = set(MOVEMENT) & set(columns.shared_slices())
    others = np.ones_like(moving[observed:]) if shared_movement else moving[observed:]
    rigid, others = np.flatnonzero(~others), np.flatnonzero(others)
    bases = [np.asarray(basis)[observed + rigid] for basis in (head.expression_basis, head.identity_basis)]
    kept = [basis if name in columns.frame_slices() | columns.shared_slices() else basis[..., :0]
            for basis, name in zip(bases, ("expression", "identity"), strict=True)]  # fmt: skip
    basis = np.concatenate(kept, axis=-1)
    rows, slots = np.asarray(chart.offset_rows), np.asarray(chart.offset_slots)
    later = rows >= observed
    place = {"rigid": rigid, "other": others}
    fields: dict[str, jax.Array | HeadModel] = {}
    for name, members in place.items():
        index = np.full(len(moving) - observed, -1)
        index[members] = np.arange(len(members))
        at = index[rows[later] - observed]
        fields[f"{name}_offset_rows"] = jnp.asarray(at[at >= 0])
        fields[f"{name}_offset_slots"] = jnp.asarray(slots[later][at >= 0])
    by_coordinate = basis.transpose(1, 2, 0).astype(np.float64)
    moments = np.einsum("ixv,jyv->ijxy", by_coordinate, by_coordinate, optimize=True)
    return fields | {
        "temporal_head": restrict(head, jnp.arange(observed, head.vertex_count)),
        "temporal_basis": jnp.asarray(np.ascontiguousarray(basis.transpose(2, 1, 0))),
        "temporal_rigid": jnp.asarray(rigid),
        "temporal_moments": jnp.asarray(moments, basis.dtype),
        "temporal_others": restrict(head, jnp.asarray(observed + others)),
        "temporal_other_rows": jnp.asarray(others),
    }


def _pairs(points: np.ndarray) -> np.ndarray:
    """All ordered pairs [2,q] of entries of `points` [r] that are equal."""
    order = np.argsort(points, kind="stable")
    _, starts, counts = np.unique(points[order], return_index=True, return_counts=True)
    groups = [order[a : a + n] for a, n in zip(starts, counts, strict=True)]
    pairs = [np.stack(np.meshgrid(group, group, indexing="ij")).reshape(2, -1) for group in groups]
    return np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)


def moving_rows(head: HeadModel, active_joints: tuple[int, ...]) -> np.ndarray:
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
    """Head vertices of one frame and their derivatives in the head's frame: points [3,n], identity [S,3,n],
    expression [E,3,n], joints [3A,3,n] by the A active joints' axis-angle.
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
        return Posed(
            points.T, head.identity_basis.T, head.expression_basis.T, jnp.zeros((0, 3, len(points)), points.dtype)
        )
    chosen = jnp.asarray(active)

    def of(rotations: jax.Array) -> jax.Array:
        return vertices(head, identity, expression, joint_rotations.at[chosen].set(rotations))

    points = of(joint_rotations[chosen])
    turned = jax.jacfwd(of)(joint_rotations[chosen]).reshape(len(points), 3, -1)
    matrices = jaxlie.SO3.exp(joint_rotations).as_matrix()
    through = jax.vmap(lambda shape, joints: skin(head, shape, joints, matrices), in_axes=-1, out_axes=-1)
    return Posed(
        points=points.T,
        identity=through(head.identity_basis, head.joint_identity).T,
        expression=through(head.expression_basis, head.joint_expression).T,
        joints=UNITS["joint_rotations"] * turned.T,
    )


def corners_to_points(posed: Posed, barycentric: jax.Array) -> Posed:
    """Corner rows [k·n] mixed into points [n] with barycentric [k,n]."""
    corners, count = barycentric.shape

    def mixed(values: jax.Array) -> jax.Array:
        return jnp.sum(values.reshape(*values.shape[:-1], corners, count) * barycentric, axis=-2)

    return Posed(*(mixed(getattr(posed, field.name)) for field in dataclasses.fields(posed)))


def pose_columns(local: jax.Array, head_rotation: jax.Array) -> jax.Array:
    """Derivatives [6,3,n] in the head's frame of points [3,n] by the head's rotation (in the world) and translation."""
    x, y, z = local
    zero = jnp.zeros_like(x)
    body = jnp.stack([jnp.stack([zero, -z, y]), jnp.stack([z, zero, -x]), jnp.stack([-y, x, zero])])
    turning = sum(head_rotation[:, b, None, None] * body[b] for b in range(3))
    shifting = UNITS["head_translation"] * head_rotation[:, :, None]
    return jnp.concatenate([turning, jnp.broadcast_to(shifting, turning.shape)])
