"""All-pairs correlation of UV features with image features, and reading it round the current estimate (RAFT)."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from flowface_jax.network.resampling import average_pool

Route = Literal["gather", "product"]


def correlation_pyramid(uv_features: jax.Array, image_features: jax.Array, levels: int) -> list[jax.Array]:
    """Correlations of every UV cell with every image cell, at image sides h, h/2, h/4, …

    uv_features: [1 or B,U,U,D]. image_features: [B,h,w,D]. Returns per level [B,U·U,h_l,w_l], float32, divided by √D.
    Correlation is linear, so the image features are averaged instead of the volume, with the same result at a
    fraction of the cost.
    """
    depth = uv_features.shape[-1]
    queries = uv_features.reshape(uv_features.shape[0], -1, depth) * depth**-0.5
    volumes = []
    for level in range(levels):
        if level:
            image_features = average_pool(image_features, 2)
        batch, height, width, _ = image_features.shape
        keys = image_features.reshape(batch, height * width, depth)
        # Queries are repeated for each image: a product without a batch axis would be transposed afterwards.
        each = jnp.broadcast_to(queries, (batch, *queries.shape[1:]))
        volume = jnp.einsum("bqd,bkd->bqk", each, keys, preferred_element_type=jnp.float32)
        volumes.append(volume.reshape(batch, -1, height, width))
    return volumes


def look_up(volumes: list[jax.Array], places: jax.Array, radius: int, route: Route = "gather") -> jax.Array:
    """Correlations in a window of ± radius cells of each level round each query's place, zero outside the image.

    volumes: per level [B,Q,h_l,w_l]. places: [B,Q,2] (x, y), whole numbers at the cell centres of level 0; at level l
    they are divided by 2^l, as in RAFT. Returns [B,Q,levels·(2·radius+1)²]; within a level x is the slower axis.
    route: "gather" reads (2·radius+2)² neighbours and interpolates; "product" multiplies with interpolation weights
    from both sides, for devices whose gathers are slow.
    """
    read = _gather_window if route == "gather" else _product_window
    return jnp.concatenate([read(volume, places / 2.0**level, radius) for level, volume in enumerate(volumes)], axis=-1)


def _gather_window(volume: jax.Array, places: jax.Array, radius: int) -> jax.Array:
    """The window [B,Q,(2r+1)²] of one level; all its samples share one fractional offset."""
    batch, queries, height, width = volume.shape
    corner = jnp.floor(places)
    fraction = (places - corner).astype(volume.dtype)
    steps = jnp.arange(-radius, radius + 2)
    # What is far outside stays outside when clipped, and cannot overflow the indices.
    corner = jnp.clip(corner, -4.0 * radius - 4, max(height, width) + 4.0 * radius + 4).astype(jnp.int32)
    columns, rows = corner[..., 0:1] + steps, corner[..., 1:2] + steps
    column_inside = ((columns >= 0) & (columns < width)).astype(volume.dtype)
    row_inside = ((rows >= 0) & (rows < height)).astype(volume.dtype)
    index = jnp.clip(rows, 0, height - 1)[..., None, :] * width + jnp.clip(columns, 0, width - 1)[..., :, None]
    flat = volume.reshape(batch, queries, height * width)
    side = 2 * radius + 2
    window = jnp.take_along_axis(flat, index.reshape(batch, queries, side * side), axis=-1, mode="promise_in_bounds")
    window = window.reshape(batch, queries, side, side)
    window = window * (column_inside[..., :, None] * row_inside[..., None, :])
    x, y = fraction[..., 0, None, None], fraction[..., 1, None, None]
    window = window[..., :-1, :] * (1 - x) + window[..., 1:, :] * x
    window = window[..., :, :-1] * (1 - y) + window[..., :, 1:] * y
    return window.reshape(batch, queries, -1)


def _product_window(volume: jax.Array, places: jax.Array, radius: int) -> jax.Array:
    """The same window as two products with hat-shaped weights, which are zero for what lies outside."""
    batch, queries, height, width = volume.shape
    offsets = jnp.arange(-radius, radius + 1, dtype=jnp.float32)

    def weights(centre: jax.Array, length: int) -> jax.Array:
        distance = centre[..., None, None] + offsets[:, None] - jnp.arange(length, dtype=jnp.float32)
        return jnp.maximum(1.0 - jnp.abs(distance), 0.0)

    across, down = weights(places[..., 0], width), weights(places[..., 1], height)
    # Rounded interpolation weights would move the samples.
    half = jnp.einsum("bqhw,bqiw->bqih", volume, across, precision="highest")
    window = jnp.einsum("bqih,bqjh->bqij", half, down, precision="highest")
    return window.reshape(batch, queries, -1)
