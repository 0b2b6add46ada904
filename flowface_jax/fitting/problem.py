"""What the energy is evaluated on: the observations, and only those parts of the head that they need."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.focal_prior import prior_weights
from flowface_jax.fitting.timing import acceleration_stencils
from flowface_jax.heads.model import HeadModel, restrict
from flowface_jax.pytrees import pytree_dataclass

FLAME_VERTICES = 5023
"""Sums over all vertices are counted as if every head had as many vertices as the paper's."""

NEVER_OUTLIER = 1000.0
"""Width of the robust kernel, in its usual widths, for points placed by hand: a person who corrects a fit places them
where the fit is far off, which is just what the kernel would ignore."""


@pytree_dataclass
class FitProblem:
    """Observations of P points in F (padded) frames of C cameras, on a head restricted to N evaluated vertices.

    head: restricted HeadModel. Its vertices are the first corners of all points, then their second and third corners
    (k corners a point, k = 1 where points are vertices; a vertex may so appear several times), then the M vertices of
    the temporal term: whatever is needed is a slice, and no gather has to be differentiated.
    barycentric: [k,P].
    mean: [C,F,P,2] px. inverse_std: [C,F,P] 1/px, 0 where not observed. point_weight: [P] λ_i. kernel_width: [P] how
        many times as far as usual the robust kernel begins to bend.
    real_frame: [F] bool, False for padding. temporal_stencil: [F,3] factors of the frames t−1, t and t+1 in the
        acceleration at t (see `timing`), zero where they are not all real frames.
    temporal_scale: () how many of FLAME's
        vertices each of them stands for, so that λ_temp means the same for every head.
    principal_point: [C,2] px. neutral_residual: [V,3] m, template minus the given neutral head, or [0,3].
    neutral_basis: [V,3,S]. vertex_ids: [N] row of each evaluated vertex in the full head. row_share: [N] one over how
    often that vertex is evaluated. identity_scale: () how often the identity prior counts. focal_prior_weight: [C] how
    many times as heavy as usual the prior on each focal length is.
    """

    head: HeadModel
    barycentric: jax.Array
    mean: jax.Array
    inverse_std: jax.Array
    point_weight: jax.Array
    kernel_width: jax.Array
    real_frame: jax.Array
    temporal_stencil: jax.Array
    temporal_scale: jax.Array
    principal_point: jax.Array
    neutral_residual: jax.Array
    neutral_basis: jax.Array
    vertex_ids: jax.Array
    row_share: jax.Array
    identity_scale: jax.Array
    focal_prior_weight: jax.Array

    @property
    def frame_count(self) -> int:
        return self.mean.shape[1]


