"""The acceleration term of one chunk of frames, once for vertices that move rigidly but for the blend shapes, once for
all others.

With D the second difference over frames (at their own times, where they are uneven), E_temp = λ Σ ‖D x‖², so a frame's
block with the frame k later is (DᵀD)(t, t+k) · X(t)ᵀ X(t+k), where X(t) are the vertices' derivatives in the world. For
a rigid vertex X(t) = R(t) Z with Z constant: X(t)ᵀ X(t+k) is nine numbers of R(t)ᵀ R(t+k) times moments of Z that are
summed over vertices once.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import Columns
from flowface_jax.fitting.movement import (
    identity_columns,
    movement_columns,
    movement_split,
    moving_joints,
    select_movement,
)
from flowface_jax.fitting.parameters import UNITS, Chart
from flowface_jax.fitting.point_columns import PointBases, pose, pose_columns
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class Motion:
    """The temporal vertices of a chunk's c frames and of two more on either side, n = c + 4.

    local and world [n,3,M] m, rotation [n,3,3] of the head, identity [S], expression [n,E], joint_rotations [n,K,3],
    stencil [n,3]: factors of the frames before, at and after each in its acceleration, zero where none is counted.
    """

    local: jax.Array
    world: jax.Array
    rotation: jax.Array
    identity: jax.Array
    expression: jax.Array
    joint_rotations: jax.Array
    stencil: jax.Array

    def accelerations(self, values: jax.Array) -> jax.Array:
        """Second differences of values [n,...] about frames 1 … n−2, zero where none is counted: [c+2,...]."""
        before, centre, after = self._factors(slice(1, -1), values.ndim)
        return before * values[:-2] + centre * values[1:-1] + after * values[2:]

    def felt(self, changes: jax.Array) -> jax.Array:
        """What the chunk's frames feel of accelerations [c+2,...]: the second difference's transpose, [c,...]."""
        before, centre, after = (
            self._factors(rows, changes.ndim)[which]
            for which, rows in ((0, slice(3, -1)), (1, slice(2, -2)), (2, slice(1, -3)))
        )
        return after * changes[:-2] + centre * changes[1:-1] + before * changes[2:]

    def couplings(self) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Entries of DᵀD between each of the c frames and itself, the next, and the one after: [c] each."""
        earlier, own, later = self.stencil[1:-3], self.stencil[2:-2], self.stencil[3:-1]
        itself = earlier[:, 2] ** 2 + own[:, 1] ** 2 + later[:, 0] ** 2
        return itself, own[:, 1] * own[:, 2] + later[:, 0] * later[:, 1], later[:, 0] * later[:, 2]

    def _factors(self, rows: slice, dimensions: int) -> jax.Array:
        """The three factors of some frames, to multiply values [m,...] of so many axes with: [3,m,...]."""
        return self.stencil[rows].T.reshape(3, -1, *(1,) * (dimensions - 1))


@pytree_dataclass
class TemporalTerms:
    """diagonal, following, second [c,d,d]; border [c,d,s]; gradient_rows [c,d]; shared [s,s]; gradient_shared [s]."""

    diagonal: jax.Array
    following: jax.Array
    second: jax.Array
    border: jax.Array
    gradient_rows: jax.Array
    shared: jax.Array
    gradient_shared: jax.Array


def rigid_terms(motion: Motion, bases: PointBases, chart: Chart, columns: Columns) -> TemporalTerms:
    """The terms of `bases.temporal_rigid`; nothing of their movement is shared by all frames."""
    moves = movement_columns(columns)
    e, n = moves.expression, motion.local.shape[0]
    own_frames = slice(2, n - 2)
    basis, moments = bases.temporal_basis, bases.temporal_moments
    expression, identity = basis[:e], basis[e:]
    local, world = motion.local[..., bases.temporal_rigid], motion.world[..., bases.temporal_rigid]
    posing = jax.vmap(pose_columns)(local, motion.rotation)
    posing = posing if moves.pose else posing[:, :0]
    rotation, own_posing = motion.rotation[own_frames], posing[own_frames]
    couplings = motion.couplings()

    def with_later(gap: int) -> jax.Array:
        later = slice(2 + gap, n - 2 + gap)
        turn = couplings[gap][:, None, None] * jnp.einsum("tki,tkj->tij", rotation, motion.rotation[later])
        turned = turn[:, None] @ posing[later]
        turned_back = jnp.swapaxes(turn, 1, 2)[:, None] @ own_posing
        return moves.arrange_blocks(
            jnp.einsum("tij,ijxy->txy", turn, moments[:, :, :e, :e]),
            jnp.einsum("xiv,tyiv->txy", expression, turned),
            jnp.einsum("txiv,yiv->txy", turned_back, expression),
            jnp.einsum("txiv,tyiv->txy", own_posing, turned),
        )

    changes, turning = motion.accelerations(world), motion.accelerations(motion.rotation)
    pull = jnp.einsum("tki,tkv->tiv", rotation, motion.felt(changes))
    against = jnp.einsum("tki,tkj->tij", rotation, motion.felt(turning))
    posing_against = jnp.swapaxes(against, 1, 2)[:, None] @ own_posing
    rows, unit = bases.rigid_offset_rows, UNITS["offsets"]
    expression_offsets = unit * jnp.einsum("xir,tij->txrj", expression[..., rows], against)
    posing_offsets = unit * jnp.einsum("txir,tij->txrj", own_posing[..., rows], against)
    to_slots = lambda part: _by_slot(part, bases.rigid_offset_slots, chart)
    border = [
        moves.arrange(
            jnp.einsum("tij,ijxs->txs", against, moments[:, :, :e, e:]),
            jnp.einsum("txiv,siv->txs", posing_against, identity),
        ),
        moves.arrange(to_slots(expression_offsets), to_slots(posing_offsets)),
    ]
    # The chunk's own centres; the two beside them only reach into it.
    inner = turning[1:-1]
    bend = jnp.einsum("tki,tkj->ij", inner, inner)
    dragged = jnp.einsum("tki,tkv->iv", inner, changes[1:-1])
    shared = jnp.einsum("ij,ijxy->xy", bend, moments[:, :, e:, e:])
    mixed = to_slots(unit * jnp.einsum("xir,ij->xrj", identity[..., rows], bend))
    among = jnp.broadcast_to(unit**2 * bend, (len(rows), 3, 3))
    pulls = [jnp.einsum("xiv,iv->x", identity, dragged), to_slots(unit * dragged[:, rows].T)]
    return TemporalTerms(
        diagonal=with_later(0),
        following=with_later(1),
        second=with_later(2),
        border=_widened(jnp.concatenate(border, axis=2), columns),
        gradient_rows=moves.arrange(
            jnp.einsum("xiv,tiv->tx", expression, pull), jnp.einsum("txiv,tiv->tx", own_posing, pull)
        ),
        shared=_border_block(shared, mixed, among, bases.rigid_offset_slots, chart, columns),
        gradient_shared=_widened(jnp.concatenate(pulls), columns),
    )


