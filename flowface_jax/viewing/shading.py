"""A small smooth-shaded picture of a mesh, lit from beside the camera."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.synthesis.rasteriser import interpolate, project, rasterise, vertex_normals

SKIN = (0.80, 0.78, 0.76)
_KEY, _KEY_STRENGTH = (-0.30, -0.45, -0.84), 0.72
_RIM, _RIM_STRENGTH = (0.75, -0.25, 0.30), 0.18
_AMBIENT = 0.25
_GLOSS = 0.06


def shade(
    vertices: np.ndarray,
    triangles: np.ndarray,
    focal: float,
    principal_point: np.ndarray,
    size: tuple[int, int],
    colours: np.ndarray | None = None,
    background: tuple[int, int, int] | np.ndarray = (255, 255, 255),
    supersampling: int = 2,
) -> np.ndarray:
    """A picture [H,W,3] RGB uint8 of vertices [V,3] m in the camera's frame.

    triangles: [T,3], counter-clockwise from outside. focal px, principal_point [2] px and size (width, height) px as in
    `Cameras`. colours: [V,3] RGB in [0,1] per vertex, or None for plain plaster. background: a colour or a picture
    [H,W,3]. supersampling: samples per pixel and axis; 1 leaves edges jagged. Triangles behind the camera or turned
    away are left out. Raises InputError for wrong shapes.
    """
    width, height = size
    behind = np.asarray(background)
    if behind.shape not in ((3,), (height, width, 3)):
        raise InputError(f"background: expected a colour [3] or a picture [{height},{width},3], found {behind.shape}")
    vertices = np.asarray(vertices, np.float32)
    base = np.broadcast_to(np.float32(SKIN if colours is None else colours), vertices.shape)
    if supersampling < 1:
        raise InputError(f"supersampling: expected a whole number from 1, found {supersampling}")
    intrinsics = np.float32(focal), np.asarray(principal_point, np.float32)
    colour, coverage = _picture(
        vertices, np.asarray(triangles, np.int32), base, *intrinsics, (int(width), int(height)), int(supersampling)
    )
    coverage = np.asarray(coverage)[..., None]
    return np.round(np.asarray(colour) + behind * (1 - coverage)).clip(0, 255).astype(np.uint8)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _picture(
    vertices: jax.Array,
    triangles: jax.Array,
    base: jax.Array,
    focal: jax.Array,
    principal_point: jax.Array,
    size: tuple[int, int],
    samples: int,
) -> tuple[jax.Array, jax.Array]:
    """Colour [H,W,3] in 0..255 times coverage, and coverage [H,W]."""
    pixels, depth = project(vertices, focal * samples, principal_point * samples)
    fragments = rasterise(pixels, depth, triangles, (size[0] * samples, size[1] * samples), cull=True)
    attributes = jnp.concatenate([vertex_normals(vertices, triangles), base], axis=1)
    surface = interpolate(fragments, triangles, attributes)
    normal = surface[..., :3] / jnp.maximum(jnp.linalg.norm(surface[..., :3], axis=-1, keepdims=True), 1e-12)
    lit = jnp.clip(surface[..., 3:] * _light(normal)[..., None] + _highlight(normal)[..., None], 0, 1) * 255
    seen = fragments.seen.astype(jnp.float32)[..., None]
    both = jnp.concatenate([lit * seen, seen], axis=-1)
    averaged = both.reshape(size[1], samples, size[0], samples, 4).mean((1, 3))
    return averaged[..., :3], averaged[..., 3]


def _light(normal: jax.Array) -> jax.Array:
    """Diffuse light [...] on normals [...,3] of the camera's frame: ambient, a key light, a weak one from behind."""
    key, rim = (normal @ _unit(direction) for direction in (_KEY, _RIM))
    return _AMBIENT + _KEY_STRENGTH * jnp.maximum(key, 0) + _RIM_STRENGTH * jnp.maximum(rim, 0)


def _highlight(normal: jax.Array) -> jax.Array:
    """A soft highlight [...] of the key light, seen along the camera's axis."""
    halfway = _unit(np.asarray(_unit(_KEY)) + [0, 0, -1])
    return _GLOSS * jnp.maximum(normal @ halfway, 0) ** 24


def _unit(direction: tuple[float, ...] | np.ndarray) -> np.ndarray:
    return np.asarray(direction, np.float32) / np.float32(np.linalg.norm(direction))
