"""The quadratic model of the energy about a point: a band along the frames with a border that all frames share."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass


@pytree_dataclass
class NormalEquations:
    """Gauss-Newton curvature H and gradient g, d unknowns per frame and s shared ones (see `columns`).

    diagonal [F,d,d]; following [F,d,d] and second [F,d,d]: the blocks of frames (t, t+1) and (t, t+2); border [F,d,s];
    shared [s,s]. gradient_rows [F,d], gradient_shared [s].
    """

    diagonal: jax.Array
    following: jax.Array
    second: jax.Array
    border: jax.Array
    shared: jax.Array
    gradient_rows: jax.Array
    gradient_shared: jax.Array

    def times(self, rows: jax.Array, shared: jax.Array) -> tuple[jax.Array, jax.Array]:
        """H times a vector: rows [F,d] and shared [s] in, the same out."""
        with jax.default_matmul_precision("highest"):
            result = jnp.einsum("tij,tj->ti", self.diagonal, rows) + self.border @ shared
            for band, gap in ((self.following, 1), (self.second, 2)):
                ahead = jnp.einsum("tij,tj->ti", band, shifted(rows, -gap))
                behind = shifted(jnp.einsum("tij,ti->tj", band, rows), gap)
                result = result + ahead + behind
            return result, self.shared @ shared + jnp.einsum("tij,ti->j", self.border, rows)

    def scales(self) -> tuple[jax.Array, jax.Array]:
        """Square roots of the diagonal, rows [F,d] and shared [s]; 1 where an unknown is not felt at all."""
        return tuple(
            jnp.where(entries > FELT, jnp.sqrt(jnp.maximum(entries, FELT)), 1.0)
            for entries in (jnp.diagonal(self.diagonal, axis1=1, axis2=2), jnp.diagonal(self.shared))
        )

    def conditioned(
        self, damping: jax.Array, free_rows: jax.Array, free_shared: jax.Array
    ) -> tuple[NormalEquations, jax.Array, jax.Array]:
        """H scaled to a unit diagonal, `damping` added to it, and held unknowns (False in free_rows [F,d] and
        free_shared [s]) cut out; with the scales by which a solution is divided.

        The gradient is left as it is.
        """
        scale_rows, scale_shared = self.scales()
        rows, shared = free_rows / scale_rows, free_shared / scale_shared
        eye_rows, eye_shared = (jnp.eye(n, dtype=rows.dtype) for n in (rows.shape[1], shared.shape[0]))

        def unit(matrix: jax.Array, eye: jax.Array) -> jax.Array:
            # Exactly one on the diagonal: unknowns that are held or not felt at all would leave it singular.
            return matrix * (1.0 - eye) + (1.0 + damping) * eye

        system = NormalEquations(
            diagonal=unit(self.diagonal * rows[:, :, None] * rows[:, None], eye_rows),
            following=self.following * rows[:, :, None] * shifted(rows, -1)[:, None],
            second=self.second * rows[:, :, None] * shifted(rows, -2)[:, None],
            border=self.border * rows[:, :, None] * shared,
            shared=unit(self.shared * shared[:, None] * shared, eye_shared),
            gradient_rows=self.gradient_rows,
            gradient_shared=self.gradient_shared,
        )
        return system, scale_rows, scale_shared


FELT = 1e-10
"""Curvature below which the energy does not feel an unknown: its standard deviation would be 1e5 of its units."""


def shifted(rows: jax.Array, by: int) -> jax.Array:
    """Rows [F,...] moved `by` frames later (earlier for negative), zeros moving in."""
    empty = jnp.zeros_like(rows[: abs(by)])
    if by > 0:
        return jnp.concatenate([empty, rows[:-by]])[: len(rows)]
    return jnp.concatenate([rows[-by:], empty])[: len(rows)]


def add(first: NormalEquations, second: NormalEquations) -> NormalEquations:
    """The sum of two systems of the same columns."""
    return NormalEquations(
        *(getattr(first, f.name) + getattr(second, f.name) for f in dataclasses.fields(NormalEquations))
    )
