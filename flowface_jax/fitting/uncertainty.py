"""Error bars: how far each number of a track may be off, and what the images could not tell.

The posterior (`posterior`) says it in the solver's unknowns; here it becomes standard deviations of what a track
stores, with everything that moves together taken along: where the focal length is not known, say, the head's distance
is as uncertain as the focal length makes it. All of it rests on errors of the alignment being independent and of the
size that it states; `quality` says whether that holds.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.columns import Columns, retract
from flowface_jax.fitting.linearisation import rows_of
from flowface_jax.fitting.objective import Objective
from flowface_jax.fitting.parameters import UNITS, Chart, Parameters
from flowface_jax.fitting.posterior import UNFELT_VARIANCE, Posterior, own_and_rows, posterior_of
from flowface_jax.fitting.selected_inverse import walk_back
from flowface_jax.fitting.vertex_uncertainty import (
    MovingGroups,
    Spread,
    VertexGroup,
    frame_variance,
    identity_variance,
    moving_groups,
    moving_index,
    vertex_groups,
)
from flowface_jax.heads.model import HeadModel
from flowface_jax.pytrees import pytree_dataclass

MOST_NUMBERS = 64_000_000
"""How many vertices of all frames together get an error bar each; beyond it, the root mean square over frames."""


@pytree_dataclass
class Uncertainty:
    """Standard deviations of a track's numbers, NumPy float32 unless said.

    0 where a number was not solved for or is held at a limit of the head model, infinite where nothing was observed
    that it changes. Small-angle and linear: beyond about 1 rad they only say that nothing is known.

    identity: [S], 1 = the population's. expression: [F,E] coefficients. joint_rotations: [F,K,3] rad, of the
    axis-angle. head_rotation: [F,3] rad about the world's axes. head_translation: [F,3] m in the world, a change of
    focal length that takes the head along included. offsets: [V,3] m in the head's frame. camera_rotation: [C,3] rad
    about the camera's axes and camera_translation: [C,3] m (0 for the first camera where it is the world).
    focal: [C] px. vertices_mm: [F,V] float16, or [1,V], the root mean square over observed frames, of a long clip of a
    dense head: root of the trace of each vertex's covariance in the world. neutral_mm: [V] the same for the neutral
    head in its own frame.
    """

    identity: np.ndarray
    expression: np.ndarray
    joint_rotations: np.ndarray
    head_rotation: np.ndarray
    head_translation: np.ndarray
    offsets: np.ndarray
    camera_rotation: np.ndarray
    camera_translation: np.ndarray
    focal: np.ndarray
    vertices_mm: np.ndarray
    neutral_mm: np.ndarray


@dataclasses.dataclass(frozen=True)
class Observed:
    """Standard deviations of log focal [C] and, in the middle one of the frames that are seen, of the head's depth in
    each camera [C] m, with their correlation [C]. held: how many expression coefficients are held at their limits.
    """

    log_focal: np.ndarray
    depth: np.ndarray
    correlation: np.ndarray
    held: int


def estimate_uncertainty(
    parameters: Parameters,
    objective: Objective,
    head: HeadModel,
    real_frames: int,
    most_numbers: int = MOST_NUMBERS,
) -> tuple[Uncertainty, Observed]:
    """Standard deviations at a minimum of `objective`, and how well the cameras are told from the head's distance.

    head: the full head model. real_frames: F, without padding. most_numbers: of `vertices_mm`.
    Raises FloatingPointError where `parameters` are no minimum.
    """
    posterior = posterior_of(parameters, objective)
    groups = vertex_groups(head, parameters, objective.problem, objective.chart)
    frame = _middle_seen_frame(objective)
    motion = _camera_motion(parameters, objective.chart, objective.columns, frame)
    shared = np.asarray(posterior.shared, np.float64)
    moving = moving_groups(objective.columns, objective.chart)
    each = real_frames * head.vertex_count <= most_numbers
    per_frame, mean_square, neutral = _frames(
        posterior, parameters, objective, groups, jnp.asarray(motion.zoom, posterior.root.dtype), moving, each
    )
    cameras = _CameraCovariance(motion, shared, per_frame, objective.columns)
    uncertainty = _in_track_units(parameters, objective, head, real_frames, shared, per_frame, cameras)
    vertices = per_frame["vertices_mm"][:real_frames] if each else (1e3 * jnp.sqrt(mean_square)).astype(jnp.float16)
    result = Uncertainty(
        **{name: np.asarray(values, np.float32) for name, values in uncertainty.items()},
        vertices_mm=np.asarray(vertices).reshape(-1, head.vertex_count),
        neutral_mm=np.asarray(1e3 * np.sqrt(np.asarray(neutral)), np.float32),
    )
    focal_std, depth_std, correlation = cameras.at(frame)
    held = int(np.asarray(posterior.held_rows)[:real_frames].sum())
    return result, Observed(focal_std, depth_std, correlation, held)


def _frames(
    posterior: Posterior,
    parameters: Parameters,
    objective: Objective,
    groups: list[VertexGroup],
    zoom: jax.Array,
    moving: MovingGroups,
    each: bool,
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    """Of every frame: variances [F,d]; covariance of its head translation, cameras and focal lengths with each other
    as far as it is the frame's own [F,3,3] and [F,3,q]; its vertices' standard deviations. Then the vertices' mean
    square over observed frames [V] m² and the neutral head's variance [V] m².
    """
    seen = (objective.problem.inverse_std > 0).any((0, 2))
    arguments = (posterior, parameters, groups, zoom, seen)
    return _frames_jit(*arguments, columns=objective.columns, moving=moving, each=each)


@functools.partial(jax.jit, static_argnames=("columns", "moving", "each"))
def _frames_jit(
    posterior: Posterior,
    parameters: Parameters,
    groups: list[VertexGroup],
    zoom: jax.Array,
    seen: jax.Array,
    *,
    columns: Columns,
    moving: MovingGroups,
    each: bool,
) -> tuple[dict[str, jax.Array], jax.Array, jax.Array]:
    count = sum(len(group.ids) for group in groups)
    place = jnp.concatenate([group.ids for group in groups])
    root, size = posterior.shared_root, columns.frame_size
    index = moving_index(columns, moving)
    own_index = index[index < size]
    ours = np.flatnonzero(index < size)
    slices = columns.shared_slices()
    identity, offsets = slices.get("identity", slice(0, 0)), slices.get("offsets", slice(0, 0))
    own_translation = columns.frame_slices().get("head_translation", slice(0, 0))
    cameras = _camera_index(columns)
    by_identity = root[identity] @ root[identity].T
    by_offsets = root[identity] @ root[offsets].T
    alone = jnp.sum(jnp.square(root[offsets]).reshape((offsets.stop - offsets.start) // 3, 3, len(root)), axis=(1, 2))

    def spread_of(own: jax.Array, rows: jax.Array) -> Spread:
        chosen = jnp.concatenate([rows, root])[index]
        covariance = (chosen @ chosen.T).at[np.ix_(ours, ours)].add(own[own_index][:, own_index])
        return Spread(covariance, chosen @ root[identity].T, by_identity, chosen @ root[offsets].T, by_offsets, alone)

    empty = Spread(*2 * [jnp.zeros((0, 0))], by_identity, jnp.zeros((0, 0)), by_offsets, alone)
    neutral = [identity_variance(group, empty) for group in groups]

    def visit(total: jax.Array, inverse: jax.Array, through: jax.Array, extra: tuple) -> tuple[jax.Array, dict]:
        unit, expression, joints, rotation, counted = extra
        own, rows = own_and_rows(posterior, inverse, through, unit)
        spread = spread_of(own, rows)
        arguments = (parameters.identity, expression, joints, rotation, zoom)
        variance = [
            frame_variance(group, moving, spread, still, *arguments)
            for group, still in zip(groups, neutral, strict=True)
        ]
        variance = jnp.zeros(count, root.dtype).at[place].set(jnp.concatenate(variance))
        translation = rows[own_translation]
        output = {
            "variance": jnp.diagonal(own) + jnp.sum(rows**2, axis=1),
            "translation": own[own_translation, own_translation] + translation @ translation.T,
            "translation_cameras": translation @ root[cameras].T,
        }
        if each:
            output["vertices_mm"] = (1e3 * jnp.sqrt(variance)).astype(jnp.float16)
        return total + jnp.where(counted, variance, 0.0), output

    extras = (posterior.unit_rows, parameters.expression, parameters.joint_rotations, parameters.head_rotation, seen)
    total, outputs = walk_back(posterior.chain, visit, jnp.zeros(count, root.dtype), extras)
    neutral = jnp.zeros(count, root.dtype).at[place].set(jnp.concatenate(neutral))
    return outputs, total / jnp.maximum(jnp.sum(seen), 1), jnp.maximum(neutral, 0.0)


CAMERA_GROUPS = ("camera_rotation", "camera_translation", "log_focal")


def _camera_index(columns: Columns) -> np.ndarray:
    """Where the cameras' unknowns [q] stand in the border, a shared head translation first."""
    parts = [columns.shared_slices().get(name) for name in ("head_translation", *CAMERA_GROUPS)]
    parts = [np.arange(part.start, part.stop) for part in parts if part is not None]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


