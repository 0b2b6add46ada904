"""Error bars: they equal the dense inverse of the curvature, and estimates scatter about the truth as they say."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, head_vertices, observed_points
from flowface_jax.fitting.error_bars import error_bars
from flowface_jax.fitting.levenberg_marquardt import advance, start
from flowface_jax.fitting.objective import Objective, make_objective
from flowface_jax.fitting.parameters import Parameters
from flowface_jax.fitting.posterior import frame_covariances, posterior_of
from flowface_jax.fitting.uncertainty import Uncertainty, estimate_uncertainty
from flowface_jax.heads.model import HeadModel, vertices
from tests.fitting.dense import plan, plan_float64
from tests.fitting.small import as_float64, small_cameras, small_head, small_performance


def small_problem(
    head: HeadModel, cameras: int = 2, known: bool = False, frames: int = 5, **settings
) -> tuple[Objective, Parameters]:
    """A small problem and parameters about which it is curved, in float64 (under jax.enable_x64)."""
    config = FitConfig(**settings)
    rig = small_cameras(cameras)
    alignment = small_performance(head, cameras=rig, frames=frames)
    problem, chart, guess = plan_float64(alignment, head, rig if known else None, config)
    objective = make_objective(problem, chart, as_float64(EnergyWeights.of(config)), guess)
    columns, count = objective.columns, problem.frame_count
    # What is shared by all frames is the same in all of them only after a step.
    start = objective.retract(chart.base, jnp.zeros((count, columns.frame_size)), jnp.zeros(columns.shared_size))
    return objective, start


def small_problem_float32(head: HeadModel, cameras: int = 2, frames: int = 5) -> tuple[Objective, Parameters]:
    """The same as a fit sees it, without offsets."""
    config = FitConfig(joints=(), temporal_vertices=20, offsets="fixed")
    alignment = small_performance(head, cameras=small_cameras(cameras), frames=frames)
    problem, chart, guess = plan(alignment, head, None, config)
    return make_objective(problem, chart, EnergyWeights.of(config), guess), chart.base


def dense_curvature(objective: Objective, parameters: Parameters) -> np.ndarray:
    """The energy's curvature by all unknowns [F·d + s], frames first."""
    system = jax.jit(lambda objective, parameters: objective.normal_equations(parameters))(objective, parameters)
    frames, size = system.gradient_rows.shape
    shared = len(system.gradient_shared)

    def column(unit: jax.Array) -> jax.Array:
        rows, border = system.times(unit[: frames * size].reshape(frames, size), unit[frames * size :])
        return jnp.concatenate([rows.ravel(), border])

    return np.asarray(jax.vmap(column)(jnp.eye(frames * size + shared)))


def dense_covariance(objective: Objective, parameters: Parameters) -> np.ndarray:
    """The covariance of all unknowns [F·d + s], frames first, from the dense curvature."""
    curvature = dense_curvature(objective, parameters)
    felt = np.diag(curvature) > 1e-10
    inverse = np.zeros_like(curvature)
    inverse[np.ix_(felt, felt)] = np.linalg.inv(curvature[np.ix_(felt, felt)])
    if objective.problem.identity_scale > 1 and "identity" in objective.columns.shared_slices():
        # The identity prior stands once for what the energy counts n times.
        part = objective.columns.shared_slices()["identity"]
        index = len(inverse) - objective.columns.shared_size + np.arange(part.start, part.stop)
        n = float(objective.problem.identity_scale)
        stiffness = 2 * float(objective.weights.prior) * n
        inverse = inverse + (n - 1) * stiffness * inverse[:, index] @ inverse[index]
    return inverse


