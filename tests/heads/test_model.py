"""What the one posing function promises: it agrees with the model's definition, and it can be differentiated "
"anywhere."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import jaxlie
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowface_jax.heads.flame import load_flame
from flowface_jax.heads.model import points, restrict, vertices
from tests.heads import flame_files

S, E, K = 5, 4, 5
posed = jax.jit(vertices)


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flame")
    flame_files.write_object_npy(folder / "landmark_embedding.npy", flame_files.landmark_embedding())
    path = flame_files.write_flame(folder / "flame2023.pkl", flame_files.flame_arrays(identity=S, expression=E), "2023")
    return load_flame(path, identity_size=S, expression_size=E, bind_to_atlas=False)


def coefficients(seed):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=S), jnp.float32), jnp.asarray(rng.normal(size=E), jnp.float32)


def vectors(count, largest=3.0):
    one = st.floats(-largest, largest, width=32)
    return st.lists(one, min_size=count, max_size=count).map(lambda values: jnp.asarray(values, jnp.float32))


def by_the_book(head, identity, expression, rotations):
    """Equation 8 in plain double-precision loops."""
    get = lambda name: np.asarray(getattr(head, name), np.float64)
    shaped = get("template") + get("identity_basis") @ identity + get("expression_basis") @ expression
    joints = get("joint_template") + get("joint_identity") @ identity + get("joint_expression") @ expression
    matrices = np.stack(
        [np.asarray(jaxlie.SO3.exp(jnp.asarray(r, jnp.float32)).as_matrix(), np.float64) for r in rotations]
    )
    shaped = shaped + get("pose_correctives") @ (matrices - np.eye(3)).ravel()
    world = []
    for k, parent in enumerate(head.joint_parents):
        local = np.eye(4)
        local[:3, :3] = matrices[k]
        local[:3, 3] = joints[k] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    result = np.zeros_like(shaped)
    for k in range(K):
        moved = (shaped - joints[k]) @ world[k][:3, :3].T + world[k][:3, 3]
        result += get("skinning_weights")[:, k : k + 1] * moved
    return result


@settings(max_examples=20, deadline=None)
@given(vectors(S), vectors(E), vectors(3 * K))
def test_posed_vertices_are_those_of_the_definition(head, identity, expression, rotations):
    rotations = rotations.reshape(K, 3)
    ours = posed(head, identity, expression, rotations)
    np.testing.assert_allclose(ours, by_the_book(head, identity, expression, np.asarray(rotations)), atol=2e-6)


@settings(max_examples=10, deadline=None)
@given(vectors(S), vectors(E))
def test_zero_rotations_equal_the_blend_shapes(head, identity, expression):
    blended = posed(head, identity, expression)
    np.testing.assert_allclose(posed(head, identity, expression, jnp.zeros((K, 3))), blended, atol=1e-6)


@settings(max_examples=10, deadline=None)
@given(vectors(3))
def test_rotating_the_root_turns_the_head_rigidly_about_it(head, axis_angle):
    identity, expression = coefficients(0)
    rest = np.asarray(posed(head, identity, expression), np.float64)
    turned = posed(head, identity, expression, jnp.zeros((K, 3)).at[0].set(axis_angle))
    joint = np.asarray(
        head.joint_template[0] + head.joint_identity[0] @ identity + head.joint_expression[0] @ expression
    )
    rotation = np.asarray(jaxlie.SO3.exp(axis_angle).as_matrix(), np.float64)
    np.testing.assert_allclose(turned, (rest - joint) @ rotation.T + joint, atol=2e-6)


def test_offsets_are_added_after_skinning(head):
    identity, expression = coefficients(1)
    rotations = jnp.full((K, 3), 0.3)
    offsets = jnp.full(head.template.shape, 0.001)
    without = posed(head, identity, expression, rotations, jnp.zeros_like(offsets))
    difference = posed(head, identity, expression, rotations, offsets) - without
    np.testing.assert_allclose(difference, offsets, atol=1e-7)


def test_shorter_coefficients_use_the_leading_components(head):
    identity, expression = coefficients(2)
    padded = posed(head, jnp.zeros(S).at[:2].set(identity[:2]), jnp.zeros(E).at[:1].set(expression[:1]))
    np.testing.assert_allclose(vertices(head, identity[:2], expression[:1]), padded, atol=1e-7)


def test_vmap_equals_a_loop(head):
    rng = np.random.default_rng(3)
    identity, expression = jnp.asarray(rng.normal(size=(3, S))), jnp.asarray(rng.normal(size=(3, E)))
    rotations = jnp.asarray(rng.normal(size=(3, K, 3)))
    batch = jax.vmap(lambda *arguments: vertices(head, *arguments))(identity, expression, rotations)
    for i in range(3):
        np.testing.assert_allclose(batch[i], posed(head, identity[i], expression[i], rotations[i]), atol=1e-6)


def test_gradients_are_finite_and_right_at_zero_rotation(head):
    identity, expression = coefficients(4)
    target = jnp.asarray(np.random.default_rng(5).normal(size=head.template.shape), jnp.float32)
    both = jax.jit(
        jax.value_and_grad(lambda rotations: jnp.sum(vertices(head, identity, expression, rotations) * target))
    )
    _, gradient = both(jnp.zeros((K, 3)))
    assert jnp.isfinite(gradient).all() and jnp.abs(gradient).min() > 0
    step = 1e-2
    for k, axis in ((0, 0), (2, 1), (4, 2)):
        away = jnp.zeros((K, 3)).at[k, axis].set(step)
        measured = (both(away)[0] - both(-away)[0]) / (2 * step)
        np.testing.assert_allclose(gradient[k, axis], measured, rtol=2e-2, atol=1e-3)


def test_second_derivatives_are_finite_at_zero_rotation(head):
    identity, expression = coefficients(6)
    few = restrict(head, jnp.arange(5))
    energy = lambda rotations: jnp.sum(vertices(few, identity, expression, rotations) ** 2)
    curvature = jax.jit(lambda at, along: jax.jvp(jax.grad(energy), (at,), (along,))[1])
    assert jnp.isfinite(curvature(jnp.zeros((K, 3)), jnp.ones((K, 3)))).all()


def test_points_lie_on_their_triangles(head):
    identity, expression = coefficients(7)
    where = posed(head, identity, expression)
    expected = np.einsum("pkd,pk->pd", np.asarray(where)[head.landmarks.vertex_ids], head.landmarks.barycentric)
    np.testing.assert_allclose(points(head, head.landmarks, identity, expression), expected, atol=1e-6)


def test_a_restricted_head_gives_the_same_positions(head):
    ids = jnp.array([3, 0, 150])
    identity, expression = coefficients(8)
    rotations = jnp.full((K, 3), 0.2)
    np.testing.assert_allclose(
        posed(restrict(head, ids), identity, expression, rotations),
        posed(head, identity, expression, rotations)[ids],
        atol=1e-6,
    )