def free_terms(motion: Motion, bases: PointBases, chart: Chart, columns: Columns) -> TemporalTerms:
    """The terms of `bases.temporal_others`, whose every column changes from frame to frame."""
    active = moving_joints(chart)
    own_columns, together = movement_split(columns)
    n = motion.local.shape[0]

    def one_frame(
        local: jax.Array, rotation: jax.Array, expression: jax.Array, joints: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        posed = pose(bases.temporal_others, motion.identity, expression, joints, active)
        movement = select_movement(posed.expression, posed.joints, pose_columns(local, rotation), columns)
        identity = identity_columns(posed.identity, columns)
        return rotation @ movement[own_columns], rotation @ jnp.concatenate([identity, movement[together]])

    where = bases.temporal_other_rows
    own_all, dense = jax.vmap(one_frame)(
        motion.local[..., where], motion.rotation, motion.expression, motion.joint_rotations
    )
    own, couplings = own_all[2 : n - 2], motion.couplings()
    changes = motion.accelerations(motion.world[..., where])
    dense, turning = motion.accelerations(dense), motion.accelerations(motion.rotation)

    def with_later(gap: int) -> jax.Array:
        product = jnp.einsum("txiv,tyiv->txy", own, own_all[2 + gap : n - 2 + gap])
        return couplings[gap][:, None, None] * product

    rows, unit = bases.other_offset_rows, UNITS["offsets"]
    to_slots = lambda part: _by_slot(part, bases.other_offset_slots, chart)
    border = [
        jnp.einsum("txiv,tsiv->txs", own, motion.felt(dense)),
        to_slots(unit * jnp.einsum("txir,tij->txrj", own[..., rows], motion.felt(turning))),
    ]
    inner_changes, inner_dense, inner = changes[1:-1], dense[1:-1], turning[1:-1]
    among = unit**2 * jnp.einsum("tki,tkj->ij", inner, inner)
    pulls = [
        jnp.einsum("tiv,txiv->x", inner_changes, inner_dense),
        to_slots(unit * jnp.einsum("tir,tij->rj", inner_changes[..., rows], inner)),
    ]
    return TemporalTerms(
        diagonal=with_later(0),
        following=with_later(1),
        second=with_later(2),
        border=_widened(jnp.concatenate(border, axis=2), columns),
        gradient_rows=jnp.einsum("txiv,tiv->tx", own, motion.felt(changes)),
        shared=_border_block(
            jnp.einsum("txiv,tyiv->xy", inner_dense, inner_dense),
            to_slots(unit * jnp.einsum("txir,tij->xrj", inner_dense[..., rows], inner)),
            jnp.broadcast_to(among, (len(rows), 3, 3)),
            bases.other_offset_slots,
            chart,
            columns,
        ),
        gradient_shared=_widened(jnp.concatenate(pulls), columns),
    )


def _by_slot(values: jax.Array, slots: jax.Array, chart: Chart) -> jax.Array:
    """Values of offset vertices [...,r,3] at their offsets [...,3M]."""
    count, lead = chart.layout.offset_count, values.shape[:-2]
    if not count:
        return jnp.zeros((*lead, 0), values.dtype)
    return jnp.zeros((*lead, count, 3), values.dtype).at[..., slots, :].add(values).reshape(*lead, 3 * count)


def _border_block(
    dense: jax.Array, mixed: jax.Array, among: jax.Array, slots: jax.Array, chart: Chart, columns: Columns
) -> jax.Array:
    """Border curvature [s,s] of dense columns [b,b], with the offsets [b,3M], and offsets' own blocks [r,3,3]."""
    count = chart.layout.offset_count
    offsets = jnp.zeros((count, count, 3, 3), dense.dtype)
    offsets = offsets.at[slots, slots].add(among) if count else offsets
    offsets = offsets.transpose(0, 2, 1, 3).reshape(3 * count, 3 * count)
    block = jnp.block([[dense, mixed], [mixed.T, offsets]])
    empty = columns.shared_size - len(block)
    return jnp.pad(block, ((0, empty), (0, empty)))


def _widened(values: jax.Array, columns: Columns) -> jax.Array:
    """Zeros after the last axis for the border's cameras, which this term does not see."""
    return jnp.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, columns.shared_size - values.shape[-1])])
