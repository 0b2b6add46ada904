"""Frames spread over devices and hosts: each linearises and eliminates its own, and one small system joins them.

Every device holds the observations and the normal equations of one stretch of frames; parameters are everywhere. To
solve, each device eliminates its stretch but for the last two frames, across which the next stretch cannot see. Those
two of every device and the border are kept, summed over devices, and solved for everywhere alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from flowface_jax.errors import InputError
from flowface_jax.fitting.chain import back_substitute, eliminate, forward_substitute
from flowface_jax.fitting.normal_equations import NormalEquations

FRAMES = "frames"
KEPT = 2
"""Frames at the end of each stretch that are not eliminated by its device."""
LEAST_FRAMES = 2 * KEPT
"""Frames of a stretch so that the frames kept before it and its own do not couple directly."""

ROWS = P(FRAMES)
FRAME_SYSTEM = NormalEquations(ROWS, ROWS, ROWS, ROWS, P(), ROWS, P())
"""How normal equations are spread: rows by frame, the border everywhere."""


def frame_mesh(devices: Sequence[jax.Device]) -> Mesh | None:
    """A one-axis mesh of the devices; None where there are not several."""
    if len(devices) < 2:
        return None
    return Mesh(np.asarray(devices), (FRAMES,), axis_types=(AxisType.Auto,))


def spread(objective: Any, mesh: Mesh) -> Any:
    """The objective with its observations spread over the devices and all else on each of them.

    Raises InputError if the frames do not divide into stretches that are long enough.
    """
    frames = objective.problem.mean.shape[1]
    if frames % mesh.size or frames // mesh.size < LEAST_FRAMES:
        raise InputError(
            f"{frames} frames (padding included) cannot be spread over {mesh.size} devices: expected a multiple of "
            f"{mesh.size}, at least {LEAST_FRAMES} frames each; use fewer devices"
        )

    def placed(leaf: Any, spec: P) -> jax.Array:
        host, sharding = np.asarray(leaf), NamedSharding(mesh, spec)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(placed, objective, _specs(objective))


def _specs(objective: Any) -> Any:
    """The partition of every leaf of an objective."""
    observations = {".problem.mean", ".problem.inverse_std"}
    return jax.tree_util.tree_map_with_path(
        lambda path, _: P(None, FRAMES) if jax.tree_util.keystr(path) in observations else P(), objective
    )


def over_frames(function: Callable, mesh: Mesh | None, out: Any) -> Callable:
    """`function(objective, parameters)` run by every device on its own frames; `out`: the partition of its results."""
    if mesh is None:
        return function

    def run(objective: Any, parameters: Any) -> Any:
        specs = (_specs(objective), jax.tree.map(lambda _: P(), parameters))
        return jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=out, check_vma=False)(objective, parameters)

    return run


def first_frame(mesh: Mesh | None, frames: int) -> jax.Array | int:
    """The first frame of this device, each having `frames`."""
    return 0 if mesh is None else jax.lax.axis_index(FRAMES) * frames


def summed_over_devices(system: NormalEquations, mesh: Mesh | None) -> NormalEquations:
    """The system with the border's own part summed over devices."""
    if mesh is None:
        return system
    shared, gradient = jax.lax.psum((system.shared, system.gradient_shared), FRAMES)
    return NormalEquations(
        system.diagonal, system.following, system.second, system.border, shared, system.gradient_rows, gradient
    )


def solve_over_devices(
    system: NormalEquations, rows: jax.Array, shared: jax.Array, mesh: Mesh
) -> tuple[jax.Array, jax.Array]:
    """The solution, everywhere, for a right-hand side rows [F,d] and shared [s]."""
    specs = (FRAME_SYSTEM, ROWS, P())
    solved = jax.shard_map(_solve_stretch, mesh=mesh, in_specs=specs, out_specs=(ROWS, P()), check_vma=False)
    rows, shared = solved(system, rows, shared)
    return jax.lax.with_sharding_constraint(rows, NamedSharding(mesh, P())), shared