def padded_length(count: int, devices: int = 1) -> int:
    """The frame count after padding: few distinct lengths, so that few programs are compiled, and equal stretches of
    at least four frames for several devices.
    """
    if count == 1 and devices == 1:
        return 1
    step = max(8, 2 ** max(0, count.bit_length() - 4))
    step = math.lcm(step, 4 * devices) if devices > 1 else step
    return -(-count // step) * step


def make_problem(
    alignment: Alignment,
    head: HeadModel,
    principal_point: np.ndarray,
    config: FitConfig,
    neutral_template: np.ndarray | None = None,
    frames: np.ndarray | None = None,
    devices: int = 1,
    focal_stds: np.ndarray | None = None,
) -> FitProblem:
    """Gather what the energy needs. frames: indices of the frames to use (all by default). devices: how many the
    frames will be spread over. focal_stds: [C] of the priors on log focal, where they are not all
    fit.focal_prior_std.

    Raises InputError where points, neutral template or sizes do not fit the head.
    """
    surface = alignment.points_on(head)
    corners, barycentric = np.asarray(surface.vertex_ids), np.asarray(surface.barycentric)
    if (corners == corners[:, :1]).all():
        corners, barycentric = corners[:, :1], np.ones((len(corners), 1), np.float32)
    temporal = _spread_vertices(head, config.temporal_vertices)
    vertex_ids = np.concatenate([corners.T.ravel(), temporal])
    selected = np.arange(alignment.frame_count) if frames is None else np.asarray(frames)
    real, count = len(selected), padded_length(len(selected), devices)
    # A slice, not an index, where all frames are used: the observations may fill a good part of the memory.
    chosen = slice(None) if frames is None else selected
    inverse_std = inverse_standard_deviations(alignment.std[:, chosen], alignment.valid[:, chosen])
    stds = np.full(alignment.camera_count, config.focal_prior_std) if focal_stds is None else focal_stds
    solved = leading(head, config.identity_size, config.expression_size)
    stencil = np.zeros((count, 3), np.float32)
    if frames is None:
        stencil[:real] = temporal_stencils(alignment)
    return FitProblem(
        head=restrict(solved, jnp.asarray(vertex_ids)),
        barycentric=jnp.asarray(barycentric.T),
        mean=jnp.asarray(_pad(alignment.mean[:, chosen], count)),
        inverse_std=jnp.asarray(_pad(inverse_std, count)),
        point_weight=jnp.asarray(_point_weights(alignment, head, surface.vertex_ids, surface.barycentric)),
        kernel_width=jnp.where(jnp.arange(len(corners)) < len(corners) - alignment.placed, 1.0, NEVER_OUTLIER),
        real_frame=jnp.arange(count) < real,
        temporal_stencil=jnp.asarray(stencil),
        temporal_scale=jnp.float32(FLAME_VERTICES / len(temporal)),
        principal_point=jnp.asarray(principal_point, jnp.float32),
        neutral_residual=jnp.asarray(_neutral_residual(head, neutral_template)),
        neutral_basis=solved.identity_basis if neutral_template is not None else jnp.zeros((0, 3, 0)),
        vertex_ids=jnp.asarray(vertex_ids, jnp.int32),
        row_share=jnp.asarray(1.0 / np.bincount(vertex_ids)[vertex_ids], jnp.float32),
        identity_scale=jnp.float32(identity_scale(inverse_std > 0, config)),
        focal_prior_weight=jnp.asarray(prior_weights(stds, config)),
    )


def inverse_standard_deviations(std: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """1/σ of points [C,F,P] in images of which some are valid [C,F]; 0 where not observed."""
    result = np.zeros(std.shape, np.float32)
    np.divide(1.0, std, out=result, where=np.isfinite(std) & valid[..., None])
    return result


def identity_scale(observed: np.ndarray, config: FitConfig) -> float:
    """How often the identity prior counts: once, or once per image [C,F] in which any point [C,F,P] is observed."""
    return 1.0 if config.identity_prior == "once" else float(max(1, observed.any(-1).sum()))


def leading(head: HeadModel, identity_size: int, expression_size: int) -> HeadModel:
    """The head with only its leading coefficients, those that are solved for; 0 = all of a kind."""
    s = identity_size or head.identity_size
    e = expression_size or head.expression_size
    return dataclasses.replace(
        head,
        identity_basis=head.identity_basis[..., :s],
        expression_basis=head.expression_basis[..., :e],
        expression_std=head.expression_std[:e],
        expression_limits=head.expression_limits[:e],
        joint_identity=head.joint_identity[..., :s],
        joint_expression=head.joint_expression[..., :e],
        expression_names=head.expression_names[:e],
    )


def _point_weights(alignment: Alignment, head: HeadModel, ids: jax.Array, barycentric: jax.Array) -> np.ndarray:
    """λ_i per observed point: the head's vertex weights, but 1 for landmark sets (all chosen to be seen) and for what
    was placed by hand.
    """
    if alignment.point_set in ("mediapipe", "landmarks"):
        return np.ones(alignment.point_count, np.float32)
    weights = (np.asarray(head.vertex_weights)[np.asarray(ids)] * np.asarray(barycentric)).sum(1).astype(np.float32)
    weights[alignment.point_count - alignment.placed :] = 1.0
    return weights


def is_sequence(alignment: Alignment) -> bool:
    """Whether neighbouring frames are neighbours in time (a photo collection has no time stamps)."""
    times = alignment.frame_times
    return bool(np.isfinite(times).all() and (np.diff(times) > 0).all())


def temporal_stencils(alignment: Alignment) -> np.ndarray:
    """The acceleration about each frame [F,3] (see `FitProblem`); zero where frames are not neighbours in time."""
    if not is_sequence(alignment):
        return np.zeros((alignment.frame_count, 3), np.float32)
    return acceleration_stencils(alignment.frame_times)


def _spread_vertices(head: HeadModel, count: int) -> np.ndarray:
    """`count` vertices spread evenly over the head by farthest-point sampling; all of them for 0."""
    template = np.asarray(head.template)
    if count == 0 or count >= len(template):
        return np.arange(len(template))
    chosen = np.zeros(count, np.int64)
    chosen[0] = int(np.argmax(template[:, 2]))
    distance = np.linalg.norm(template - template[chosen[0]], axis=1)
    for k in range(1, count):
        chosen[k] = int(np.argmax(distance))
        distance = np.minimum(distance, np.linalg.norm(template - template[chosen[k]], axis=1))
    return np.sort(chosen)


def _neutral_residual(head: HeadModel, neutral_template: np.ndarray | None) -> np.ndarray:
    if neutral_template is None:
        return np.zeros((0, 3), np.float32)
    target = np.asarray(neutral_template, np.float32)
    if target.shape != (head.vertex_count, 3) or not np.isfinite(target).all():
        raise InputError(
            f"the neutral template must be finite vertices of shape [{head.vertex_count}, 3] in metres for head "
            f"'{head.name}', found shape {list(target.shape)}"
        )
    template = np.asarray(head.template)
    ratio = np.ptp(target, axis=0).max() / np.ptp(template, axis=0).max()
    if not 0.5 < ratio < 2:
        raise InputError(f"the neutral template is {ratio:.3g} times the size of head '{head.name}'; expected metres")
    # Both heads carry their own origin; only the shape is meant.
    return template - template.mean(0) - (target - target.mean(0))


def _pad(array: np.ndarray, count: int) -> np.ndarray:
    """Zero-pad axis 1 (frames) to `count`; the same array where nothing is to be padded."""
    if array.shape[1] == count:
        return array
    widths = [(0, 0)] * array.ndim
    widths[1] = (0, count - array.shape[1])
    return np.pad(array, widths)
