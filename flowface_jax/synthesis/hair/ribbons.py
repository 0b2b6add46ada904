"""Locks as ribbons of triangles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.hair.assets import HairAssets
from flowface_jax.synthesis.hair.grids import HIDDEN, unit
from flowface_jax.synthesis.hair.growth import Setting, axis
from flowface_jax.synthesis.hair.look import inside_hairline, streaked
from flowface_jax.synthesis.hair.style import HairStyle
from flowface_jax.synthesis.scene import Material, Part


def ribbons(style: HairStyle, assets: HairAssets, setting: Setting, paths: jax.Array, random: jax.Array) -> Part:
    """Every lock as a strip of triangles facing away from the head; paths [K+1,N,3] m, root first."""
    points, locks = paths.shape[:2]
    swap = lambda values: jnp.moveaxis(values, 0, 1)
    ahead = jnp.concatenate([paths[1:], paths[-1:]])
    behind = jnp.concatenate([paths[:1], paths[:-1]])
    twist = (random[:, 6:7] - 0.5) * 1.3
    turn = jnp.cos(twist), jnp.sin(twist)
    frames = jax.lax.map(lambda three: _frame(setting, turn, *three), (behind, paths, ahead))
    tangent, tilted, normals = (swap(values) for values in frames)
    paths = swap(paths)
    along = jnp.linspace(0.0, 1.0, points)
    taper = (0.6 + 0.4 * jnp.clip(along * 4, 0, 1)) * jnp.clip((1.0 - along) * 2.5, 0.0, 1.0) ** 0.7 + 0.02
    half = 0.5 * style.width * (0.6 + 0.8 * random[:, 7])[:, None, None] * taper[None, :, None]
    inside = inside_hairline(style, assets.root_azimuth, assets.root_elevation, assets.root_distance)
    shown = (style.present > 0) & (inside > 0.004 * random[:, 0])
    edges = jnp.stack([paths - half * tilted, paths + half * tilted], 2)
    shape = (locks, points, 2)
    fill = lambda values, size: jnp.broadcast_to(values, (*shape, size)).reshape(-1, size)
    depth = jnp.sqrt(random[:, 2])[:, None]
    buried = jnp.clip((style.volume + 0.25 * style.top + style.cut) / 0.02, 0.0, 1.0)
    openness = 1 - buried * (0.55 * (1 - depth) * (1 - 0.3 * along) + 0.25 * (1 - jnp.clip(along * 3, 0, 1)))
    detail = jnp.stack(
        [
            jnp.broadcast_to(along[None, :, None], shape),
            jnp.broadcast_to(jnp.asarray([0.0, 1.0]), shape),
            jnp.broadcast_to(random[:, 0][:, None, None], shape),
        ],
        -1,
    )
    colour = streaked(style, random[:, 3][:, None], random[:, 4][:, None], along[None])
    vertices = jnp.where(shown[:, None, None, None], edges, jnp.asarray(HIDDEN, jnp.float32))
    triangles = strips(locks, points)
    return Part(
        vertices=vertices.reshape(-1, 3),
        normals=normals.reshape(-1, 3),
        tangents=fill(tangent[:, :, None], 3),
        detail=detail.reshape(-1, 3),
        colour=fill(colour[:, :, None], 3),
        openness=fill(openness[:, :, None, None], 1)[:, 0],
        triangles=jnp.asarray(triangles),
        material=jnp.full(len(triangles), int(Material.HAIR), jnp.int32),
    )


def _frame(
    setting: Setting, turn: tuple[jax.Array, jax.Array], behind: jax.Array, here: jax.Array, ahead: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Tangents and directions across [N,3], and both edges' normals [N,2,3], at one point of every lock."""
    tangent = unit((ahead - behind) * 100)
    outward = unit(here - axis(setting, here))
    facing = unit(outward - jnp.sum(outward * tangent, -1, keepdims=True) * tangent + 1e-4)
    aside = jnp.cross(tangent, facing)
    normals = unit(facing[:, None] + jnp.asarray([-0.45, 0.45])[:, None] * aside[:, None])
    return tangent, aside * turn[0] + facing * turn[1], normals


def strips(locks: int, points: int) -> np.ndarray:
    """Triangles [N*(K)*2,3] of ribbons whose vertices are numbered lock, point, edge."""
    i, j = np.meshgrid(np.arange(locks), np.arange(points - 1), indexing="ij")
    a = (i * points + j) * 2
    first, second = np.stack([a, a + 1, a + 2], -1), np.stack([a + 1, a + 3, a + 2], -1)
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)]).astype(np.int32)
