"""Hair as geometry: a cap on the scalp, ribbons for locks, and a bun."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.synthesis.hair.assets import HairAssets
from flowface_jax.synthesis.hair.cap import cap_part
from flowface_jax.synthesis.hair.grids import grid_part, unit
from flowface_jax.synthesis.hair.growth import Setting, knot, lock_paths, settle
from flowface_jax.synthesis.hair.look import streaked
from flowface_jax.synthesis.hair.ribbons import ribbons
from flowface_jax.synthesis.hair.shell import shell_radius
from flowface_jax.synthesis.hair.style import HairStyle
from flowface_jax.synthesis.scene import Material, Part, join

_MIDDLING_SKIN = (0.42, 0.27, 0.20)


def grow_hair(
    style: HairStyle,
    assets: HairAssets,
    head_vertices: jax.Array,
    *,
    covered: jax.Array | float = 0.0,
    cover_height: jax.Array | float = 0.0,
    cover_slope: jax.Array | float = 0.0,
    skin_colour: jax.Array | None = None,
) -> Part:
    """Hair of one head, vertices [V,3] m in the head's frame → a part with material HAIR.

    covered: 1 where headgear presses hair flat above the height cover_height + cover_slope · (z − the head's centre),
    m, 0 for none (see wearables.hats.Cover).
    skin_colour: [3] linear reflectance of the scalp, which shows through very short hair; None for a middling one.
    Cap, ribbons and bun are always in the arrays; absent ones lie at one point far behind.
    """
    setting = settle(assets, head_vertices)
    skin = jnp.asarray(_MIDDLING_SKIN if skin_colour is None else skin_colour)
    paths, random = lock_paths(style, assets, setting)
    # Point by point along the locks: as one expression, compilers work the shell out again for every use of it.
    press = lambda points: _pressed(
        setting, points, covered, cover_height + cover_slope * (points[..., 2:] - setting.shell.centre[2])
    )
    paths = jax.lax.map(press, jnp.moveaxis(paths, 1, 0))
    return join(
        [
            cap_part(style, assets, setting, head_vertices, covered, skin),
            ribbons(style, assets, setting, paths, random),
            _bun(style, setting, covered),
        ]
    )


def _pressed(setting: Setting, paths: jax.Array, covered: jax.Array | float, height: jax.Array) -> jax.Array:
    """Flatten what lies above a height onto the scalp."""
    offset = paths - setting.shell.centre
    distance = jnp.sqrt(jnp.sum(offset * offset, -1, keepdims=True) + 1e-12)
    direction = offset / distance
    most = shell_radius(setting.shell, direction)[..., None] + 0.003
    above = jax.nn.sigmoid((paths[..., 1:2] - height + 0.004) / 0.004) * covered
    return setting.shell.centre + direction * (distance + above * jnp.minimum(most - distance, 0.0))


def _bun(style: HairStyle, setting: Setting, covered: jax.Array | float) -> Part:
    """A wound ball at the knot."""
    rows, columns = 10, 16
    polar = jnp.linspace(0.0, jnp.pi, rows)[:, None]
    turn = (jnp.arange(columns) * (2 * jnp.pi / columns))[None]
    axis = unit(knot(style, setting) - setting.shell.centre)
    side = jnp.asarray([1.0, 0.0, 0.0])
    up = unit(jnp.cross(axis, side))
    ring = jnp.cos(turn)[..., None] * side + jnp.sin(turn)[..., None] * up
    wound = 1 + 0.09 * jnp.sin(turn * 2 + polar * 5)
    direction = jnp.cos(polar)[..., None] * axis * 0.75 + (jnp.sin(polar) * wound)[..., None] * ring
    points = knot(style, setting) + style.bun * direction
    around = jnp.cos(turn)[..., None] * up - jnp.sin(turn)[..., None] * side
    colour = streaked(
        style, 0.5 + 0.5 * jnp.sin(turn * 3 + polar * 4), jnp.full((rows, columns), style.shift[3]), polar / 8
    )
    zeros = jnp.zeros((rows, columns))
    return grid_part(
        points,
        colour,
        Material.HAIR,
        closed=True,
        present=(style.present > 0) & (style.bun > 0) & (jnp.asarray(covered) < 0.5),
        normals=unit(direction),
        tangents=unit(around + 0.4 * axis),
        detail=jnp.stack([zeros + 0.5, zeros + polar * 4, zeros + 0.5], -1),
        openness=0.8,
    )
