"""Vertex normals of a posed mesh."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.synthesis.rasteriser import native
from flowface_jax.synthesis.rasteriser.fragments import check_triangles, over_batch


def vertex_normals(vertices: jax.Array, triangles: jax.Array, *, only_portable: bool = False) -> jax.Array:
    """Unit normals [...,V,3] of vertices [...,V,3], out of the side from which triangles [T,3] run counter-clockwise.

    Triangles count by their area; a vertex without any, or whose triangles cancel, gets 0. Differentiable in the
    vertices. Raises InputError for wrong shapes.
    """
    vertices, triangles = jnp.asarray(vertices), jnp.asarray(triangles)
    check_triangles(triangles)
    if vertices.ndim < 2 or vertices.shape[-1] != 3:
        raise InputError(f"vertices: expected [...,V,3], found {list(vertices.shape)}")
    vertices, triangles = vertices.astype(jnp.float32), triangles.astype(jnp.int32)
    if not triangles.shape[0] or not vertices.shape[-2]:
        return jnp.zeros_like(vertices)
    function = _portable if only_portable else _normals
    return over_batch(lambda v: function(v, triangles), vertices.ndim - 2)(vertices)


@jax.jit
def _portable(vertices: jax.Array, triangles: jax.Array) -> jax.Array:
    """One mesh in plain JAX."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    weighted = jnp.cross(b - a, c - a)
    summed = jnp.zeros_like(vertices)
    for k in range(3):
        summed = summed.at[triangles[:, k]].add(weighted, mode="drop")
    square = (summed**2).sum(-1, keepdims=True)
    # Both branches stay finite, so that the gradient of a vertex without triangles is 0 and not NaN.
    return jnp.where(square > 0, summed * jax.lax.rsqrt(jnp.where(square > 0, square, 1.0)), 0.0)


@jax.custom_jvp
@jax.jit
def _normals(vertices: jax.Array, triangles: jax.Array) -> jax.Array:
    """One mesh, natively on CPUs."""

    def compiled(vertices: jax.Array, triangles: jax.Array) -> jax.Array:
        return native.call("vertex_normals", jax.ShapeDtypeStruct(vertices.shape, jnp.float32), vertices, triangles)

    return native.choose("vertex_normals", compiled, _portable, vertices, triangles)


@_normals.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    vertices, triangles = primals
    _, tangent = jax.jvp(lambda v: _portable(v, triangles), (vertices,), (tangents[0],))
    return _normals(vertices, triangles), tangent
