"""The rasteriser in plain JAX, for GPUs and TPUs: candidate pixels of all triangles, tested in chunks of fixed size."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.rasteriser import grid

_LARGEST_CHUNK = 1 << 18
_SMALLEST_CHUNK = 1 << 12
_ROUND = 1 << 29
"""Candidates dealt with in one round; more than the pixels of the largest picture, so that every round gets on."""
_NOBODY = jnp.iinfo(jnp.int32).max


class _Setup(NamedTuple):
    """Per triangle: oriented corners [T,3,2] on the grid, 1/depth (or depth) [T,3], whether corners 2 and 3 were
    exchanged [T], box (left, top, width) [T,3] px, and its number of pixels [T], 0 if it is not drawn.
    """

    corners: jax.Array
    inverse: jax.Array
    exchanged: jax.Array
    box: jax.Array
    candidates: jax.Array


def rasterise(
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    near: jax.Array,
    size: tuple[int, int],
    orthographic: bool,
    cull: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Triangle [H,W] (−1 nothing), barycentrics [H,W,3] and depth [H,W] of one image."""
    width, height = size
    setup = _set_up(pixels, depth, triangles, near, size, orthographic, cull)
    triangle = _nearest(setup, size, orthographic).reshape(height, width)
    row, column = jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij")
    chosen = jnp.maximum(triangle, 0)
    _, mix, z = _at_pixels(setup, chosen, column, row, orthographic)
    second, third = mix[..., 1], mix[..., 2]
    exchanged = setup.exchanged[chosen]
    mix = jnp.stack([mix[..., 0], jnp.where(exchanged, third, second), jnp.where(exchanged, second, third)], axis=-1)
    hit = triangle >= 0
    return triangle, jnp.where(hit[..., None], mix, 0.0), jnp.where(hit, z, jnp.inf)


def _set_up(
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    near: jax.Array,
    size: tuple[int, int],
    orthographic: bool,
    cull: bool,
) -> _Setup:
    count = pixels.shape[0]
    usable = (jnp.abs(pixels) < grid.REACH).all(-1) & jnp.isfinite(depth)
    usable = usable if orthographic else usable & (depth > near)
    inverse = jnp.where(usable, depth if orthographic else 1.0 / depth, 0.0)
    named = ((triangles >= 0) & (triangles < count)).all(-1)
    triangles = jnp.clip(triangles, 0, count - 1)
    corners, drawn = grid.snap(pixels)[triangles], usable[triangles].all(-1) & named
    area = grid.edge(corners[:, 0], corners[:, 1], corners[:, 2])
    exchanged = grid.is_negative(area)
    drawn &= ~grid.is_zero(area) & (exchanged if cull else True)
    order = jnp.where(exchanged[:, None], jnp.asarray([0, 2, 1]), jnp.asarray([0, 1, 2]))
    corners = jnp.take_along_axis(corners, order[..., None], axis=1)
    inverse = jnp.take_along_axis(inverse[triangles], order, axis=1)
    low, high = corners.min(1) - grid.HALF_PIXEL, corners.max(1) - grid.HALF_PIXEL
    first = jnp.maximum((low + grid.PIXEL - 1) >> grid.SUBPIXEL_BITS, 0)
    last = jnp.minimum(high >> grid.SUBPIXEL_BITS, jnp.asarray(size) - 1)
    extent = jnp.where(drawn[:, None], jnp.maximum(last - first + 1, 0), 0)
    box = jnp.concatenate([first, jnp.maximum(extent[:, :1], 1)], axis=1)
    return _Setup(corners, inverse, exchanged, box, extent[:, 0] * extent[:, 1])


def _at_pixels(
    setup: _Setup, triangle: jax.Array, column: jax.Array, row: jax.Array, orthographic: bool
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Whether the triangles [N] cover the centres of pixels [N], their barycentrics [N,3] and depths [N] there."""
    a, b, c = (setup.corners[triangle, k] for k in range(3))
    point = jnp.stack([column, row], axis=-1) * grid.PIXEL + grid.HALF_PIXEL
    edges = [(b, c), (c, a), (a, b)]
    values = [grid.edge(start, end, point) for start, end in edges]
    inside = jnp.ones(jnp.shape(triangle), bool)
    for (start, end), value in zip(edges, values, strict=True):
        dx, dy = end[..., 0] - start[..., 0], end[..., 1] - start[..., 1]
        owns = (dy < 0) | ((dy == 0) & (dx > 0))
        inside &= ~grid.is_negative(value) & (owns | ~grid.is_zero(value))
    inverse = setup.inverse[triangle]
    mix = jnp.stack([grid.to_float(value) for value in values], axis=-1) / grid.to_float(grid.edge(a, b, c))[..., None]
    value = (mix * inverse).sum(-1)
    if orthographic:
        return inside, mix, value
    z = 1.0 / value
    return inside, mix * inverse * z[..., None], z


def _nearest(setup: _Setup, size: tuple[int, int], orthographic: bool) -> jax.Array:
    """The nearest triangle at each pixel [H*W], the lowest index among equals."""
    chunk = _SMALLEST_CHUNK
    while chunk < min(size[0] * size[1], _LARGEST_CHUNK):
        chunk *= 2
    pixel_count = size[0] * size[1]

    def add_chunk(first: jax.Array, ends: jax.Array, counts: jax.Array, picture: tuple) -> tuple:
        depth, triangle = picture
        number = first + jnp.arange(chunk, dtype=jnp.int32)
        t = jnp.minimum(jnp.searchsorted(ends, number, side="right"), ends.shape[0] - 1).astype(jnp.int32)
        within = number - (ends[t] - counts[t])
        box = setup.box[t]
        row, column = box[:, 1] + within // box[:, 2], box[:, 0] + within % box[:, 2]
        inside, _, z = _at_pixels(setup, t, column, row, orthographic)
        inside &= (number < ends[-1]) & ~jnp.isnan(z)
        # The barrier keeps the depths as one array: computed twice they might differ in the last bit.
        z = jax.lax.optimization_barrier(jnp.where(inside, z, jnp.inf))
        where = jnp.where(inside, row * size[0] + column, pixel_count)
        nearer = depth.at[where].min(z, mode="drop")
        triangle = jnp.where(nearer < depth, _NOBODY, triangle)
        wins = inside & (z == nearer[jnp.minimum(where, pixel_count - 1)])
        return nearer, triangle.at[jnp.where(wins, where, pixel_count)].min(t, mode="drop")

    def add_round(state: tuple) -> tuple:
        left, picture = state
        # Numbers beyond 31 bits would overflow: what lies beyond the limit waits for another round.
        now = jnp.cumsum(left.astype(jnp.float32)) < _ROUND
        counts = jnp.where(now, left, 0)
        ends = jnp.cumsum(counts)
        _, picture = jax.lax.while_loop(
            lambda inner: inner[0] < ends[-1],
            lambda inner: (inner[0] + chunk, add_chunk(inner[0], ends, counts, inner[1])),
            (jnp.zeros((), jnp.int32), picture),
        )
        return jnp.where(now, 0, left), picture

    nothing = jnp.full(pixel_count, jnp.inf, jnp.float32), jnp.full(pixel_count, _NOBODY, jnp.int32)
    _, (_, triangle) = jax.lax.while_loop(lambda state: (state[0] > 0).any(), add_round, (setup.candidates, nothing))
    return jnp.where(triangle == _NOBODY, -1, triangle)
