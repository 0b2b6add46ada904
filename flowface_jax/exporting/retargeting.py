"""`retarget`: the same performance on another head model, fitted in space through the atlas that all heads share."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.surface_transfer import SurfaceTransfer, eyeball_of, surface_transfer
from flowface_jax.fitting.decoding import head_record
from flowface_jax.fitting.fit import expressions_turn_eyes
from flowface_jax.fitting.parameters import UNITS
from flowface_jax.fitting.point_columns import pose, pose_columns
from flowface_jax.fitting.track import Track
from flowface_jax.heads.binding import harmonic, neighbours
from flowface_jax.heads.model import FOCUS_WEIGHT, HeadModel, restrict, vertices
from flowface_jax.heads.registration import components, similarity
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.reporting import Reporter, SilentReporter

FRAMES_AT_ONCE = 16
MOST_POINTS = 4000
"""Points that a frame is fitted to; the neutral head is fitted to all."""
_IDENTITY_ROUNDS, _FRAME_ROUNDS = 8, 5
_BOUND_ROUNDS = 8
"""Rounds in which a step finds out which coefficients stay at their limits."""
_INDEPENDENT = 500.0
"""How many points a head counts for, whatever its mesh: neighbouring vertices differ alike."""
_NEAREST = 20
"""Known places whose offsets a part of the head takes over that hangs together with none."""
_UNSURE = 0.3
"""Confidence below which an offset is taken from the neighbours."""


@dataclasses.dataclass(frozen=True)
class RetargetSettings:
    """deviation_mm: how far two heads' surfaces may differ before priors give way, mm. elsewhere: weight of vertices
    beside face and ears. joint_std_rad: how far joints are expected to turn, rad. offsets: what the neutral head cannot
    reach becomes per-vertex offsets, so that the person's likeness stays.
    """

    deviation_mm: float = 0.5
    elsewhere: float = 0.05
    joint_std_rad: float = 0.3
    offsets: bool = True


@pytree_dataclass
class _Pose:
    """One head in space: identity [S], expression [E], joint_rotations [K,3], rotation [3,3], translation [3] m."""

    identity: jax.Array
    expression: jax.Array
    joint_rotations: jax.Array
    rotation: jax.Array
    translation: jax.Array


def retarget(
    performance: Performance,
    head: HeadModel,
    settings: RetargetSettings | None = None,
    reporter: Reporter | None = None,
) -> Performance:
    """The performance on another head model.

    The person's neutral head gives identity and offsets, every frame then its expression, joints and pose: least
    squares over corresponding surface points with the head's own priors and limits. Cameras, times, marks and
    residuals stay those of the track; its standard deviations, which were the other head's, are dropped. The record
    says what was done and how far the two surfaces lie apart ("retargeted"). Raises InputError where the heads have
    hardly a point in common.
    """
    settings, reporter = settings or RetargetSettings(), reporter or SilentReporter()
    track, source = performance.track, performance.head
    transfer = surface_transfer(source, head)
    small = restrict(head, jnp.asarray(transfer.vertex_ids))
    weight = jnp.asarray(_weights(head, transfer, settings), jnp.float32)
    neutral = transfer.of(np.asarray(track.neutral_vertices(source)))
    person = _fit_neutral(small, neutral, weight)
    offsets = np.zeros((head.vertex_count, 3), np.float32)
    if settings.offsets:
        offsets = _offsets(head, small, transfer, person, neutral)
    rows = np.unique(np.linspace(0, len(transfer.vertex_ids) - 1, MOST_POINTS).astype(int))
    transfer, small = transfer.thinned(rows), restrict(small, jnp.asarray(rows))
    weight = jnp.asarray(_weights(head, transfer, settings), jnp.float32)
    poses, apart = _fit_frames(performance, small, transfer, weight, person, offsets, settings, reporter)
    placed = _in_world(track, poses)
    about = _about(source, settings, 1e3 * apart[:, np.asarray(small.vertex_weights) >= FOCUS_WEIGHT])
    record = track.summary | {"head": head_record(head), "retargeted": about}
    moved = dataclasses.replace(
        track,
        identity=np.asarray(person.identity),
        expression=np.asarray(poses.expression),
        joint_rotations=np.asarray(poses.joint_rotations),
        head_rotation=placed[0],
        head_translation=placed[1],
        offsets=offsets,
        uncertainty=None,
        record=json.dumps(record, sort_keys=True),
    )
    return dataclasses.replace(performance, track=moved, head=head)


def _about(source: HeadModel, settings: RetargetSettings, apart_mm: np.ndarray) -> dict[str, Any]:
    """What the record says of it."""
    return {
        "from": head_record(source),
        "settings": dataclasses.asdict(settings),
        "median_mm": float(np.median(apart_mm)),
        "p90_mm": float(np.percentile(apart_mm, 90)),
        "over": "distance between the two heads' surfaces on face and ears, all frames; residuals are the source's",
    }


def _weights(head: HeadModel, transfer: SurfaceTransfer, settings: RetargetSettings) -> np.ndarray:
    """Of the squared distances [N], in 1/m²."""
    chosen = np.maximum(np.asarray(head.vertex_weights), settings.elsewhere)[transfer.vertex_ids]
    chosen = chosen * transfer.confidence
    return _INDEPENDENT * chosen / chosen.sum() / (1e-3 * settings.deviation_mm) ** 2


def _fit_neutral(small: HeadModel, goal: np.ndarray, weight: jax.Array) -> _Pose:
    """Identity and pose of the neutral head nearest to the points [N,3]."""
    template = np.asarray(small.template, np.float64)
    _, rotation, _ = similarity(template, goal, np.asarray(weight, np.float64))
    mean = np.average(goal, axis=0, weights=weight) - rotation @ np.average(template, axis=0, weights=weight)
    start = _Pose(
        jnp.zeros(small.identity_size),
        jnp.zeros(small.expression_size),
        jnp.zeros((small.joint_count, 3)),
        jnp.asarray(rotation, jnp.float32),
        jnp.asarray(mean, jnp.float32),
    )
    return _solve_identity(small, start, jnp.asarray(goal, jnp.float32), weight)


def _offsets(
    head: HeadModel, small: HeadModel, transfer: SurfaceTransfer, person: _Pose, goal: np.ndarray
) -> np.ndarray:
    """What is left between the neutral heads, [V,3] m.

    Unsure vertices take that of their neighbours, an eyeball its mean, and what hangs together with nothing known (gums
    and teeth of some heads) the mean of the nearest known places, so that they stay behind the lips.
    """
    rotation = np.asarray(person.rotation, np.float64)
    reached = np.asarray(vertices(small, person.identity, person.expression), np.float64)
    left = (goal - np.asarray(person.translation)) @ rotation - reached
    offsets, known = np.zeros((head.vertex_count, 3)), np.zeros(head.vertex_count, bool)
    offsets[transfer.vertex_ids] = left
    known[transfer.vertex_ids] = transfer.confidence > _UNSURE
    if known.all():
        return offsets.astype(np.float32)
    filled = harmonic(offsets, known, neighbours(np.asarray(head.triangles), head.vertex_count))
    parts = components(head.vertex_count, np.asarray(head.triangles))
    alone = ~np.isin(parts, parts[known])
    if alone.any():
        template, skin = np.asarray(head.template), np.flatnonzero(known & ~np.asarray(head.regions["eyeballs"]))
        _, near = cKDTree(template[skin]).query(template[alone], k=min(_NEAREST, len(skin)))
        filled[alone] = offsets[skin][near].mean(1)
    if transfer.confidence.min() < 1:
        for side in (-1, 1):
            ball = eyeball_of(head, side)
            if (ball & known).any():
                filled[ball] = offsets[ball & known].mean(0)
    return filled.astype(np.float32)


def _fit_frames(
    performance: Performance,
    small: HeadModel,
    transfer: SurfaceTransfer,
    weight: jax.Array,
    person: _Pose,
    offsets: np.ndarray,
    settings: RetargetSettings,
    reporter: Reporter,
) -> tuple[_Pose, np.ndarray]:
    """Poses of all frames, stacked, and the distances [F,N] m that are left."""
    track, source = performance.track, performance.head
    own = jnp.asarray(offsets[transfer.vertex_ids])
    names = [name for k, name in enumerate(small.joint_names) if small.joint_parents[k] >= 0]
    if expressions_turn_eyes(small):
        names = [name for name in names if "eye" not in name]
    active = tuple(small.joint_names.index(name) for name in names)
    alike = same_expressions(source.expression_names, small.expression_names)
    poses, distances = [], []
    bar = reporter.bar("retarget", track.frame_count, "frames")
    for first in range(0, track.frame_count, FRAMES_AT_ONCE):
        frames = range(first, min(first + FRAMES_AT_ONCE, track.frame_count))
        goals = np.stack([transfer.of(np.asarray(track.local_vertices(source, frame))) for frame in frames])
        expected = np.asarray(track.expression)[list(frames)] @ alike.T
        goals, expected = (_filled_up(values) for values in (goals, expected))
        found, apart = _solve_frames(
            small, person, expected, jnp.asarray(goals, jnp.float32), weight, own, settings.joint_std_rad, active=active
        )
        poses.append(jax.tree.map(lambda value: np.asarray(value)[: len(frames)], found))  # noqa: B023
        distances.append(np.asarray(apart)[: len(frames)])
        bar.advance_to(frames[-1] + 1)
    bar.close()
    return jax.tree.map(lambda *parts: np.concatenate(parts), *poses), np.concatenate(distances)


def same_expressions(source: Sequence[str], target: Sequence[str]) -> np.ndarray:
    """The target's coefficients that the source's stand for, by name: a matrix [E_target,E_source], rows sum to 1 or 0.

    Only ARKit's names mean the same on every head; `browInnerUp` is both `browInnerUpLeft` and `browInnerUpRight`.
    """
    result = np.zeros((len(target), len(source)), np.float32)
    if "jawOpen" not in source or "jawOpen" not in target:
        return result
    for row, name in enumerate(target):
        whole = name.removesuffix("Left").removesuffix("Right")
        for candidates in ((name,), (whole,), (f"{name}Left", f"{name}Right")):
            columns = [list(source).index(one) for one in candidates if one in source]
            if columns:
                result[row, columns] = 1 / len(columns)
                break
    return result


def _filled_up(values: np.ndarray) -> jax.Array:
    """The last row repeated up to `FRAMES_AT_ONCE`: every call has one shape."""
    return jnp.asarray(np.pad(values, [(0, FRAMES_AT_ONCE - len(values))] + [(0, 0)] * (values.ndim - 1), "edge"))


def _in_world(track: Track, poses: _Pose) -> tuple[np.ndarray, np.ndarray]:
    """Rotation vectors [F,3] and translations [F,3] m, head-to-world, from poses in the frame of the track's head."""
    head = Rotation.from_rotvec(np.asarray(track.head_rotation, np.float64))
    turned = head * Rotation.from_matrix(poses.rotation)
    shifted = head.apply(poses.translation) + track.head_translation
    return turned.as_rotvec().astype(np.float32), shifted.astype(np.float32)


