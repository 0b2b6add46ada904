"""Derivatives of the fit against finite differences of complete refits, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.differentiable import differentiable_fit
from flowface_jax.fitting.energy import observed_points
from flowface_jax.fitting.implicit import ImplicitSettings, minimise
from flowface_jax.fitting.objective import make_objective
from flowface_jax.heads.model import vertices
from tests.fitting.small import small_cameras, small_head, small_performance

# Several long compilations.
pytestmark = pytest.mark.minutes

LIMIT = 0.25
"""Of every expression: the performers' smiles go further, so that some frames end at it."""

FRAMES = 4


@pytest.fixture(scope="module", autouse=True)
def _double_precision():
    """Float64, and programs that are quick to compile: these run only once or twice."""
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.enable_x64(True):
        yield
    jax.config.update("jax_disable_most_optimizations", False)


def _prepared():
    head = small_head(count=30, identities=2, expressions=2)
    head = dataclasses.replace(head, expression_limits=jnp.tile(jnp.asarray([-LIMIT, LIMIT], jnp.float32), (2, 1)))
    cameras = small_cameras(2)
    alignment = small_performance(head, 1, cameras, FRAMES, noise=1.0, outliers=0.03, dropout=0.05)
    config = FitConfig(joints=(), offsets="fixed", focal="free", temporal_vertices=0)
    random = np.random.default_rng(3)
    neutral = np.asarray(head.template) + 0.002 * random.normal(size=head.template.shape)
    return differentiable_fit(alignment, head, cameras, config, neutral)


@pytest.fixture(scope="module")
def refit():
    return _prepared()


def _inputs(refit):
    """Everything that the gradient is checked for."""
    neutral = refit.head.template - refit.objective.problem.neutral_residual
    start = refit.start.camera_translation
    return {
        "mean": refit.mean,
        "std": refit.std,
        "weights": refit.weights,
        "neutral": neutral,
        "camera_translation": start,
    }


def _loss(refit, inputs):
    """A sum over vertices and parameters in which each counts differently."""
    start = dataclasses.replace(refit.start, camera_translation=inputs["camera_translation"])
    found = refit(inputs["mean"], inputs["std"], inputs["weights"], neutral_template=inputs["neutral"], start=start)
    world = refit.vertices(found)
    counted = jnp.cos(jnp.arange(world.size)).reshape(world.shape)
    return (counted * world).sum() + 0.01 * found.expression.sum() + 1e-4 * found.focal.sum(), found


@jax.jit
def _everything(refit, inputs, direction):
    """For two inputs and directions at once: loss, parameters, gradient, and the loss's change along the direction."""

    def one(inputs, direction):
        value, along, found = jax.linearize(lambda inputs: _loss(refit, inputs), inputs, has_aux=True)
        (gradient,) = jax.linear_transpose(along, inputs)(jnp.ones_like(value))
        return value, found, gradient, along(direction)

    return jax.vmap(one)(inputs, direction)


def _pair(first, second):
    return jax.tree.map(
        lambda a, b: jnp.stack([jnp.asarray(a, jnp.float64), jnp.asarray(b, jnp.float64)]), first, second
    )


def _direction(inputs, name):
    """A random direction in one of the inputs, in proportion to its size."""
    still = jax.tree.map(jnp.zeros_like, inputs)
    if name.startswith("weight of "):
        name = name.removeprefix("weight of ")
        weights = dataclasses.replace(still["weights"], **{name: getattr(inputs["weights"], name)})
        return {**still, "weights": weights}
    value = inputs[name]
    scale = {"mean": 1.0, "neutral": 1e-3, "camera_translation": 1e-3, "std": jnp.where(jnp.isfinite(value), value, 0)}
    return {**still, name: scale[name] * np.random.default_rng(0).normal(size=value.shape)}


def _dot(gradient, direction):
    pairs = zip(jax.tree.leaves(gradient), jax.tree.leaves(direction), strict=True)
    return float(sum(jnp.vdot(a, b) for a, b in pairs))


def _first(pair):
    return jax.tree.map(lambda values: values[0], pair)


@pytest.fixture(scope="module")
def here(refit):
    """`_everything` at the inputs themselves, along the means."""
    inputs = _inputs(refit)
    direction = _direction(inputs, "mean")
    return _first(_everything(refit, _pair(inputs, inputs), _pair(direction, direction)))