def everything(objective: Objective, parameters: Parameters, head: HeadModel, frames: int, vector: jax.Array) -> dict:
    """What a track stores, as a function of a step [F·d + s] away from `parameters`."""
    count, size = objective.problem.frame_count, objective.columns.frame_size
    after = objective.retract(parameters, vector[: count * size].reshape(count, size), vector[count * size :])
    offsets = jnp.zeros((head.vertex_count, 3)).at[objective.problem.vertex_ids].set(after.offsets)
    joints = after.joint_rotations if after.joint_rotations.shape[1] else jnp.zeros((count, head.joint_count, 3))
    local = jax.vmap(vertices, in_axes=(None, None, 0, 0, None))(
        head, after.identity, after.expression, joints, offsets
    )
    world = jnp.einsum("fij,fvj->fvi", after.head_rotation, local) + after.head_translation[:, None]
    neutral = vertices(head, after.identity, after.expression[0] * 0, None, offsets)
    return {
        "identity": after.identity,
        "expression": after.expression[:frames],
        "joint_rotations": joints[:frames],
        "head_translation": after.head_translation[:frames],
        "offsets": offsets,
        "camera_translation": after.camera_translation,
        "focal": after.focal,
        "vertices_mm": 1e3 * world[:frames],
        "neutral_mm": 1e3 * neutral,
    }


CASES = {
    "unknown cameras": {},
    "known cameras, joints, identity counted once": {
        "known": True,
        "joints": ("jaw", "left_eye"),
        "identity_prior": "once",
    },
    "one camera, shared movement": {
        "cameras": 1,
        "robust": "huber",
        "expression": "shared",
        "joint_pose": "shared",
        "joints": ("jaw",),
    },
    "no border": {"identity": "fixed", "known": True, "offsets": "fixed"},
    "no chain": {"head_pose": "shared", "expression": "fixed", "camera_pose": "fixed", "focal": "shared"},
}


@pytest.mark.minutes
@pytest.mark.usefixtures("quick_compilation_of_module")
@pytest.mark.parametrize("case", list(CASES))
def test_equals_the_dense_inverse_of_the_curvature_and_what_follows_from_it(case):
    with jax.enable_x64(True):
        settings = {"robust": "none", "joints": (), "temporal_vertices": 20} | CASES[case]
        objective, parameters = small_problem(small_head(), **settings)
        covariance = dense_covariance(objective, parameters)
        posterior = posterior_of(parameters, objective)
        own, mixed = (np.asarray(values) for values in frame_covariances(posterior))
        frames, size = 5, objective.columns.frame_size
        start = objective.problem.frame_count * size
        close = functools.partial(np.testing.assert_allclose, atol=1e-6, rtol=0)
        scale = np.sqrt(np.maximum(np.diag(covariance), 1e-30))
        relative = covariance / np.outer(scale, scale)
        close(posterior.shared / np.outer(scale[start:], scale[start:]), relative[start:, start:])
        for t in range(frames):
            part = slice(t * size, (t + 1) * size)
            close(own[t] / np.outer(scale[part], scale[part]), relative[part, part])
            close(mixed[t] / np.outer(scale[part], scale[start:]), relative[part, start:])

        # Everything in a track is as uncertain as what moves it.
        head = as_float64(small_head())
        found, _ = estimate_uncertainty(parameters, objective, head, frames)
        mean, _ = estimate_uncertainty(parameters, objective, head, frames, most_numbers=0)
        whole = functools.partial(everything, objective, parameters, head, frames)
        for name, derivative in jax.jit(jax.jacfwd(whole))(jnp.zeros(len(covariance))).items():
            derivative = np.asarray(derivative)
            variance = np.einsum("...n,nm,...m->...", derivative, covariance, derivative, optimize=True)
            variance = variance.sum(-1) if name.endswith("_mm") else variance
            tolerance = 1e-3 if name == "vertices_mm" else 1e-5
            np.testing.assert_allclose(getattr(found, name), np.sqrt(variance), rtol=tolerance, atol=1e-9, err_msg=name)
            if name == "vertices_mm":
                np.testing.assert_allclose(mean.vertices_mm, np.sqrt(variance.mean(0))[None], rtol=1e-3)


