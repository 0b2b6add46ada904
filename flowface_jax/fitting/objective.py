"""What the second-order solver sees of the energy: its value, its quadratic model and its limits, at any parameters."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.fitting.columns import Columns, columns_of, retract
from flowface_jax.fitting.energy import (
    EnergyWeights,
    alignment_term,
    focal_term,
    head_vertices,
    neutral_term,
    offset_term,
    prior_term,
    temporal_term,
)
from flowface_jax.fitting.linearisation import chunk_frames, linearise_alignment, rows_of
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases, point_bases
from flowface_jax.fitting.priors import add_expression_prior, add_shared_priors
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.temporal import add_temporal
from flowface_jax.pytrees import pytree_dataclass, static_field


@pytree_dataclass
class Objective:
    """The energy of one problem in one chart. columns and chunk (frames taken at once) are static under jit."""

    problem: FitProblem
    bases: PointBases
    weights: EnergyWeights
    focal_guess: jax.Array
    chart: Chart
    columns: Columns = static_field()
    chunk: int = static_field()

    def energies(self, parameters: Parameters) -> jax.Array:
        """The energy [n], in parts whose differences are more exact than the difference of their sums."""
        problem, weights = self.problem, self.weights

        def alignment(index: jax.Array) -> jax.Array:
            rows = rows_of(parameters, index * self.chunk, self.chunk)
            mean, inverse_std = (
                jax.lax.dynamic_slice_in_dim(values, index * self.chunk, self.chunk, axis=1)
                for values in (problem.mean, problem.inverse_std)
            )
            part = dataclasses.replace(problem, mean=mean, inverse_std=inverse_std)
            return alignment_term(rows, part, weights, rows.to_world(head_vertices(rows, part)))

        by_chunk = jax.lax.map(alignment, jnp.arange(problem.frame_count // self.chunk))
        others = [
            prior_term(parameters, problem, weights),
            self._temporal(parameters),
            neutral_term(parameters, problem, weights),
            offset_term(parameters, problem, weights),
            focal_term(parameters, weights, self.focal_guess),
        ]
        return jnp.concatenate([by_chunk, jnp.stack(others)])

    def _temporal(self, parameters: Parameters) -> jax.Array:
        count = self.bases.temporal_head.vertex_count
        sampled = dataclasses.replace(
            self.problem, head=self.bases.temporal_head, barycentric=self.problem.barycentric[:, :0]
        )
        moved = dataclasses.replace(parameters, offsets=parameters.offsets[parameters.offsets.shape[0] - count :])
        return temporal_term(sampled, self.weights, moved.to_world(head_vertices(moved, sampled)))

    def normal_equations(self, parameters: Parameters) -> NormalEquations:
        """The energy's Gauss-Newton model at `parameters`."""
        arguments = (self.problem, self.bases, self.weights, self.chart, self.columns, self.chunk)
        with jax.default_matmul_precision("highest"):
            system = linearise_alignment(parameters, *arguments)
            system = add_expression_prior(system, parameters, self.problem, self.weights, self.columns)
            system = add_shared_priors(
                system, parameters, self.problem, self.weights, self.focal_guess, self.chart, self.columns
            )
            return add_temporal(system, parameters, *arguments)

    def retract(self, parameters: Parameters, rows: jax.Array, shared: jax.Array) -> Parameters:
        """The parameters after a step."""
        return retract(parameters, shared, rows, self.chart, self.columns)

    def room(self, parameters: Parameters) -> tuple[jax.Array, jax.Array]:
        """How far each unknown of the frames [F,d] may fall (≤ 0) and rise (≥ 0) before a limit of the head model."""
        shape = (self.problem.frame_count, self.columns.frame_size)
        low, high = jnp.full(shape, -jnp.inf), jnp.full(shape, jnp.inf)
        part = self.columns.frame_slices().get("expression")
        if part is None:
            return low, high
        limits = self.problem.head.expression_limits
        low = low.at[:, part].set(jnp.minimum(limits[:, 0] - parameters.expression, 0.0))
        return low, high.at[:, part].set(jnp.maximum(limits[:, 1] - parameters.expression, 0.0))


def make_objective(problem: FitProblem, chart: Chart, weights: EnergyWeights, focal_guess: jax.Array) -> Objective:
    """The objective with what the host prepares for it once."""
    columns = columns_of(chart)
    return Objective(
        problem=problem,
        bases=point_bases(problem, chart),
        weights=weights,
        focal_guess=focal_guess,
        chart=chart,
        columns=columns,
        chunk=chunk_frames(problem, columns, problem.frame_count),
    )