NAMES = (
    ["mean", "std", "neutral", "camera_translation"]
    + [f"weight of {name}" for name in ("prior", "temporal", "neutral", "robust_scale", "focal_prior_std")]
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_complete_refits(refit, here, name):
    """Reverse and forward mode, inside jax.vmap and jax.jit."""
    inputs, step = _inputs(refit), 1e-3
    direction = _direction(inputs, name)
    moved = [jax.tree.map(lambda a, b, by=by: a + by * b, inputs, direction) for by in (step, -step)]
    value, _, _, along = _everything(refit, _pair(*moved), _pair(direction, direction))
    expected = float(value[0] - value[1]) / (2 * step)
    assert abs(expected) > 1e-6
    assert _dot(here[2], direction) == pytest.approx(expected, rel=1e-4)
    # The derivatives half a step to either side, in forward mode.
    assert float(along.mean()) == pytest.approx(expected, rel=1e-4)


def test_forward_and_reverse_mode_agree(refit, here):
    _, _, gradient, along = here
    assert _dot(gradient, _direction(_inputs(refit), "mean")) == pytest.approx(float(along), rel=1e-7)


def test_unknowns_at_a_limit_stay_there(refit, here):
    """Observations that move a little move every expression but those pressed against a limit."""
    inputs = _inputs(refit)
    direction = _direction(inputs, "mean")
    moved = jax.tree.map(lambda a, b: a + 1e-3 * b, inputs, direction)
    _, found, _, _ = _everything(refit, _pair(moved, inputs), _pair(direction, direction))
    after, before = found.expression
    at_limit = np.abs(np.abs(before) - LIMIT) < 1e-6
    assert at_limit.any() and not at_limit.all()
    np.testing.assert_allclose(after[at_limit], before[at_limit], rtol=0, atol=1e-12)
    assert (np.abs(after - before)[~at_limit] > 1e-9).all()


def test_wrong_shapes_are_told(refit):
    with pytest.raises(InputError, match=r"prepared for means of shape .* prepare another"):
        refit(refit.mean[:, :-1])


def test_gauss_newton_is_biased_where_residuals_are_large(refit):
    """Without second derivatives and the robust kernel's bend the derivative is a tenth off and more where the head
    cannot explain what is seen (here a jaw turns that the fit holds), and near where it can."""
    parameters = jax.jit(lambda refit: refit())(refit)
    surface = refit.objective.problem
    world = parameters.to_world(
        jax.vmap(lambda e: vertices(surface.head, parameters.identity, e))(parameters.expression)
    )
    explained = jnp.stack(parameters.to_pixels(observed_points(surface, world), surface.principal_point), axis=-1)

    @jax.jit
    def gradient(mean, refit):
        return jax.grad(lambda mean: _loss(refit, {**_inputs(refit), "mean": mean})[0])(mean)

    cheap = dataclasses.replace(refit, settings=ImplicitSettings(curvature="gauss_newton"))
    errors = []
    for mean in (refit.mean, explained):
        exact, approximate = gradient(mean, refit), gradient(mean, cheap)
        errors.append(float(jnp.linalg.norm(approximate - exact) / jnp.linalg.norm(exact)))
    assert errors[0] > 0.1
    assert errors[1] < 0.2 * errors[0]


def test_the_head_s_bases_are_differentiable(refit):
    """Along a random change of the identity basis, against objectives made anew for the changed head."""
    objective = refit.objective
    basis = objective.problem.head.identity_basis
    along = 1e-4 * np.random.default_rng(2).normal(size=basis.shape)

    def with_basis(objective, basis):
        head = dataclasses.replace(objective.problem.head, identity_basis=basis)
        return dataclasses.replace(objective, problem=dataclasses.replace(objective.problem, head=head))

    def made_anew(step):
        changed = with_basis(objective, basis + step * along)
        return make_objective(changed.problem, changed.chart, changed.weights, changed.focal_guess)

    def loss(basis, objective):
        found = minimise(refit.settings, with_basis(objective, basis))
        return found.identity.sum() + found.head_translation[:FRAMES].sum()

    value = jax.jit(lambda objective: loss(objective.problem.head.identity_basis, objective))
    expected = float(value(made_anew(1e-2)) - value(made_anew(-1e-2))) / 2e-2
    _, derivative = jax.jit(lambda basis, objective: jax.jvp(lambda b: loss(b, objective), (basis,), (along,)))(
        basis, objective
    )
    assert float(derivative) == pytest.approx(expected, rel=1e-4)
