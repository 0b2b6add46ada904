"""Every energy term is its formula, and its gradient is the derivative."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import Parameters, assemble, initial_variables
from flowface_jax.fitting.problem import FLAME_VERTICES, make_problem
from flowface_jax.heads.model import vertices
from tests.fitting.small import as_float64, small_alignment, small_cameras, small_head

CONFIG = FitConfig(temporal_vertices=0, offsets="shared", joints=("jaw", "left_eye"), robust="none")


@pytest.fixture(scope="module")
def setting():
    head, cameras = small_head(), small_cameras()
    alignment = small_alignment(head)
    random = np.random.default_rng(3)
    neutral = np.asarray(head.template) + random.normal(size=head.template.shape) * 0.003
    problem = make_problem(alignment, head, np.asarray(cameras.principal_point), CONFIG, neutral)
    frames = problem.frame_count
    offsets = 0.002 * random.normal(size=(head.vertex_count, 3))
    parameters = Parameters(
        identity=jnp.asarray(random.normal(size=head.identity_size), jnp.float32),
        expression=jnp.asarray(random.normal(size=(frames, head.expression_size)), jnp.float32),
        joint_rotations=jnp.asarray(0.3 * random.normal(size=(frames, 5, 3)), jnp.float32),
        head_rotation=jnp.asarray(Rotation.random(frames, random_state=4).as_matrix(), jnp.float32),
        head_translation=jnp.asarray(0.02 * random.normal(size=(frames, 3)), jnp.float32),
        offsets=jnp.asarray(offsets[np.asarray(problem.vertex_ids)], jnp.float32),
        camera_rotation=cameras.rotation,
        camera_translation=cameras.translation,
        focal=cameras.focal,
    )
    return head, alignment, problem, parameters, offsets, neutral


def _world(head, parameters, offsets, frame):
    """Equation 9 by hand: [V,3]."""
    local = vertices(
        head,
        parameters.identity,
        parameters.expression[frame],
        parameters.joint_rotations[frame],
        jnp.asarray(offsets, jnp.float32),
    )
    rotation, translation = np.asarray(parameters.head_rotation[frame]), np.asarray(parameters.head_translation[frame])
    return np.stack([rotation @ v + translation for v in np.asarray(local, np.float64)])


def test_alignment_term_is_the_loop_over_equation_13(setting):
    head, alignment, problem, parameters, offsets, _ = setting
    total = 0.0
    for t in range(alignment.frame_count):
        world = _world(head, parameters, offsets, t)
        for j in range(alignment.camera_count):
            if not alignment.valid[j, t]:
                continue
            rotation = np.asarray(parameters.camera_rotation[j], np.float64)
            for i in range(alignment.point_count):
                sigma = float(alignment.std[j, t, i])
                if not np.isfinite(sigma):
                    continue
                ids, barycentric = alignment.vertex_ids[i], alignment.barycentric[i]
                weight = sum(float(head.vertex_weights[v]) * float(b) for v, b in zip(ids, barycentric, strict=True))
                point = sum(world[v] * float(b) for v, b in zip(ids, barycentric, strict=True))
                x, y, z = rotation @ point + np.asarray(parameters.camera_translation[j], np.float64)
                pixel = float(parameters.focal[j]) * np.array([x, y]) / z + np.asarray(problem.principal_point[j])
                total += weight * np.sum((pixel - alignment.mean[j, t, i]) ** 2) / (2 * sigma**2)
    term = energy(parameters, problem, EnergyWeights.of(CONFIG)).alignment
    np.testing.assert_allclose(float(term), total, rtol=2e-5)


@pytest.mark.parametrize("kind", ["huber", "geman_mcclure"])
def test_robust_kernels_equal_the_square_near_zero_and_stay_below_it_far_away(setting, kind):
    _, _, problem, parameters, _, _ = setting
    near = EnergyWeights.of(FitConfig(robust=kind, robust_scale=1e5))
    far = EnergyWeights.of(FitConfig(robust=kind, robust_scale=2.0))
    plain = float(energy(parameters, problem, EnergyWeights.of(CONFIG)).alignment)
    np.testing.assert_allclose(float(energy(parameters, problem, near).alignment), plain, rtol=1e-4)
    assert float(energy(parameters, problem, far).alignment) < 0.5 * plain


def test_prior_term_is_the_sum_of_squares(setting):
    head, alignment, problem, parameters, _, _ = setting
    images = int(sum((np.isfinite(alignment.std[c, f])).any() for c in range(2) for f in range(5)))
    total = images * sum(float(b) ** 2 for b in parameters.identity)
    for t in range(alignment.frame_count):
        for e in range(head.expression_size):
            total += (float(parameters.expression[t, e]) / float(head.expression_std[e])) ** 2
    term = energy(parameters, problem, EnergyWeights.of(CONFIG)).prior
    np.testing.assert_allclose(float(term), CONFIG.prior_weight * total, rtol=1e-5)


def test_temporal_term_is_the_loop_over_equation_14(setting):
    head, alignment, problem, parameters, offsets, _ = setting
    world = [_world(head, parameters, offsets, t) for t in range(alignment.frame_count)]
    total = 0.0
    for t in range(1, alignment.frame_count - 1):
        for i in range(head.vertex_count):
            total += np.sum((world[t - 1][i] - 2 * world[t][i] + world[t + 1][i]) ** 2)
    expected = CONFIG.temporal_weight * FLAME_VERTICES / head.vertex_count * total
    np.testing.assert_allclose(
        float(energy(parameters, problem, EnergyWeights.of(CONFIG)).temporal), expected, rtol=1e-4
    )


def test_neutral_term_is_the_distance_to_the_given_head(setting):
    head, alignment, problem, parameters, offsets, neutral = setting
    seen = np.zeros_like(offsets)
    rows = np.asarray(problem.vertex_ids)
    seen[rows] = offsets[rows]
    shape = np.asarray(vertices(head, parameters.identity, jnp.zeros(head.expression_size)), np.float64)
    template = np.asarray(head.template, np.float64)
    centred = shape - template.mean(0) + seen - (neutral - neutral.mean(0))
    images = int(alignment.valid.sum())
    expected = CONFIG.neutral_weight * images * FLAME_VERTICES / head.vertex_count * np.sum(centred**2)
    np.testing.assert_allclose(
        float(energy(parameters, problem, EnergyWeights.of(CONFIG)).neutral), expected, rtol=1e-4
    )


@pytest.mark.minutes
def test_every_gradient_is_the_finite_difference_in_float64():
    head, cameras = small_head(), small_cameras()
    alignment = small_alignment(head)
    neutral = np.asarray(head.template) * 1.03
    config = FitConfig(temporal_vertices=0, offsets="shared", joints=("jaw",), focal="free", camera_pose="free")
    with jax.enable_x64(True):
        problem = make_problem(alignment, head, np.asarray(cameras.principal_point), config, neutral)
        layout = make_layout(alignment, head, cameras, config)
        state, guess = initialise(alignment, head, cameras, layout, config)
        chart = as_float64(make_chart(problem, head, state, layout, config))
        problem = as_float64(problem)
        random = np.random.default_rng(0)
        start = {
            k: jnp.asarray(np.asarray(v) + 0.1 * random.normal(size=v.shape))
            for k, v in initial_variables(chart).items()
        }
        assert set(start) == {
            "identity",
            "expression",
            "joint_rotations",
            "head_rotation",
            "head_translation",
            "offsets",
            "camera_rotation",
            "camera_translation",
            "log_focal",
        }
        flat, unflatten = jax.flatten_util.ravel_pytree(start)

        def total(vector):
            return energy(
                assemble(unflatten(vector), chart), problem, EnergyWeights.of(config), jnp.asarray(guess)
            ).total

        gradient = jax.grad(total)(flat)
        for _ in range(12):
            direction = random.normal(size=flat.shape)
            step = 1e-6
            difference = (total(flat + step * direction) - total(flat - step * direction)) / (2 * step)
            np.testing.assert_allclose(float(gradient @ direction), float(difference), rtol=1e-5)


def test_padding_frames_change_nothing(setting):
    head, alignment, problem, parameters, _, _ = setting
    assert problem.frame_count > alignment.frame_count
    changed = jax.tree.map(lambda a: a, parameters)
    last = alignment.frame_count
    moved = Parameters(
        **{
            **changed.__dict__,
            "expression": parameters.expression.at[last:].add(1.0),
            "head_translation": parameters.head_translation.at[last:].add(0.3),
        }
    )
    before, after = (energy(p, problem, EnergyWeights.of(CONFIG)).total for p in (parameters, moved))
    assert float(before) == float(after)
