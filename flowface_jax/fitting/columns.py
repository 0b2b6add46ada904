"""Where each unknown stands in the normal equations: one block of columns per frame, and the border that they share."""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

from flowface_jax.fitting.parameters import Chart, Parameters, Variables, assemble, initial_variables

MOVEMENT = ("expression", "joint_rotations", "head_rotation", "head_translation")
"""Groups that belong to a frame, unless they are shared by all."""


@dataclasses.dataclass(frozen=True)
class Columns:
    """The groups of a frame's block and of the border, in order, with their shapes; static under jit.

    frame: of `MOVEMENT`, those that are free. shared: identity, then those of `MOVEMENT` that are shared, then offsets
    and cameras. Groups that are fixed appear in neither.
    """

    frame: tuple[tuple[str, tuple[int, ...]], ...]
    shared: tuple[tuple[str, tuple[int, ...]], ...]

    @property
    def frame_size(self) -> int:
        """d, unknowns of one frame."""
        return sum(math.prod(shape) for _, shape in self.frame)

    @property
    def shared_size(self) -> int:
        """s, unknowns of the border."""
        return sum(math.prod(shape) for _, shape in self.shared)

    def frame_slices(self) -> dict[str, slice]:
        """Where each group stands in a frame's block."""
        return _slices(self.frame)

    def shared_slices(self) -> dict[str, slice]:
        """Where each group stands in the border."""
        return _slices(self.shared)


def _slices(groups: tuple[tuple[str, tuple[int, ...]], ...]) -> dict[str, slice]:
    result, at = {}, 0
    for name, shape in groups:
        result[name] = slice(at, at + math.prod(shape))
        at += math.prod(shape)
    return result


def columns_of(chart: Chart) -> Columns:
    """The columns of the groups that the chart's layout moves."""
    variables = jax.eval_shape(initial_variables, chart)
    layout = chart.layout
    modes = {
        "expression": layout.expression,
        "joint_rotations": layout.joint_pose,
        "head_rotation": layout.head_pose,
        "head_translation": layout.head_pose,
    }
    present = [name for name in MOVEMENT if name in variables and variables[name].size]
    free = tuple((name, variables[name].shape[1:]) for name in present if modes[name] == "free")
    together = tuple((name, variables[name].shape) for name in present if modes[name] == "shared")
    others = ("offsets", "camera_rotation", "camera_translation", "log_focal")
    first = tuple((name, variables[name].shape) for name in ("identity",) if name in variables)
    last = tuple((name, variables[name].shape) for name in others if name in variables and variables[name].size)
    return Columns(frame=free, shared=first + together + last)


def pack(variables: Variables, columns: Columns, frames: int) -> tuple[jax.Array, jax.Array]:
    """Variables as the border's vector [s] and the frames' rows [F,d]."""
    dtype = jnp.result_type(*variables.values()) if variables else jnp.float32
    shared = [variables[name].reshape(-1) for name, _ in columns.shared]
    rows = [variables[name].reshape(frames, -1) for name, _ in columns.frame]
    return (
        jnp.concatenate(shared) if shared else jnp.zeros((0,), dtype),
        jnp.concatenate(rows, axis=1) if rows else jnp.zeros((frames, 0), dtype),
    )


def unpack(shared: jax.Array, rows: jax.Array, columns: Columns) -> Variables:
    """The inverse of `pack`."""
    variables = {}
    for (name, shape), part in zip(columns.shared, columns.shared_slices().values(), strict=True):
        variables[name] = shared[part].reshape(shape)
    for (name, shape), part in zip(columns.frame, columns.frame_slices().values(), strict=True):
        variables[name] = rows[:, part].reshape(rows.shape[0], *shape)
    return variables


def variables_at(parameters: Parameters, chart: Chart) -> Variables:
    """The variables of `parameters` in the chart about themselves (rotations, translations and log focal are zero)."""
    return initial_variables(dataclasses.replace(chart, base=parameters))


def retract(parameters: Parameters, shared: jax.Array, rows: jax.Array, chart: Chart, columns: Columns) -> Parameters:
    """The parameters after a step of the border [s] and of every frame [F,d]."""
    about = dataclasses.replace(chart, base=parameters)
    variables, step = initial_variables(about), unpack(shared, rows, columns)
    return assemble({name: value + step[name] if name in step else value for name, value in variables.items()}, about)
