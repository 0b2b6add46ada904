"""What the second-order solver sees of the energy: its value, its quadratic model and its limits, at any parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from flowface_jax.fitting.chain import factorise, solve
from flowface_jax.fitting.columns import Columns, columns_of, retract
from flowface_jax.fitting.energy import (
    EnergyTerms,
    EnergyWeights,
    alignment_term,
    focal_term,
    head_vertices,
    neutral_term,
    offset_term,
    prior_term,
    temporal_term,
)
from flowface_jax.fitting.hand_over import HandOver
from flowface_jax.fitting.linearisation import chunk_frames, linearise_alignment, rows_of
from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.fitting.parameters import Chart, Parameters
from flowface_jax.fitting.point_columns import PointBases, point_bases
from flowface_jax.fitting.priors import add_expression_prior, add_shared_priors
from flowface_jax.fitting.problem import FitProblem
from flowface_jax.fitting.sharding import (
    FRAME_SYSTEM,
    first_frame,
    frame_mesh,
    over_frames,
    solve_over_devices,
    spread,
    summed_over_devices,
)
from flowface_jax.fitting.temporal import add_temporal
from flowface_jax.pytrees import pytree_dataclass, static_field

AT_LIMIT = 16.0
"""Coefficients within this many machine precisions of a limit are at it: a step that ends there is rounded."""


@pytree_dataclass
class Objective:
    """The energy of one problem in one chart. columns and chunk (frames taken at once) are static under jit.

    mesh: the devices over which the frames are spread, static; None = one device.
    received: what the window before hands over, counted as one more energy; None = nothing.
    free_rows [F,d] and free_shared [s]: bool, False for unknowns that are held; None = all are free.
    """

    problem: FitProblem
    bases: PointBases
    weights: EnergyWeights
    focal_guess: jax.Array
    chart: Chart
    columns: Columns = static_field()
    chunk: int = static_field()
    mesh: Mesh | None = static_field(default=None)
    received: HandOver | None = None
    free_rows: jax.Array | None = None
    free_shared: jax.Array | None = None

    def energies(self, parameters: Parameters) -> jax.Array:
        """The energy [n], in parts whose differences are more exact than the difference of their sums."""
        by_chunk = self._over_frames(Objective._alignment_energies, P("frames"))(self, parameters)
        others = [
            prior_term(parameters, self.problem, self.weights),
            self._temporal(parameters),
            neutral_term(parameters, self.problem, self.weights),
            offset_term(parameters, self.problem, self.weights),
            focal_term(parameters, self.problem, self.weights, self.focal_guess),
        ]
        if self.received is not None:
            others.append(self.received.energy(parameters, self.chart, self.columns))
        return jnp.concatenate([by_chunk, jnp.stack(others)])

    def terms(self, energies: np.ndarray) -> EnergyTerms:
        """Parts of the energy [n], as `energies` gives them, by term."""
        names = ("prior", "temporal", "neutral", "offset", "focal")
        chunks = len(energies) - len(names) - (self.received is not None)
        others = dict(zip(names, energies[chunks:], strict=False))
        return EnergyTerms(alignment=np.sum(energies[:chunks]), **others)

    def _over_frames(self, function: Callable, out: object) -> Callable:
        """`function(objective, parameters)` on each device's own frames, its outputs put together as `out` says."""
        return over_frames(function, self.mesh, out)

    def _alignment_energies(self, parameters: Parameters) -> jax.Array:
        """The alignment term of each chunk of this device's frames."""
        problem, first = self.problem, first_frame(self.mesh, self.problem.mean.shape[1])

        def alignment(index: jax.Array) -> jax.Array:
            rows = rows_of(parameters, first + index * self.chunk, self.chunk)
            mean, inverse_std = (
                jax.lax.dynamic_slice_in_dim(values, index * self.chunk, self.chunk, axis=1)
                for values in (problem.mean, problem.inverse_std)
            )
            part = dataclasses.replace(problem, mean=mean, inverse_std=inverse_std)
            return alignment_term(rows, part, self.weights, rows.to_world(head_vertices(rows, part)))

        return jax.lax.map(alignment, jnp.arange(problem.mean.shape[1] // self.chunk))

    def _temporal(self, parameters: Parameters) -> jax.Array:
        count = self.bases.temporal_head.vertex_count
        sampled = dataclasses.replace(
            self.problem, head=self.bases.temporal_head, barycentric=self.problem.barycentric[:, :0]
        )
        moved = dataclasses.replace(parameters, offsets=parameters.offsets[parameters.offsets.shape[0] - count :])
        return temporal_term(sampled, self.weights, moved.to_world(head_vertices(moved, sampled)))

    def normal_equations(self, parameters: Parameters) -> NormalEquations:
        """The energy's Gauss-Newton model at `parameters`."""
        system = self._over_frames(Objective._frame_system, FRAME_SYSTEM)(self, parameters)
        with jax.default_matmul_precision("highest"):
            system = add_shared_priors(
                system, parameters, self.problem, self.weights, self.focal_guess, self.chart, self.columns
            )
        return system if self.received is None else self.received.add_to(system, parameters, self.chart, self.columns)

    def _frame_system(self, parameters: Parameters) -> NormalEquations:
        """The rows of this device's frames, and the border summed over all devices."""
        first = first_frame(self.mesh, self.problem.mean.shape[1])
        arguments = (self.problem, self.bases, self.weights, self.chart, self.columns, self.chunk, first)
        with jax.default_matmul_precision("highest"):
            system = linearise_alignment(parameters, *arguments)
            system = add_expression_prior(system, parameters, self.problem, self.weights, self.columns, first)
            system = add_temporal(system, parameters, *arguments)
        return summed_over_devices(system, self.mesh)

    def solve(self, system: NormalEquations, rows: jax.Array, shared: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The system's solution for the right-hand side rows [F,d], shared [s]."""
        if self.mesh is None:
            return solve(factorise(system), rows, shared)
        return solve_over_devices(system, rows, shared, self.mesh)

    def at_limit(self, parameters: Parameters, system: NormalEquations) -> tuple[jax.Array, jax.Array]:
        """Which unknowns, rows [F,d] and shared [s], lie at a limit (but for rounding) that the energy presses them
        against.
        """
        gradients = (system.gradient_rows, system.gradient_shared)
        rooms = (self.room(parameters), self.room_shared(parameters))
        near = AT_LIMIT * jnp.finfo(gradients[0].dtype).eps
        return tuple(
            ((low >= -near) & (gradient > 0)) | ((high <= near) & (gradient < 0))
            for gradient, (low, high) in zip(gradients, rooms, strict=True)
        )

    def retract(self, parameters: Parameters, rows: jax.Array, shared: jax.Array) -> Parameters:
        """The parameters after a step."""
        return retract(parameters, shared, rows, self.chart, self.columns)

    def room(self, parameters: Parameters) -> tuple[jax.Array, jax.Array]:
        """How far each unknown of the frames [F,d] may fall (≤ 0) and rise (≥ 0) before a limit of the head model."""
        shape = (self.problem.frame_count, self.columns.frame_size)
        return self._room(shape, self.columns.frame_slices(), parameters.expression)

    def room_shared(self, parameters: Parameters) -> tuple[jax.Array, jax.Array]:
        """The same for the shared unknowns [s]."""
        return self._room((self.columns.shared_size,), self.columns.shared_slices(), parameters.expression[0])

    def _room(
        self, shape: tuple[int, ...], slices: dict[str, slice], expression: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        low, high = jnp.full(shape, -jnp.inf), jnp.full(shape, jnp.inf)
        part = slices.get("expression")
        if part is None:
            return low, high
        limits = self.problem.head.expression_limits
        low = low.at[..., part].set(jnp.minimum(limits[:, 0] - expression, 0.0))
        return low, high.at[..., part].set(jnp.maximum(limits[:, 1] - expression, 0.0))


def make_objective(
    problem: FitProblem,
    chart: Chart,
    weights: EnergyWeights,
    focal_guess: jax.Array,
    devices: Sequence[jax.Device] = (),
) -> Objective:
    """The objective with what the host prepares for it once; frames are spread over `devices` if there are several."""
    columns = columns_of(chart)
    mesh = frame_mesh(devices)
    objective = Objective(
        problem=problem,
        bases=point_bases(problem, chart, columns),
        weights=weights,
        focal_guess=focal_guess,
        chart=chart,
        columns=columns,
        chunk=chunk_frames(problem, columns, problem.frame_count // max(len(devices), 1)),
        mesh=mesh,
    )
    return objective if mesh is None else spread(objective, mesh)
