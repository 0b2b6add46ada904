"""The fit written in PyTorch has our energy, our gradient and our AdamW (needs the `peers` extra)."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.fitting.adamw import solve_adamw
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.energy import EnergyWeights, energy
from flowface_jax.fitting.fit import make_chart, make_layout
from flowface_jax.fitting.initialise import initialise
from flowface_jax.fitting.parameters import assemble, initial_variables
from flowface_jax.fitting.problem import make_problem
from tests.fitting.small import as_float64, small_alignment, small_cameras, small_head, small_performance

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
torch_fit = pytest.importorskip("torch_fit")


@dataclasses.dataclass(frozen=True)
class Case:
    problem: object
    chart: object
    focal_guess: object
    config: FitConfig


def make_case(alignment, head, cameras, config, neutral=None):
    layout = make_layout(alignment, head, cameras, config)
    state, guess = initialise(alignment, head, cameras, layout, config)
    problem = make_problem(alignment, head, alignment.image_size / 2.0, config, neutral)
    return Case(problem, make_chart(problem, head, state, layout, config), np.asarray(guess, np.float32), config)


def widened(case):
    return dataclasses.replace(
        case,
        problem=as_float64(case.problem),
        chart=as_float64(case.chart),
        focal_guess=np.asarray(case.focal_guess, np.float64),
    )


def ours(case, variables):
    weights = as_float64(EnergyWeights.of(case.config))
    value = lambda v: energy(assemble(v, case.chart), case.problem, weights, jnp.asarray(case.focal_guess)).total
    return jax.jit(jax.value_and_grad(value))(variables)


@pytest.mark.parametrize(
    "count, known, settings",
    [
        (2, False, {}),
        (2, False, {"robust": "none", "joints": ("jaw", "left_eye")}),
        (2, True, {"robust": "huber"}),
        (1, False, {"focal_prior_std": 0.0, "temporal_vertices": 20}),
        (3, False, {"focal": "shared", "expression": "shared", "joint_pose": "shared", "joints": ("jaw",)}),
        (2, False, {"head_pose": "shared", "identity": "fixed", "offsets": "fixed", "identity_prior": "once"}),
    ],
)
def test_energy_and_gradient_are_ours(count, known, settings):
    config = FitConfig(**{"temporal_vertices": 0, **settings})
    head, random = small_head(), np.random.default_rng(3)
    neutral = np.asarray(head.template) + 0.003 * random.normal(size=head.template.shape)
    cameras = small_cameras(count) if known else None
    case = make_case(small_alignment(head, cameras=count), head, cameras, config, neutral)
    with jax.enable_x64(True):
        case = widened(case)
        start = initial_variables(case.chart)
        variables = {name: value + 0.1 * random.normal(size=value.shape) for name, value in start.items()}
        value, gradient = ours(case, variables)
    model = torch_fit.FaceFit(case, torch.float64)
    assert set(model.variables) == set(start)
    with torch.no_grad():
        for name, variable in model.variables.items():
            np.testing.assert_allclose(variable.numpy(), np.asarray(start[name]), atol=1e-12)
            variable.copy_(torch.from_numpy(np.array(variables[name])))
    result = model()
    result.backward()
    assert result.item() == pytest.approx(float(value), rel=1e-10)
    for name, variable in model.variables.items():
        mine = np.asarray(gradient[name])
        # Shares of a vertex's copies are stored in float32.
        np.testing.assert_allclose(variable.grad.numpy(), mine, rtol=0, atol=1e-7 * np.abs(mine).max(), err_msg=name)


def test_vertices_need_no_corners():
    head = small_head()
    case = make_case(small_performance(head, point_set="vertices"), head, None, FitConfig())
    with jax.enable_x64(True):
        case = widened(case)
        value, _ = ours(case, initial_variables(case.chart))
    assert torch_fit.FaceFit(case, torch.float64)().item() == pytest.approx(float(value), rel=1e-10)


def test_adamw_takes_our_steps():
    head = small_head()
    limits = jnp.tile(jnp.asarray([-0.2, 0.6]), (head.expression_size, 1))
    head = dataclasses.replace(head, expression_limits=limits)
    case = make_case(small_performance(head), head, None, FitConfig(max_steps=400, patience=5))
    model, history = torch_fit.FaceFit(case), []
    torch_fit.solve(model, report=lambda step, value, rate: history.append((value, rate)))
    solution = solve_adamw(case.problem, case.chart, case.config, jnp.asarray(case.focal_guess))
    values, rates = np.asarray(history).T
    np.testing.assert_allclose(values[:100], solution.history[:100], rtol=1e-3)
    # Rounding decides when a plateau is over, so only the beginning and the end can be the same.
    assert values[-1] == pytest.approx(solution.history[-1], rel=1e-3)
    assert rates[0] == case.config.learning_rate and rates[-1] < rates[0]
    expression = model.variables["expression"]
    assert expression.min() >= -0.2 - 1e-6 and expression.max() <= 0.6 + 1e-6