@pytest.mark.usefixtures("quick_compilation_of_module")
def test_zero_at_limits_and_infinite_where_nothing_is_seen():
    head = small_head()
    objective, parameters = small_problem_float32(head)
    unseen = objective.problem.inverse_std.at[:, 2].set(0.0)
    low = jnp.tile(jnp.asarray([[-0.5, 0.5]]), (head.expression_size, 1))
    problem = dataclasses.replace(
        objective.problem,
        inverse_std=unseen,
        temporal_stencil=jnp.zeros_like(objective.problem.temporal_stencil),
        head=dataclasses.replace(objective.problem.head, expression_limits=low),
    )
    objective = dataclasses.replace(objective, problem=problem)
    parameters = dataclasses.replace(parameters, expression=jnp.full_like(parameters.expression, 0.5))
    system = jax.jit(lambda objective, parameters: objective.normal_equations(parameters))(objective, parameters)
    held = np.asarray(system.gradient_rows)[:5, objective.columns.frame_slices()["expression"]] < 0
    found, observed = estimate_uncertainty(parameters, objective, head, 5)
    assert 0 < held.sum() < held.size, "the test must see both"
    np.testing.assert_array_equal(found.expression == 0, held)
    assert observed.held == held.sum()
    seen = np.arange(5) != 2
    assert np.isinf(found.head_translation[2]).all() and np.isinf(found.vertices_mm[2]).all()
    assert np.isfinite(found.head_translation[seen]).all() and np.isfinite(found.vertices_mm[seen]).all()


@pytest.mark.usefixtures("quick_compilation_of_module")
@pytest.mark.minutes
def test_a_focal_length_that_only_its_prior_knows_is_said_to_be():
    """One camera, and observations as good as none."""
    head = small_head()
    objective, parameters = small_problem_float32(head, cameras=1, frames=3)
    weak = dataclasses.replace(objective.problem, inverse_std=1e-3 * objective.problem.inverse_std)
    cameras = ("front",)
    for problem, by_prior in ((objective.problem, False), (weak, True)):
        _, record = error_bars(parameters, problem, objective.chart, FitConfig(), parameters.focal, head, 3, cameras)
        assert record["cameras"][0]["focal_set_by_prior"] == by_prior
        assert any("front is set by its prior" in note for note in record["notes"]) == by_prior
        assert (record["identity_determined"] > 0) != by_prior
        assert "first camera" in record["gauge"] or "given" in record["gauge"]


TRIALS = 500


def truths(objective: Objective, base: Parameters, count: int) -> Parameters:
    """`count` draws [count,...] of everything, about `base`, from what the energy's priors expect."""
    blind = dataclasses.replace(objective.problem, inverse_std=0 * objective.problem.inverse_std)
    once = dataclasses.replace(objective, problem=dataclasses.replace(blind, identity_scale=jnp.float32(1.0)))
    values, vectors = np.linalg.eigh(dense_curvature(once, base).astype(np.float64))
    # What no prior holds (but for rounding) stays where it is: the errors of its estimate do not depend on it.
    root = vectors * np.where(values > 0.3, 1 / np.sqrt(np.maximum(values, 0.3)), 0.0)
    draws = np.random.default_rng(0).normal(size=(count, len(root))) @ root.T
    size = objective.columns.frame_size
    own = objective.problem.frame_count * size
    rows = jnp.asarray(draws[:, :own].reshape(count, -1, size), jnp.float32)
    shared = jnp.asarray(draws[:, own:], jnp.float32)
    return jax.jit(jax.vmap(lambda r, s: objective.retract(base, r, s)))(rows, shared)


