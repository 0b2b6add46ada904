"""What the images cannot tell: how far the focal length is determined once everything else may move with it."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.fitting.energy import EnergyWeights, head_vertices, projected_points
from flowface_jax.fitting.parameters import Chart, Parameters, assemble, initial_variables
from flowface_jax.fitting.problem import FitProblem

MAXIMUM_FRAMES = 12
UNOBSERVABLE = 0.08
"""Relative standard deviation of a focal length above which it counts as not observed (depth is as uncertain)."""


def focal_standard_deviation(
    problem: FitProblem, parameters: Parameters, weights: EnergyWeights, chart: Chart
) -> np.ndarray:
    """Relative standard deviation of each solved focal length [C], from the images and the head prior alone.

    Gauss-Newton posterior on a dozen well-spread frames with identity, expression, poses and cameras free, without the
    weak focal prior; the value of a whole clip can only be smaller. Residuals of one face are correlated, so the
    observation noise is taken as the larger of σ and of what the fit left over.
    """
    cameras = parameters.focal.shape[0]
    if chart.layout.focal == "fixed":
        return np.zeros(cameras)
    local = _few_frames(problem, parameters, chart)
    problem, chart = local
    variables = initial_variables(chart)
    flat, unflatten = jax.flatten_util.ravel_pytree(variables)

    def residual(vector: jax.Array) -> jax.Array:
        return _stacked_residual(assemble(unflatten(vector), chart), problem, weights)

    jacobian = np.asarray(jax.jit(jax.jacfwd(residual))(flat), np.float64)
    left_over = np.asarray(residual(flat), np.float64)
    count = 2 * int((np.asarray(problem.inverse_std) > 0).sum())
    inflation = max(1.0, float((left_over[:count] ** 2).sum() / max(count, 1)))
    information = jacobian.T @ jacobian / inflation
    scale = np.sqrt(np.maximum(np.diag(information), 1e-12))
    covariance = np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-12) / np.outer(scale, scale)
    focal_index = np.asarray(unflatten(jnp.arange(len(flat), dtype=flat.dtype))["log_focal"]).astype(int)
    std = np.sqrt(np.maximum(np.diag(covariance)[focal_index], 0.0))
    return np.broadcast_to(std, (cameras,)).copy()


def _few_frames(problem: FitProblem, parameters: Parameters, chart: Chart) -> tuple[FitProblem, Chart]:
    """The same problem on at most MAXIMUM_FRAMES frames with observations, linearised at `parameters`."""
    seen = np.flatnonzero((np.asarray(problem.inverse_std) > 0).any(axis=(0, 2)))
    frames = seen[np.unique(np.linspace(0, len(seen) - 1, MAXIMUM_FRAMES).round().astype(int))]
    # Every third point is plenty for a warning, and keeps dense alignments cheap.
    points = np.arange(0, problem.mean.shape[2], max(1, problem.mean.shape[2] // 500))
    smaller = dataclasses.replace(
        problem,
        corners=problem.corners[points],
        barycentric=problem.barycentric[points],
        mean=problem.mean[:, frames][:, :, points],
        inverse_std=problem.inverse_std[:, frames][:, :, points],
        point_weight=problem.point_weight[points],
        real_frame=problem.real_frame[frames],
        temporal_centre=jnp.zeros(len(frames), bool),
        identity_scale=jnp.minimum(problem.identity_scale, float(len(frames) * problem.mean.shape[0])),
    )
    at = dataclasses.replace(
        parameters,
        expression=parameters.expression[frames],
        joint_rotations=parameters.joint_rotations[frames],
        head_rotation=parameters.head_rotation[frames],
        head_translation=parameters.head_translation[frames],
    )
    return smaller, dataclasses.replace(chart, base=at)


def _stacked_residual(parameters: Parameters, problem: FitProblem, weights: EnergyWeights) -> jax.Array:
    """Whitened residuals whose half squared norm is E_A + E_FLAME: first the images', then the priors'."""
    world = parameters.to_world(head_vertices(parameters, problem))
    difference = projected_points(parameters, problem, world) - problem.mean
    images = difference * (problem.inverse_std * jnp.sqrt(problem.point_weight))[..., None]
    prior = (2.0 * weights.prior) ** 0.5
    expression = parameters.expression / problem.head.expression_std
    return jnp.concatenate(
        [
            images.ravel(),
            prior * jnp.sqrt(problem.identity_scale) * parameters.identity,
            prior * expression.ravel(),
            100.0 * parameters.offsets.ravel(),
        ]
    )


def focal_note(std: np.ndarray, names: tuple[str, ...]) -> str | None:
    """A sentence for the track when a focal length cannot be told from the images, else None."""
    poor = [f"{name} (± {100 * s:.0f} %)" for name, s in zip(names, std, strict=True) if s > UNOBSERVABLE]
    if not poor:
        return None
    return (
        f"The focal length cannot be observed well for {', '.join(poor)}: it trades against the head's distance, so "
        "depth along the viewing direction is uncertain by the same factor. Give --focal or --cameras if it is known."
    )
