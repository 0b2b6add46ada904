"""Solving a band along the frames with a border: block Cholesky along the band, Schur complement on the border.

    [ band    border ] [rows  ]   [right rows  ]
    [ borderᵀ shared ] [shared] = [right shared]

The band holds three blocks per frame (t, t+1, t+2), because the acceleration of three frames couples them. Factorising
costs F d² (8 d + 3 s) + F d s² multiplications for F frames of d unknowns and s shared ones.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.fitting.normal_equations import NormalEquations
from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class ChainFactor:
    """The band as L Lᵀ and what the border becomes through it.

    lower [F,d,d] triangular; following [F,d,d] = L(t+1,t), second [F,d,d] = L(t+2,t). border [F,d,s] = L⁻¹ border.
    """

    lower: jax.Array
    following: jax.Array
    second: jax.Array
    border: jax.Array


@pytree_dataclass
class Factor:
    """A factorised system: the chain, and reduced [s,s], the Cholesky factor of the border's Schur complement."""

    chain: ChainFactor
    reduced: jax.Array


def factorise(system: NormalEquations) -> Factor:
    """Factorise H; NaNs come out where it is not positive definite."""
    chain, complement = eliminate(system)
    return Factor(chain, _cholesky(complement))


def eliminate(system: NormalEquations) -> tuple[ChainFactor, jax.Array]:
    """The chain's factor, and the Schur complement [s,s] that eliminating all frames leaves on the border."""
    with jax.default_matmul_precision("highest"):
        chain = _factorise_chain(system.diagonal, system.following, system.second, system.border)
        frames, size, shared = chain.border.shape
        flat = chain.border.reshape(frames * size, shared)
        return chain, system.shared - flat.T @ flat


def solve(factor: Factor, rows: jax.Array, shared: jax.Array) -> tuple[jax.Array, jax.Array]:
    """H⁻¹ times the right-hand side rows [F,d], shared [s]."""
    with jax.default_matmul_precision("highest"):
        halfway = forward_substitute(factor.chain, rows)
        reduced_right = shared - jnp.einsum("tis,ti->s", factor.chain.border, halfway)
        solution = _cholesky_solve(factor.reduced, reduced_right)
        return back_substitute(factor.chain, halfway - factor.chain.border @ solution), solution


def halfway(factor: Factor, rows: jax.Array, shared: jax.Array) -> tuple[jax.Array, jax.Array]:
    """L⁻¹ times the right-hand side rows [F,d], shared [s], where H = L Lᵀ."""
    with jax.default_matmul_precision("highest"):
        rows = forward_substitute(factor.chain, rows)
        shared = shared - jnp.einsum("tis,ti->s", factor.chain.border, rows)
        if shared.shape[0]:
            shared = jax.scipy.linalg.solve_triangular(factor.reduced, shared, lower=True)
        return rows, shared


def _factorise_chain(diagonal: jax.Array, following: jax.Array, second: jax.Array, border: jax.Array) -> ChainFactor:
    size = diagonal.shape[-1]
    if size == 0:
        return ChainFactor(diagonal, following, second, border)
    nothing = jnp.zeros((size, size), diagonal.dtype)
    empty = jnp.zeros((size, border.shape[-1]), border.dtype)

    def one_frame(carry: tuple[jax.Array, ...], blocks: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, ...], tuple]:
        # Left of this frame: L(t,t−1), L(t,t−2), and L(t+1,t−1), which the next block needs.
        left1, left2, ahead1, border1, border2 = carry
        block, next_block, second_block, edge = blocks
        lower = _cholesky(block - left1 @ left1.T - left2 @ left2.T)
        right = jnp.concatenate(
            [next_block - left1 @ ahead1.T, second_block, edge - left1 @ border1 - left2 @ border2], axis=1
        )
        right = jax.lax.linalg.triangular_solve(lower, right, left_side=True, lower=True)
        next_lower, second_lower, edge = right[:, :size].T, right[:, size : 2 * size].T, right[:, 2 * size :]
        return (next_lower, ahead1, second_lower, edge, border1), (lower, next_lower, second_lower, edge)

    start = (nothing, nothing, nothing, empty, empty)
    _, factors = jax.lax.scan(one_frame, start, (diagonal, following, second, border))
    return ChainFactor(*factors)


def forward_substitute(chain: ChainFactor, rows: jax.Array) -> jax.Array:
    """L⁻¹ rows [F,d]."""
    if rows.shape[1] == 0:
        return rows

    def one_frame(carry: tuple[jax.Array, jax.Array], blocks: tuple[jax.Array, ...]) -> tuple[tuple, jax.Array]:
        owed, owed_later = carry
        lower, following, second, right = blocks
        solution = jax.lax.linalg.triangular_solve(lower, (right - owed)[:, None], left_side=True, lower=True)[:, 0]
        return (owed_later + following @ solution, second @ solution), solution

    nothing = jnp.zeros_like(rows[0])
    return jax.lax.scan(one_frame, (nothing, nothing), (chain.lower, chain.following, chain.second, rows))[1]


def back_substitute(chain: ChainFactor, rows: jax.Array) -> jax.Array:
    """L⁻ᵀ rows [F,d]."""
    if rows.shape[1] == 0:
        return rows

    def one_frame(carry: tuple[jax.Array, jax.Array], blocks: tuple[jax.Array, ...]) -> tuple[tuple, jax.Array]:
        after, after_next = carry
        lower, following, second, right = blocks
        right = right - following.T @ after - second.T @ after_next
        solution = jax.lax.linalg.triangular_solve(lower, right[:, None], left_side=True, lower=True, transpose_a=True)[
            :, 0
        ]
        return (solution, after), solution

    nothing = jnp.zeros_like(rows[0])
    blocks = (chain.lower, chain.following, chain.second, rows)
    return jax.lax.scan(one_frame, (nothing, nothing), blocks, reverse=True)[1]


def _cholesky(matrix: jax.Array) -> jax.Array:
    if matrix.shape[-1] == 0:
        return matrix
    return jax.lax.linalg.cholesky(matrix, symmetrize_input=False)


def _cholesky_solve(lower: jax.Array, right: jax.Array) -> jax.Array:
    if lower.shape[-1] == 0:
        return right
    return jax.scipy.linalg.cho_solve((lower, True), right)