def refits(objective: Objective, truth: Parameters, steps: int = 6) -> tuple[Objective, Parameters]:
    """Noisy observations of every truth [n,...], as the energy believes them to be, and the minima found from there."""
    problem = objective.problem

    def observed(truth: Parameters, key: jax.Array) -> jax.Array:
        world = truth.to_world(head_vertices(truth, problem))
        exact = jnp.stack(truth.to_pixels(observed_points(problem, world), problem.principal_point), axis=-1)
        std = jnp.where(problem.inverse_std > 0, 1 / jnp.maximum(problem.inverse_std, 1e-6), 0.0)
        return exact + std[..., None] * jax.random.normal(key, exact.shape)

    def about(truth: Parameters, mean: jax.Array) -> Objective:
        return dataclasses.replace(
            objective,
            problem=dataclasses.replace(problem, mean=mean),
            chart=dataclasses.replace(objective.chart, base=truth),
        )

    def refit(truth: Parameters, key: jax.Array) -> tuple[jax.Array, Parameters]:
        mean = observed(truth, key)
        here = about(truth, mean)
        state = jax.lax.fori_loop(0, steps, lambda _, s: advance(s, here, jnp.float32(0.0)), start(here, steps))
        return mean, state.parameters

    keys = jax.random.split(jax.random.key(0), TRIALS)
    mean, found = jax.jit(jax.vmap(refit))(truth, keys)
    several = dataclasses.replace(objective, problem=dataclasses.replace(problem, mean=mean))
    return several, found


@pytest.mark.minutes
@pytest.mark.parametrize("robust", ["none", "geman_mcclure"])
def test_estimates_scatter_about_the_truth_as_their_error_bars_say(robust):
    """Truths are drawn from the priors, and observed with the stated errors, 500 times."""
    head, frames = small_head(), 5
    config = FitConfig(robust=robust, joints=(), temporal_vertices=20, focal_prior_std=0.03)
    problem, chart, guess = plan(small_performance(head, cameras=small_cameras(1), frames=frames), head, None, config)
    problem = dataclasses.replace(problem, point_weight=jnp.ones_like(problem.point_weight))
    first = jax.tree.map(lambda rows: jnp.broadcast_to(rows[:1], rows.shape), chart.base)
    base = dataclasses.replace(
        chart.base,
        identity=0 * chart.base.identity,
        expression=0 * chart.base.expression,
        head_rotation=first.head_rotation,
        head_translation=first.head_translation,
        focal=guess,
    )
    objective = make_objective(problem, dataclasses.replace(chart, base=base), EnergyWeights.of(config), guess)
    truth = truths(objective, base, TRIALS)
    several, found = refits(objective, truth)

    def stored(parameters: Parameters) -> dict[str, jax.Array]:
        local = jax.vmap(lambda e: vertices(head, parameters.identity, e))(parameters.expression)
        world = jnp.einsum("fij,fvj->fvi", parameters.head_rotation, local) + parameters.head_translation[:, None]
        names = ("identity", "expression", "head_translation", "focal")
        return {name: getattr(parameters, name) for name in names} | {
            "vertices_mm": 1e3 * world,
            "neutral_mm": 1e3 * vertices(head, parameters.identity, 0 * parameters.expression[0]),
        }

    error = {
        name: np.asarray(values)
        for name, values in jax.tree.map(
            lambda a, b: a - b, jax.jit(jax.vmap(stored))(found), jax.jit(jax.vmap(stored))(truth)
        ).items()
    }
    turn = np.einsum("nfij,nfkj->nfik", np.asarray(found.head_rotation), np.asarray(truth.head_rotation))
    error["head_rotation"] = Rotation.from_matrix(turn.reshape(-1, 3, 3)).as_rotvec().reshape(*turn.shape[:2], 3)

    def stated_in(trial: int) -> Uncertainty:
        one = dataclasses.replace(several.problem, mean=several.problem.mean[trial])
        parameters = jax.tree.map(lambda values: values[trial], found)
        return estimate_uncertainty(parameters, dataclasses.replace(several, problem=one), head, frames)[0]

    stated = [stated_in(trial) for trial in range(8)]
    for name, errors in error.items():
        squared = errors**2
        squared = squared.sum(-1) if name.endswith("_mm") else squared
        expected = np.sqrt(np.mean([np.float32(getattr(each, name)) ** 2 for each in stated], axis=0))
        scattered = np.sqrt(squared.mean(0))
        # Without padding frames.
        ratio = scattered[: len(expected)] / expected
        assert 0.9 < np.sqrt(np.mean(ratio**2)) < 1.1, f"{name}: {ratio}"
        # 500 trials tell a standard deviation to 3 %.
        assert (np.abs(ratio - 1) < 0.18).all(), f"{name}: {ratio}"
