"""The blocks of a band's inverse that error bars need, from its factor, last frame first; never the whole inverse.

With the band M = L Lᵀ, two blocks below the diagonal, and G(t) = [L(t+1,t); L(t+2,t)] L(t,t)⁻¹, the inverse Z obeys
(Takahashi, Fagan and Chin 1973)

    Z(t+1…t+2, t) = −Z(t+1…t+2, t+1…t+2) G(t)        Z(t,t) = L(t,t)⁻ᵀ L(t,t)⁻¹ + G(t)ᵀ Z(t+1…t+2, t+1…t+2) G(t)

in which nothing cancels: each block is a sum of positive semidefinite ones. Costs about 10 d³ + 5 d² s multiplications
per frame of d unknowns with s border columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from flowface_jax.fitting.chain import ChainFactor

Carry = TypeVar("Carry")
Visit = Callable[[Carry, jax.Array, jax.Array, Any], tuple[Carry, Any]]


def walk_back(chain: ChainFactor, visit: Visit, carry: Carry, extras: Any = None) -> tuple[Carry, Any]:
    """Call `visit(carry, inverse, through, extra) -> (carry, output)` for every frame, the last one first.

    inverse [d,d]: the frame's diagonal block of band⁻¹. through [d,s]: its rows of band⁻¹ times the border. extra: the
    frame's row of `extras` (a pytree of [F,...]). Returns the last carry and the outputs [F,...] in frame order.
    Neither band⁻¹ border [F,d,s] nor the blocks [F,d,d] are ever stored unless `visit` puts them out.
    """
    size, border = chain.lower.shape[-1], chain.border.shape[-1]
    dtype = chain.border.dtype

    def one_frame(state: tuple, blocks: tuple) -> tuple[tuple, Any]:
        carry, inverse1, inverse12, inverse2, through1, through2 = state
        lower, following, second, edge, extra = blocks
        right = edge - following.T @ through1 - second.T @ through2
        solved = _from_left(lower, jnp.concatenate([right, following.T, second.T], axis=1), transpose=True)
        through, gain1, gain2 = solved[:, :border], solved[:, border : border + size].T, solved[:, border + size :].T
        below1 = -(inverse1 @ gain1 + inverse12 @ gain2)
        below2 = -(inverse12.T @ gain1 + inverse2 @ gain2)
        root = _from_left(lower, jnp.eye(size, dtype=dtype), transpose=False)
        inverse = root.T @ root - gain1.T @ below1 - gain2.T @ below2
        inverse = 0.5 * (inverse + inverse.T)
        carry, output = visit(carry, inverse, through, extra)
        return (carry, inverse, below1.T, inverse1, through, through1), output

    block, edge = jnp.zeros((size, size), dtype), jnp.zeros((size, border), dtype)
    start = (carry, block, block, block, edge, edge)
    blocks = (chain.lower, chain.following, chain.second, chain.border, extras)
    with jax.default_matmul_precision("highest"):
        (carry, *_), outputs = jax.lax.scan(one_frame, start, blocks, reverse=True)
    return carry, outputs


def _from_left(lower: jax.Array, right: jax.Array, transpose: bool) -> jax.Array:
    """L⁻¹ or L⁻ᵀ times the right-hand sides [d,n]."""
    if lower.shape[-1] == 0:
        return right
    return jax.lax.linalg.triangular_solve(lower, right, left_side=True, lower=True, transpose_a=transpose)