def _solve_stretch(system: NormalEquations, rows: jax.Array, shared: jax.Array) -> tuple[jax.Array, jax.Array]:
    """One device's part: eliminate, join, solve what is kept, substitute back."""
    with jax.default_matmul_precision("highest"):
        size, common = rows.shape[1], shared.shape[0]
        devices, device = jax.lax.axis_size(FRAMES), jax.lax.axis_index(FRAMES)
        chain, complement = eliminate(_inner(system))
        halfway = forward_substitute(chain, rows[:-KEPT])
        right = -jnp.einsum("tis,ti->s", chain.border, halfway)
        # Where the border, the frames kept before this stretch and its own stand among all that is kept. The first
        # device has none before it: what it would add there is zero.
        width = KEPT * size
        own = common + device * width + jnp.arange(width)
        before = jnp.where(device > 0, own - width, own)
        place = jnp.concatenate([jnp.arange(common), before, own])
        total = common + devices * width
        matrix = jnp.zeros((total, total), rows.dtype).at[place[:, None], place].add(complement)
        vector = jnp.zeros((total,), rows.dtype).at[place].add(right)
        matrix, vector = _add_kept(matrix, vector, system, rows, own)
        matrix, vector = jax.lax.psum((matrix, vector), FRAMES)
        matrix = matrix.at[:common, :common].add(system.shared)
        vector = vector.at[:common].add(shared)
        kept = jax.scipy.linalg.cho_solve((jax.lax.linalg.cholesky(matrix, symmetrize_input=False), True), vector)
        inner = back_substitute(chain, halfway - chain.border @ kept[place])
        return jnp.concatenate([inner, kept[own].reshape(KEPT, size)]), kept[:common]


def _inner(system: NormalEquations) -> NormalEquations:
    """The frames that a device eliminates, the border widened by the kept frames before them and by its own."""
    frames, size = system.gradient_rows.shape
    inner = frames - KEPT
    devices = jax.lax.axis_size(FRAMES)
    onward = [(i, i + 1) for i in range(devices - 1)]
    # The couplings of the frames kept before, which the device before holds; zero for the first.
    following, second = jax.lax.ppermute((system.following[-1], system.second[-KEPT:]), FRAMES, onward)
    before = jnp.zeros((inner, size, KEPT, size), following.dtype)
    before = before.at[0, :, 0].set(second[0].T).at[0, :, 1].set(following.T).at[1, :, 1].set(second[1].T)
    after = jnp.zeros_like(before)
    after = after.at[inner - 1, :, 0].set(system.following[inner - 1]).at[inner - 1, :, 1].set(system.second[inner - 1])
    after = after.at[inner - 2, :, 0].set(system.second[inner - 2])
    border = [system.border[:inner], before.reshape(inner, size, -1), after.reshape(inner, size, -1)]
    border = jnp.concatenate(border, axis=2)
    total = border.shape[2]
    return NormalEquations(
        diagonal=system.diagonal[:inner],
        following=system.following[:inner].at[inner - 1].set(0.0),
        second=system.second[:inner].at[inner - 2 :].set(0.0),
        border=border,
        shared=jnp.zeros((total, total), border.dtype),
        gradient_rows=system.gradient_rows[:inner],
        gradient_shared=jnp.zeros((total,), border.dtype),
    )


def _add_kept(
    matrix: jax.Array, vector: jax.Array, system: NormalEquations, rows: jax.Array, own: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Add the blocks of a stretch's last two frames, which are kept, and their part of the right-hand side."""
    between = system.following[-KEPT]
    blocks = jnp.block([[system.diagonal[-2], between], [between.T, system.diagonal[-1]]])
    border = system.border[-KEPT:].reshape(len(own), -1)
    common = jnp.arange(border.shape[1])
    matrix = matrix.at[own[:, None], own].add(blocks)
    matrix = matrix.at[own[:, None], common].add(border).at[common[:, None], own].add(border.T)
    return matrix, vector.at[own].add(rows[-KEPT:].reshape(-1))