@jax.jit
def _solve_identity(small: HeadModel, start: _Pose, goal: jax.Array, weight: jax.Array) -> _Pose:
    """Gauss-Newton over identity and pose."""

    def step(now: _Pose, _: None) -> tuple[_Pose, None]:
        posed = pose(small, now.identity, now.expression, now.joint_rotations, ())
        count = len(posed.identity)
        curvature, gradient = _system(posed.identity, posed.points, now, goal, weight)
        curvature = curvature.at[jnp.arange(count), jnp.arange(count)].add(1.0)
        change = _solved(curvature, gradient.at[:count].add(-now.identity))
        return dataclasses.replace(_moved(now, change[count:]), identity=now.identity + change[:count]), None

    with jax.default_matmul_precision("highest"):
        return jax.lax.scan(step, start, None, _IDENTITY_ROUNDS)[0]


@functools.partial(jax.jit, static_argnames="active")
def _solve_frames(
    small: HeadModel,
    person: _Pose,
    expected: jax.Array,
    goals: jax.Array,
    weight: jax.Array,
    offsets: jax.Array,
    joint_std: float,
    active: tuple[int, ...],
) -> tuple[_Pose, jax.Array]:
    """Expression, joints and pose of each frame's points [F,N,3], each frame from the neutral head; distances [F,N]."""
    with jax.default_matmul_precision("highest"):
        one = lambda each: _solve_frame(small, person, *each, weight, offsets, joint_std, active)
        return jax.lax.map(one, (expected, goals))