@dataclasses.dataclass(frozen=True)
class _CameraMotion:
    """Derivatives of one frame's head translation [3,z] m, the cameras' translations [C,3,z] m, log focal lengths [C,z]
    and the head's depths in the cameras [C,z] m by the z unknowns: the frame's head translation, if it has its own,
    then those of `_camera_index`. zoom [3,focals] m: of these, the head translation by log focal.
    """

    head: np.ndarray
    cameras: np.ndarray
    log_focal: np.ndarray
    depth: np.ndarray
    zoom: np.ndarray


def _camera_motion(parameters: Parameters, chart: Chart, columns: Columns, frame: int) -> _CameraMotion:
    """The chart's own pairing of unknowns, differentiated in one frame: the head translation's holds in all."""
    here = rows_of(parameters, jnp.asarray(frame), 1)
    kept = ("head_translation", *CAMERA_GROUPS)
    part = Columns(
        frame=tuple(group for group in columns.frame if group[0] in kept),
        shared=tuple(group for name in kept for group in columns.shared if group[0] == name),
    )

    def moved(vector: jax.Array) -> tuple[jax.Array, ...]:
        own = part.frame_size
        after = retract(here, vector[own:], vector[None, :own], chart, part)
        head = after.head_translation[0]
        depth = after.camera_rotation[:, 2] @ head + after.camera_translation[:, 2]
        return head, after.camera_translation, jnp.log(after.focal), depth

    nowhere = jnp.zeros(part.frame_size + part.shared_size, parameters.focal.dtype)
    with jax.default_matmul_precision("highest"):
        head, cameras, log_focal, depth = (np.asarray(j, np.float64) for j in jax.jit(jax.jacfwd(moved))(nowhere))
    focal = part.shared_slices().get("log_focal", slice(0, 0))
    zoom = head[:, part.frame_size + focal.start : part.frame_size + focal.stop]
    if not chart.layout.focal_moves_depth(len(parameters.focal)):
        zoom = zoom[:, :0]
    return _CameraMotion(head, cameras, log_focal, depth, zoom)


