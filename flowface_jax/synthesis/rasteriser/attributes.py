"""Values of the mesh at pixels: mixing vertex attributes, and barycentrics that can be differentiated."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.synthesis.rasteriser import native
from flowface_jax.synthesis.rasteriser.fragments import Fragments, check_triangles, over_batch


def interpolate(
    fragments: Fragments, triangles: jax.Array, attributes: jax.Array, *, only_portable: bool = False
) -> jax.Array:
    """Vertex attributes [...,V,D] at each pixel: [...,H,W,D] float32, 0 where nothing is seen.

    Batch axes are the fragments'; attributes without them serve the whole batch. Differentiable in the attributes and
    in `fragments.barycentric`; take the fragments from `barycentrics` to differentiate in the vertices too. Raises
    InputError for wrong shapes.
    """
    triangles, attributes = jnp.asarray(triangles), jnp.asarray(attributes)
    check_triangles(triangles)
    *batch, height, width = fragments.triangle.shape
    if attributes.ndim < 2 or attributes.shape[:-2] not in ((), tuple(batch)):
        raise InputError(f"attributes: expected [V,D] or [{','.join(map(str, batch))},V,D], found {attributes.shape}")
    channels = attributes.shape[-1]
    if not triangles.shape[0] or not attributes.shape[-2]:
        return jnp.zeros((*batch, height, width, channels), jnp.float32)
    triangles, attributes = triangles.astype(jnp.int32), attributes.astype(jnp.float32)
    function = _portable if only_portable else _interpolate
    if attributes.ndim == 2:
        mapped = over_batch(lambda t, b: function(t, b, triangles, attributes), len(batch))
        return mapped(fragments.triangle, fragments.barycentric)
    mapped = over_batch(lambda t, b, a: function(t, b, triangles, a), len(batch))
    return mapped(fragments.triangle, fragments.barycentric, attributes)


def barycentrics(
    fragments: Fragments,
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    *,
    orthographic: bool = False,
) -> Fragments:
    """The same fragments with barycentrics and depth computed from the vertices, so that gradients reach these.

    pixels: [...,V,2] px and depth: [...,V] m as given to `rasterise`. Which triangle is seen does not change:
    gradients are those of points sliding within the surface, not of silhouettes. Values differ from the rasteriser's by
    its rounding of vertices to 1/256 px.
    """
    batch = fragments.triangle.ndim - 2
    pixels = jnp.broadcast_to(pixels, fragments.triangle.shape[:batch] + jnp.shape(pixels)[-2:])
    depth = jnp.broadcast_to(depth, fragments.triangle.shape[:batch] + jnp.shape(depth)[-1:])
    one = functools.partial(_barycentrics, triangles=jnp.asarray(triangles), orthographic=orthographic)
    mix, z = over_batch(one, batch)(fragments.triangle, fragments.barycentric, pixels, depth)
    return dataclasses.replace(fragments, barycentric=mix, depth=z)


@functools.partial(jax.jit, static_argnames="orthographic")
def _barycentrics(
    triangle: jax.Array,
    rounded: jax.Array,
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    orthographic: bool,
) -> tuple[jax.Array, jax.Array]:
    height, width = triangle.shape
    hit = triangle >= 0
    corners = triangles[jnp.maximum(triangle, 0)]
    centre = jnp.stack(jnp.meshgrid(jnp.arange(width) + 0.5, jnp.arange(height) + 0.5), axis=-1)
    # Corners relative to the pixel: products of differences keep their digits wherever in the picture the triangle is.
    a, b, c = (pixels[corners[..., k]] - centre for k in range(3))
    weights = jnp.stack([_cross(b, c), _cross(c, a), _cross(a, b)], axis=-1)
    area = _cross(b - a, c - a)
    # Slivers thinner than the rounding have no usable area; they keep what the rasteriser said.
    sound = hit & (jnp.abs(area) > 1e-6)
    mix = weights / jnp.where(sound, area, 1.0)[..., None]
    z_corners = jnp.where(sound[..., None], depth[corners], 1.0)
    if orthographic:
        z = (mix * z_corners).sum(-1)
    else:
        mix = mix / z_corners
        z = 1.0 / jnp.where(sound, mix.sum(-1), 1.0)
        mix = mix * z[..., None]
    kept = jax.lax.stop_gradient(rounded)
    fallback = jnp.where(hit, (kept * depth[corners]).sum(-1), jnp.inf)
    return jnp.where(sound[..., None], mix, kept), jnp.where(sound, z, fallback)


def _cross(a: jax.Array, b: jax.Array) -> jax.Array:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


@jax.jit
def _portable(triangle: jax.Array, barycentric: jax.Array, triangles: jax.Array, attributes: jax.Array) -> jax.Array:
    """One picture in plain JAX: [H,W,D]."""
    corners = triangles[jnp.maximum(triangle, 0)]
    a, b, c = (barycentric[..., k, None] * attributes[corners[..., k]] for k in range(3))
    return jnp.where((triangle >= 0)[..., None], a + b + c, 0.0)


@jax.custom_jvp
@jax.jit
def _interpolate(triangle: jax.Array, barycentric: jax.Array, triangles: jax.Array, attributes: jax.Array) -> jax.Array:
    """One picture, natively on CPUs: [H,W,D]."""
    height, width = triangle.shape
    result = jax.ShapeDtypeStruct((height * width, attributes.shape[-1]), jnp.float32)

    def compiled(triangle: jax.Array, barycentric: jax.Array, triangles: jax.Array, attributes: jax.Array) -> jax.Array:
        flat = native.call(
            "interpolate", result, triangle.reshape(-1), barycentric.reshape(-1, 3), triangles, attributes
        )
        return flat.reshape(height, width, -1)

    return native.choose("interpolate", compiled, _portable, triangle, barycentric, triangles, attributes)


@_interpolate.defjvp
def _(primals: tuple, tangents: tuple) -> tuple[jax.Array, jax.Array]:
    triangle, barycentric, triangles, attributes = primals
    _, mix_tangent, _, attribute_tangent = tangents
    by_mix = _portable(triangle, mix_tangent, triangles, attributes)
    return _interpolate(*primals), by_mix + _portable(triangle, barycentric, triangles, attribute_tangent)
