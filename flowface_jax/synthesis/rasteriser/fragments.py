"""Triangles to pixels: which triangle each pixel shows, where on it, and how far away."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.rasteriser import native, portable

MAXIMUM_SIDE = 16384
NEAR = 1e-4


@pytree_dataclass
class Fragments:
    """What is seen at the centre of each pixel.

    triangle: [...,H,W] int32, −1 where nothing is. barycentric: [...,H,W,3] float32 weights of the triangle's corners,
    perspective-correct, summing to 1 (0 where nothing is). depth: [...,H,W] float32 m, infinite where nothing is.
    """

    triangle: jax.Array
    barycentric: jax.Array
    depth: jax.Array

    @property
    def seen(self) -> jax.Array:
        """[...,H,W] bool: whether anything is there."""
        return self.triangle >= 0


def rasterise(
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    size: tuple[int, int],
    *,
    orthographic: bool = False,
    cull: bool = False,
    near: float = NEAR,
    mixed: bool = True,
    only_portable: bool = False,
) -> Fragments:
    """The nearest triangle at every pixel centre of a picture of size (width, height).

    pixels: [...,V,2] px, continuous, the centre of the top-left pixel at (0.5, 0.5). depth: [...,V] m along the
    camera's axis. triangles: [T,3]. orthographic: depth is linear over the picture (and may have any sign), as on an
    atlas. cull: leave out triangles that turn their back, those not counter-clockwise as seen. mixed: False where
    only triangle and depth are of use; barycentrics are then 0. only_portable: never use the native kernels, which
    otherwise run on CPUs.

    Vertices are rounded to 1/256 px and edges decided in exact integers: neighbouring triangles leave no gap and share
    no pixel. At equal depth the lower index wins. Triangles without area, with a corner that is not finite, nearer
    than `near` m (so also behind the camera) or more than two million pixels away are left out whole: a surface that
    passes through the camera's plane ends there raggedly. Not differentiable; `barycentrics` is. Raises InputError for
    wrong shapes and sizes outside 1..16384.
    """
    size = checked_size(size)
    pixels, depth, triangles = (jnp.asarray(array) for array in (pixels, depth, triangles))
    _check_mesh(pixels, depth, triangles)
    batch = jnp.broadcast_shapes(pixels.shape[:-2], depth.shape[:-1])
    if not triangles.shape[0] or not pixels.shape[-2]:
        return _nothing(batch, size)
    pixels = jax.lax.stop_gradient(jnp.broadcast_to(pixels, batch + pixels.shape[-2:]).astype(jnp.float32))
    depth = jax.lax.stop_gradient(jnp.broadcast_to(depth, batch + depth.shape[-1:]).astype(jnp.float32))
    one = functools.partial(
        _one, size=size, orthographic=orthographic, cull=cull, mixed=mixed, only_portable=only_portable
    )
    near = jnp.asarray(near, jnp.float32)
    triangles = triangles.astype(jnp.int32)
    return Fragments(*over_batch(lambda p, d: one(p, d, triangles, near), len(batch))(pixels, depth))


@functools.partial(jax.jit, static_argnames=("size", "orthographic", "cull", "mixed", "only_portable"))
def _one(
    pixels: jax.Array,
    depth: jax.Array,
    triangles: jax.Array,
    near: jax.Array,
    *,
    size: tuple[int, int],
    orthographic: bool,
    cull: bool,
    mixed: bool,
    only_portable: bool,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One picture: triangle, barycentrics, depth."""
    width, height = size
    results = (
        jax.ShapeDtypeStruct((height, width), jnp.int32),
        jax.ShapeDtypeStruct((height, width, 3), jnp.float32),
        jax.ShapeDtypeStruct((height, width), jnp.float32),
    )

    def compiled(pixels: jax.Array, depth: jax.Array, triangles: jax.Array, near: jax.Array) -> Any:
        settings = jnp.stack([near, jnp.float32(orthographic), jnp.float32(cull), jnp.float32(mixed)])
        return tuple(native.call("rasterise", results, pixels, depth, triangles, settings))

    def plain(pixels: jax.Array, depth: jax.Array, triangles: jax.Array, near: jax.Array) -> Any:
        triangle, mix, z = portable.rasterise(pixels, depth, triangles, near, size, orthographic, cull)
        return triangle, mix if mixed else jnp.zeros_like(mix), z

    if only_portable:
        return plain(pixels, depth, triangles, near)
    return native.choose("rasterise", compiled, plain, pixels, depth, triangles, near)


def over_batch(function: Callable[..., Any], axes: int) -> Callable[..., Any]:
    """The function mapped over that many leading axes of all its arguments."""
    for _ in range(axes):
        function = jax.vmap(function)
    return function


def checked_size(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) as ints; raises InputError."""
    try:
        width, height = (int(side) for side in size)
        whole = (width, height) == tuple(size)
    except (TypeError, ValueError):
        whole = False
    if not whole or not (1 <= width <= MAXIMUM_SIDE and 1 <= height <= MAXIMUM_SIDE):
        raise InputError(f"size: expected (width, height), whole numbers from 1 to {MAXIMUM_SIDE}, found {size!r}")
    return width, height


def check_triangles(triangles: jax.Array) -> None:
    """Raise InputError unless triangles are [T,3] whole numbers."""
    if triangles.ndim != 2 or triangles.shape[-1] != 3 or not jnp.issubdtype(triangles.dtype, jnp.integer):
        raise InputError(
            f"triangles: expected [T,3] whole numbers, one mesh for the whole batch (vary it with jax.vmap), found "
            f"{list(triangles.shape)} {triangles.dtype}"
        )


def _check_mesh(pixels: jax.Array, depth: jax.Array, triangles: jax.Array) -> None:
    check_triangles(triangles)
    if pixels.ndim < 2 or pixels.shape[-1] != 2:
        raise InputError(f"pixels: expected [...,V,2], found {list(pixels.shape)}")
    if depth.ndim < 1 or depth.shape[-1] != pixels.shape[-2]:
        raise InputError(f"depth: expected [...,{pixels.shape[-2]}], one for each vertex, found {list(depth.shape)}")
    try:
        np.broadcast_shapes(pixels.shape[:-2], depth.shape[:-1])
    except ValueError:
        raise InputError(
            f"pixels {list(pixels.shape)} and depth {list(depth.shape)} are batches of different shapes"
        ) from None


def _nothing(batch: tuple[int, ...], size: tuple[int, int]) -> Fragments:
    shape = (*batch, size[1], size[0])
    return Fragments(
        jnp.full(shape, -1, jnp.int32), jnp.zeros((*shape, 3), jnp.float32), jnp.full(shape, jnp.inf, jnp.float32)
    )
