"""The normal equations in closed form are those that automatic differentiation gives."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.fitting.chain import factorise, solve
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy, head_vertices, observed_points
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.objective import make_objective
from flowface_jax.fitting.problem import FLAME_VERTICES, make_problem
from tests.fitting.small import as_float64, small_alignment, small_cameras, small_head

FRAMES = 5
TIMES = np.cumsum(1 + np.arange(FRAMES) % 3) / 30
"""Uneven, as dropped frames make them."""

CASES = {
    "uncalibrated rig, surface points, joints": {"joints": ("jaw", "left_eye"), "temporal_vertices": 20},
    "calibrated rig, vertices": {"known": True, "vertices": True},
    "vertices that joints move, shared focal": {"vertices": True, "joints": ("jaw",), "focal": "shared"},
    "movement shared by all frames": {"expression": "shared", "joint_pose": "shared", "joints": ("jaw",)},
    "one camera, still head": {"cameras": 1, "head_pose": "fixed"},
}


def _alignment(head, cameras, vertices):
    if not vertices:
        return dataclasses.replace(small_alignment(head, cameras=cameras, frames=FRAMES), frame_times=TIMES)
    random = np.random.default_rng(2)
    shape = (cameras, FRAMES, head.vertex_count)
    return make_alignment(
        random.uniform(60, 160, (*shape, 2)),
        random.uniform(0.5, 3.0, shape),
        np.ones(shape[:2], bool),
        [[256, 192]] * cameras,
        "vertices",
        frame_times=TIMES,
    )


def _objective(cameras=2, known=False, vertices=False, **settings):
    head = small_head()
    config = FitConfig(**{"temporal_vertices": 0, "robust": "none", **settings})
    alignment = _alignment(head, cameras, vertices)
    calibration = small_cameras(cameras) if known else None
    neutral = np.asarray(head.template) + np.random.default_rng(3).normal(size=head.template.shape) * 0.003
    layout = make_layout(alignment, head, calibration, config)
    state, guess = initialise(alignment, head, calibration, layout, config)
    problem = make_problem(alignment, head, alignment.image_size / 2.0, config, neutral)
    problem = dataclasses.replace(problem, focal_prior_weight=1.0 + 3.0 * jnp.arange(cameras))
    chart = as_float64(make_chart(problem, head, state, layout, config))
    weights = as_float64(EnergyWeights.of(config))
    return make_objective(as_float64(problem), chart, weights, jnp.asarray(guess))


def _residuals(parameters, objective):
    """The energy as half a sum of squares, written out once more: its Jacobian is what the closed form must match."""
    problem, weights = objective.problem, objective.weights
    world = parameters.to_world(head_vertices(parameters, problem))
    columns, rows = parameters.to_pixels(observed_points(problem, world), problem.principal_point)
    root = jnp.sqrt(problem.point_weight) * problem.inverse_std
    expression = jnp.where(problem.real_frame[:, None], parameters.expression, 0.0) / problem.head.expression_std
    sampled = world[..., problem.barycentric.size :]
    stencil = problem.temporal_stencil[1:-1, :, None, None]
    acceleration = stencil[:, 0] * sampled[:-2] + stencil[:, 1] * sampled[1:-1] + stencil[:, 2] * sampled[2:]
    neutral = problem.neutral_residual + problem.neutral_basis @ parameters.identity
    neutral = neutral + jnp.zeros_like(neutral).at[problem.vertex_ids].set(parameters.offsets)
    per_vertex = problem.identity_scale * FLAME_VERTICES / len(neutral)
    parts = [
        root * (columns - problem.mean[..., 0]),
        root * (rows - problem.mean[..., 1]),
        jnp.sqrt(2 * weights.prior * problem.identity_scale) * parameters.identity,
        jnp.sqrt(2 * weights.prior) * expression,
        jnp.sqrt(2 * weights.temporal * problem.temporal_scale) * acceleration,
        jnp.sqrt(2 * weights.neutral * per_vertex) * neutral,
        jnp.sqrt(2 * weights.offset * problem.row_share[:, None]) * parameters.offsets,
        jnp.sqrt(problem.focal_prior_weight)
        * jnp.log(parameters.focal / objective.focal_guess)
        / weights.focal_prior_std,
    ]
    return jnp.concatenate([part.ravel() for part in parts])


def _dense(system):
    """The band and its border as one matrix, border first, and the gradient."""
    frames, d = system.gradient_rows.shape
    s = len(system.gradient_shared)
    matrix = np.zeros((s + frames * d,) * 2)
    matrix[:s, :s] = system.shared
    place = [slice(s + t * d, s + (t + 1) * d) for t in range(frames)]
    for t in range(frames):
        matrix[place[t], place[t]] = system.diagonal[t]
        matrix[place[t], :s], matrix[:s, place[t]] = system.border[t], system.border[t].T
        for gap, band in ((1, system.following), (2, system.second)):
            if t + gap < frames:
                matrix[place[t], place[t + gap]] = band[t]
                matrix[place[t + gap], place[t]] = band[t].T
    return matrix, np.concatenate([system.gradient_shared, system.gradient_rows.ravel()])


QUICK = ("calibrated rig, vertices",)


@pytest.mark.parametrize(
    "case", [name if name in QUICK else pytest.param(name, marks=pytest.mark.minutes) for name in CASES]
)
def test_curvature_and_gradient_are_those_of_automatic_differentiation(case):
    with jax.enable_x64(True):
        objective = dataclasses.replace(_objective(**CASES[case]), chunk=2)
        frames, s = objective.problem.frame_count, objective.columns.shared_size
        random = np.random.default_rng(5)
        parameters = objective.retract(
            objective.chart.base,
            jnp.asarray(0.1 * random.normal(size=(frames, objective.columns.frame_size))),
            jnp.asarray(0.1 * random.normal(size=s)),
        )

        def residuals(step):
            moved = objective.retract(parameters, step[s:].reshape(frames, -1), step[:s])
            return _residuals(moved, objective)

        still = jnp.zeros(s + frames * objective.columns.frame_size)
        value, jacobian = (
            np.asarray(part) for part in jax.jit(lambda v: (residuals(v), jax.jacfwd(residuals)(v)))(still)
        )
        total = float(energy(parameters, objective.problem, objective.weights, objective.focal_guess).total)
        np.testing.assert_allclose(0.5 * np.sum(value**2), total, rtol=1e-12)
        matrix, gradient = _dense(jax.jit(objective.__class__.normal_equations)(objective, parameters))
        # The head's and cameras' rotations are float32, orthonormal to 1e-7.
        np.testing.assert_allclose(gradient, jacobian.T @ value, atol=1e-6 * np.abs(gradient).max())
        expected = jacobian.T @ jacobian
        scale = np.sqrt(np.maximum(np.diag(expected), 1e-12))
        np.testing.assert_allclose(matrix / np.outer(scale, scale), expected / np.outer(scale, scale), atol=2e-6)


@pytest.mark.minutes
def test_the_banded_solve_is_the_dense_solve():
    with jax.enable_x64(True):
        objective = _objective(joints=("jaw",))
        system = objective.normal_equations(objective.chart.base)
        free_rows = jnp.ones_like(system.gradient_rows).at[1, 0].set(0.0)
        free_shared = jnp.ones_like(system.gradient_shared).at[2].set(0.0)
        conditioned, scale_rows, scale_shared = system.conditioned(jnp.asarray(1e-3), free_rows, free_shared)
        rows, shared = solve(
            factorise(conditioned),
            free_rows * system.gradient_rows / scale_rows,
            free_shared * system.gradient_shared / scale_shared,
        )
        found = np.concatenate([shared / scale_shared, (rows / scale_rows).ravel()])
        matrix, gradient = _dense(system)
        kept = np.concatenate([np.asarray(free_shared), np.asarray(free_rows).ravel()]) > 0
        kept &= np.diag(matrix) > 1e-9
        damped = matrix[kept][:, kept]
        damped[np.diag_indices(len(damped))] *= 1.001
        expected = np.zeros(len(matrix))
        expected[kept] = np.linalg.solve(damped, gradient[kept])
        np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
