"""Soft shadows of a lamp: depth seen from the lamp, blurred into moments, compared at every pixel with one look-up."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass, static_field
from flowface_jax.synthesis.lighting.lights import Lighting
from flowface_jax.synthesis.rasteriser import rasterise, sample_texture
from flowface_jax.synthesis.scene import Surface

MAP_SIZE = 160
REACH = 0.2
"""Half width of what a shadow map covers, m: a head with hair, hat and neck."""

_BLOCKER_DISTANCE = 0.03
_SLACK = 0.0025
_BLEED = 0.3


@pytree_dataclass
class ShadowMap:
    """First and second moment of the depth seen from a lamp.

    moments: [M,M,2] of (depth − centre) / REACH and its square. rows: [3,3] right, up and towards the lamp, unit.
    centre: [3] m.
    """

    moments: jax.Array
    rows: jax.Array
    centre: jax.Array
    size: int = static_field()


def shadow_map(
    lighting: Lighting, vertices: jax.Array, triangles: jax.Array, light: int = 0, size: int = MAP_SIZE
) -> ShadowMap:
    """What lamp `light` sees of the scene (vertices [V,3] in the lighting's frame, triangles [T,3]), ready to compare.

    Variance shadow map (Donnelly and Lauritzen, 2006) with the lamp taken as infinitely far and blurred by its extent.
    """
    towards = lighting.direction[light]
    right = lighting.right[light]
    rows = jnp.stack([right, jnp.cross(towards, right), towards])
    with jax.default_matmul_precision("highest"):
        seen = (vertices - lighting.centre) @ rows.T / REACH
    pixels = jnp.stack([seen[:, 0] + 1.0, 1.0 - seen[:, 1]], axis=-1) * (0.5 * size)
    fragments = rasterise(pixels, 2.0 - seen[:, 2], triangles, (size, size), orthographic=True, mixed=False)
    depth = jnp.where(fragments.triangle >= 0, jnp.minimum(fragments.depth - 2.0, 1.0), 1.0)
    spread = jnp.tan(jnp.minimum(lighting.extent[light].mean(), 0.6)) * _BLOCKER_DISTANCE / (2.0 * REACH) * size
    moments = _blurred(jnp.stack([depth, depth * depth], axis=-1), 0.9 + spread)
    return ShadowMap(moments=moments, rows=rows, centre=lighting.centre, size=size)


def _blurred(image: jax.Array, sigma: jax.Array) -> jax.Array:
    """Gaussian blur of an image [M,M,D]; as two matrix products, so that sigma [] px may be drawn at random."""
    at = jnp.arange(image.shape[0], dtype=jnp.float32)
    weights = jnp.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2)
    weights = weights / weights.sum(axis=1, keepdims=True)
    with jax.default_matmul_precision("highest"):
        return jnp.einsum("ia,jb,abd->ijd", weights, weights, image, optimize=[(0, 2), (0, 1)])


def visibility(shadows: ShadowMap, surface: Surface) -> jax.Array:
    """Share [H,W] of the lamp that each pixel sees, 0 in full shadow; `surface` is in the lighting's frame."""
    offset = [surface.position[..., axis] - shadows.centre[axis] for axis in range(3)]
    normal = [surface.normal[..., axis] for axis in range(3)]
    rows = shadows.rows
    facing = sum(rows[2, axis] * normal[axis] for axis in range(3))
    # Moving the point out along its normal, most where light grazes, keeps a surface from shadowing itself.
    lift = _SLACK * (1.5 - jnp.abs(facing)) * jnp.clip(1.0 + 2.0 * facing, 0.0, 1.0)
    place = [sum(rows[k, axis] * (offset[axis] + lift * normal[axis]) for axis in range(3)) / REACH for k in range(3)]
    uv = jnp.stack([place[0], place[1]], axis=-1) * 0.5 + 0.5
    moments = sample_texture(shadows.moments, uv)
    mean, depth = moments[..., 0], -place[2] - _SLACK / REACH
    variance = jnp.maximum(moments[..., 1] - mean * mean, 2e-5)
    behind = jnp.maximum(depth - mean, 0.0)
    share = variance / (variance + behind * behind)
    share = jnp.clip((share - _BLEED) / (1.0 - _BLEED), 0.0, 1.0)
    inside = jnp.maximum(jnp.abs(place[0]), jnp.abs(place[1])) < 1.0
    return jnp.where(inside, share * share * (3.0 - 2.0 * share), 1.0)