def _solve_frame(
    small: HeadModel,
    person: _Pose,
    expected: jax.Array,
    goal: jax.Array,
    weight: jax.Array,
    offsets: jax.Array,
    joint_std: float,
    active: tuple[int, ...],
) -> tuple[_Pose, jax.Array]:
    """Gauss-Newton projected onto the expressions' limits."""
    chosen, expressions = jnp.asarray(active, jnp.int32), small.expression_size
    stiffness = jnp.concatenate([1 / small.expression_std**2, jnp.full(3 * len(active), 1 / joint_std**2)])
    low, high = small.expression_limits.T

    def step(now: _Pose, _: None) -> tuple[_Pose, None]:
        posed = pose(small, now.identity, now.expression, now.joint_rotations, active)
        columns = jnp.concatenate([posed.expression, posed.joints])
        curvature, gradient = _system(columns, posed.points + offsets.T, now, goal, weight)
        values = jnp.concatenate([now.expression - expected, now.joint_rotations[chosen].reshape(-1)])
        count = len(values)
        curvature = curvature.at[jnp.arange(count), jnp.arange(count)].add(stiffness)
        gradient = gradient.at[:count].add(-stiffness * values)
        change = _solved_within(curvature, gradient, low - now.expression, high - now.expression)
        joints = now.joint_rotations.at[chosen].add(change[expressions:count].reshape(-1, 3))
        expression = jnp.clip(now.expression + change[:expressions], low, high)
        return dataclasses.replace(_moved(now, change[count:]), expression=expression, joint_rotations=joints), None

    person = dataclasses.replace(person, expression=expected)
    found, _ = jax.lax.scan(step, person, None, _FRAME_ROUNDS)
    mesh = vertices(small, found.identity, found.expression, found.joint_rotations, offsets)
    return found, jnp.linalg.norm(mesh @ found.rotation.T + found.translation - goal, axis=1)


