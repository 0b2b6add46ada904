"""Locks as ribbons of triangles."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.hair.assets import HairAssets
from flowface_jax.synthesis.hair.grids import HIDDEN, unit
from flowface_jax.synthesis.hair.growth import Setting, axis
from flowface_jax.synthesis.hair.look import fairness, inside_hairline, streaked
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
    taper = (0.3 + 0.7 * jnp.clip(along * 3.5, 0, 1)) * jnp.clip((1.0 - along) * 2.2, 0.0, 1.0) ** 0.7 + 0.04
    # Locks at the bottom are broad and hide the scalp; those at the outside are thin wisps.
    above = jnp.sqrt(random[:, 2])
    breadth = (1.3 - 0.85 * above**4) * (0.7 + 0.6 * random[:, 7])
    half = 0.5 * style.width * assets.lock_width * breadth[:, None, None] * taper[None, :, None]
    inside = inside_hairline(style, assets.root_azimuth, assets.root_elevation, assets.root_distance)
    shown = (style.present > 0) & (inside > 0.004 * random[:, 0])
    edges = jnp.stack([paths - half * tilted, paths + half * tilted], 2)
    shape = (locks, points, 2)
    fill = lambda values, size: jnp.broadcast_to(values, (*shape, size)).reshape(-1, size)
    depth = above[:, None]
    fair = fairness(style)
    # Light is scattered on among fair strands and swallowed by dark ones.
    buried = jnp.clip((style.volume + 0.25 * style.top + style.cut) / 0.02, 0.0, 1.0) * (1.0 - 0.55 * fair)
    openness = (0.72 + 0.28 * fair) * (
        1 - buried * (0.55 * (1 - depth) * (1 - 0.3 * along) + 0.25 * (1 - jnp.clip(along * 3, 0, 1)))
    )
    detail = jnp.stack(
        [
            jnp.broadcast_to(along[None, :, None], shape),
            jnp.broadcast_to(_strand_numbers(random)[:, None], shape),
            jnp.broadcast_to(0.5 + (1.0 - 0.6 * fair) * (random[:, 0] - 0.5)[:, None, None], shape),
        ],
        -1,
    )
    colour = streaked(style, random[:, 3][:, None], random[:, 4][:, None], along[None])
    ripple = jnp.sin(17.0 * along[None] * (0.5 + random[:, 5:6]) + 40.0 * random[:, 6:7])
    colour = colour * (1.0 + 0.09 * ripple)[..., None]
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


def _strand_numbers(random: jax.Array) -> jax.Array:
    """Where the strands of every lock lie in the pattern across it, at both edges [N,2]: nowhere the same."""
    begin = 7.0 * random[:, 1]
    return jnp.stack([begin, begin + 0.22 + 0.5 * random[:, 4]], -1)


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
