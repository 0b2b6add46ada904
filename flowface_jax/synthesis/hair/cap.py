"""The hair's body on the scalp: the skin's own surface, lifted."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.hair.assets import HairAssets
from flowface_jax.synthesis.hair.grids import grid_normals, grid_part, unit
from flowface_jax.synthesis.hair.growth import Setting, knot
from flowface_jax.synthesis.hair.look import inside_hairline, streaked
from flowface_jax.synthesis.hair.style import HairStyle
from flowface_jax.synthesis.scene import Material, Part


def cap_part(
    style: HairStyle,
    assets: HairAssets,
    setting: Setting,
    head_vertices: jax.Array,
    covered: jax.Array | float,
    scalp: jax.Array,
) -> Part:
    """The scalp's own surface lifted by the hair's body; where it dips under the skin the hairline shows ragged."""
    rows, columns = assets.cap_azimuth.shape
    skin = assets.cap.of(head_vertices).reshape(rows, columns, 3)
    outward = unit(skin - setting.shell.centre)
    noise = assets.cap_random + style.shift[:2]
    noise = noise - jnp.floor(noise)
    inside = inside_hairline(style, assets.cap_azimuth, assets.cap_elevation, assets.cap_distance)
    inside = inside + (noise[..., 0] - 0.5) * 2 * style.ragged
    # Where hair is cut short its body is thin.
    on_top = jnp.clip((assets.cap_elevation - 0.35) / 0.6, 0.0, 1.0)
    local = style.side + on_top * (style.top - style.side)
    body = style.thickness * (1 - 0.85 * covered) * jnp.clip(local / 0.035, 0.35, 1.0)
    rise = jnp.clip(inside / (0.004 + 1.5 * body), -1.0, 1.0)
    bumps = 1 + (noise[..., 1] - 0.5) * jnp.clip(style.curl * 60, 0.06, 0.5)
    lifted = jnp.where(rise > 0, 0.0008 + body * bumps * jnp.sin(0.5 * jnp.pi * rise), 0.004 * rise)
    points = skin + outward * lifted[..., None]
    normals = unit(grid_normals(points, True) + 0.6 * outward)
    colour = streaked(style, noise[..., 1], noise[..., 0], jnp.float32(0.15))
    edge = jnp.clip(inside / 0.007, 0.0, 1.0)[..., None]
    cover = jnp.clip(style.thickness / 0.004, 0.0, 1.0)
    cover = (0.45 + 0.55 * cover) * (0.6 + 0.4 * edge)
    colour = scalp + cover * (colour - scalp)
    shade = 0.62 + 0.38 * jnp.clip(0.004 / (style.thickness + 1e-4), 0.0, 1.0)
    # Uneven, or the strands would line up into regular stripes.
    across = assets.cap_azimuth * (11 / np.pi) + 0.5 * noise[..., 0] + 0.2 * noise[..., 1]
    zero = jnp.zeros_like(across)
    return grid_part(
        points,
        colour,
        Material.HAIR,
        closed=True,
        present=style.present > 0,
        normals=normals,
        tangents=_combed(style, setting, points, outward),
        detail=jnp.stack([zero + 0.15, across, zero + 0.5], -1),
        openness=shade * (0.75 + 0.25 * jnp.clip(inside / 0.01, 0.0, 1.0)),
    )


def _combed(style: HairStyle, setting: Setting, points: jax.Array, outward: jax.Array) -> jax.Array:
    """Direction of the hair on the cap [R,C,3]."""
    side = jnp.where(points[..., :1] - setting.shell.centre[0] > style.parting, 1.0, -1.0)
    parted = jnp.concatenate([side, jnp.full_like(side, -0.35), jnp.full_like(side, -0.25)], -1)
    away = unit(points - setting.shell.centre - jnp.asarray([0.0, 0.085, -0.045]))
    combed = style.whorl * away + style.part * parted
    combed = combed + style.swept * jnp.asarray([0.0, -0.15, -1.0]) + style.forward * jnp.asarray([0.0, -0.2, 1.0])
    combed = jnp.where(style.tie > 0, unit(knot(style, setting) - points), combed)
    combed = combed + style.gravity * 0.3 * jnp.asarray([0.0, -1.0, 0.0])
    return unit(combed - jnp.sum(combed * outward, -1, keepdims=True) * outward)