def _system(
    columns: jax.Array, points: jax.Array, now: _Pose, goal: jax.Array, weight: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Curvature and downhill gradient over the columns [n,3,N] and the six of the pose, in the head's own frame."""
    jacobian = jnp.concatenate([columns, pose_columns(points, now.rotation)])
    miss = ((goal - now.translation) @ now.rotation).T - points
    rows = jacobian.reshape(len(jacobian), -1)
    weighted = (jacobian * weight).reshape(len(jacobian), -1)
    return weighted @ rows.T, weighted @ miss.reshape(-1)


def _solved(curvature: jax.Array, gradient: jax.Array) -> jax.Array:
    """The step, in unknowns scaled to equal curvature, a thousandth of which damps it."""
    scale = jax.lax.rsqrt(jnp.maximum(jnp.diagonal(curvature), 1e-20))
    scaled = curvature * scale[:, None] * scale + 1e-3 * jnp.eye(len(scale))
    return scale * jax.scipy.linalg.solve(scaled, scale * gradient, assume_a="pos")


def _solved_within(curvature: jax.Array, gradient: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """The step [n] whose first coefficients stay between low and high [E]: a primal-dual active set."""
    beyond = len(gradient) - len(low)
    low, high = (jnp.pad(side, (0, beyond), constant_values=wide) for side, wide in ((low, -jnp.inf), (high, jnp.inf)))

    def round_of(change: jax.Array, _: None) -> tuple[jax.Array, None]:
        # What a held coefficient's neighbours still ask of it, as a step: it is let go when that points inwards.
        wish = change + (gradient - curvature @ change) / jnp.diagonal(curvature)
        held = jnp.where(wish < low, low, jnp.where(wish > high, high, 0.0))
        free = (wish >= low) & (wish <= high)
        reduced = jnp.where(free[:, None] & free, curvature, 0.0) + jnp.diag(
            jnp.where(free, 0.0, jnp.diagonal(curvature))
        )
        right = jnp.where(free, gradient - curvature @ held, 0.0)
        return jnp.where(free, _solved(reduced, right), held), None

    return jax.lax.scan(round_of, _solved(curvature, gradient), None, _BOUND_ROUNDS)[0]


def _moved(now: _Pose, change: jax.Array) -> _Pose:
    """The pose after a step [6]: turned in the space of the points, then shifted."""
    return dataclasses.replace(
        now,
        rotation=jaxlie.SO3.exp(change[:3]).as_matrix() @ now.rotation,
        translation=now.translation + UNITS["head_translation"] * change[3:],
    )