class _CameraCovariance:
    """The covariance [F,z,z] of what `_CameraMotion` differentiates by, frame by frame."""

    def __init__(
        self, motion: _CameraMotion, shared: np.ndarray, per_frame: dict[str, jax.Array], columns: Columns
    ) -> None:
        index = _camera_index(columns)
        own = np.asarray(per_frame["translation"], np.float64)
        mixed = np.asarray(per_frame["translation_cameras"], np.float64)
        together = np.broadcast_to(shared[np.ix_(index, index)], (len(own), len(index), len(index)))
        self.motion = motion
        self.covariance = np.concatenate(
            [np.concatenate([own, mixed], axis=2), np.concatenate([mixed.transpose(0, 2, 1), together], axis=2)], axis=1
        )

    def head_variance(self) -> np.ndarray:
        """[F,3] m²."""
        return np.einsum("iz,tzy,iy->ti", self.motion.head, self.covariance, self.motion.head)

    def camera_variance(self) -> np.ndarray:
        """[C,3] m²."""
        return np.einsum("ciz,zy,ciy->ci", self.motion.cameras, self.covariance[0], self.motion.cameras)

    def focal_variance(self) -> np.ndarray:
        """Of log focal [C]."""
        return np.einsum("cz,zy,cy->c", self.motion.log_focal, self.covariance[0], self.motion.log_focal)

    def at(self, frame: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Standard deviations in one frame of log focal [C] and the head's depth [C] m, and their correlation [C]."""
        focal, depth = self.motion.log_focal, self.motion.depth
        covariance = self.covariance[frame]
        both = np.einsum("cz,zy,cy->c", focal, covariance, depth)
        depth_std = np.sqrt(np.maximum(np.einsum("cz,zy,cy->c", depth, covariance, depth), 0.0))
        focal_std = np.sqrt(np.maximum(self.focal_variance(), 0.0))
        product = focal_std * depth_std
        return focal_std, depth_std, np.where(product > 0, both / np.where(product > 0, product, 1.0), 0.0)


def _middle_seen_frame(objective: Objective) -> int:
    seen = np.flatnonzero(np.asarray((objective.problem.inverse_std > 0).any((0, 2))))
    return int(seen[len(seen) // 2]) if len(seen) else 0


def _in_track_units(
    parameters: Parameters,
    objective: Objective,
    head: HeadModel,
    frames: int,
    shared: np.ndarray,
    per_frame: dict[str, jax.Array],
    cameras: _CameraCovariance,
) -> dict[str, np.ndarray]:
    """Standard deviations of everything but the vertices, by field of `Uncertainty`."""
    columns, chart = objective.columns, objective.chart
    rows, border = np.asarray(per_frame["variance"], np.float64), np.diag(shared)
    shapes = dict((*columns.frame, *columns.shared))

    def std(name: str, *shape: int) -> np.ndarray:
        """Of a group, over its frames where it has its own in each: zeros where it is fixed."""
        if name not in shapes:
            return np.zeros(shape)
        if name in columns.frame_slices():
            values = rows[:frames, columns.frame_slices()[name]].reshape(frames, *shapes[name])
        else:
            values = border[columns.shared_slices()[name]].reshape(shapes[name])
        return _deviation(UNITS[name] ** 2 * values, UNITS[name])

    identity = np.zeros(head.identity_size)
    solved = parameters.identity.shape[0]
    identity[:solved] = std("identity", solved)
    expression = np.zeros((frames, head.expression_size))
    expression[:, : parameters.expression.shape[1]] = std("expression", 1, 1)
    joints = np.zeros((frames, head.joint_count, 3))
    joints[:, list(chart.layout.active_joints)] = std("joint_rotations", 1, len(chart.layout.active_joints), 3)
    offsets = np.zeros((head.vertex_count, 3))
    moved = np.asarray(objective.problem.vertex_ids)[np.asarray(chart.offset_rows)]
    offsets[moved] = std("offsets", 1, 3)[np.asarray(chart.offset_slots)] if len(moved) else 0.0
    count = len(parameters.focal)
    camera_rotation = np.zeros((count, 3))
    camera_rotation[1:] = std("camera_rotation", 1, 3)
    return {
        "identity": identity,
        "expression": expression,
        "joint_rotations": joints,
        "head_rotation": np.broadcast_to(std("head_rotation", 1, 3), (frames, 3)),
        "head_translation": _deviation(cameras.head_variance()[:frames], UNITS["head_translation"]),
        "offsets": offsets,
        "camera_rotation": camera_rotation,
        "camera_translation": _deviation(cameras.camera_variance(), UNITS["camera_translation"]),
        "focal": np.asarray(parameters.focal) * _deviation(cameras.focal_variance(), UNITS["log_focal"]),
    }


def _deviation(variance: np.ndarray, unit: float) -> np.ndarray:
    """Standard deviations from variances in m², rad² and so on, infinite where they only say that nothing is felt."""
    values = np.sqrt(np.maximum(variance, 0.0))
    return np.where(values > 0.01 * np.sqrt(UNFELT_VARIANCE) * unit, np.inf, values)
