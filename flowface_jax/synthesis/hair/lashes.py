"""Eyelashes along the lids' margins, following blinks through the eyes' landmarks."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.heads.model import SurfacePoints
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.grids import HIDDEN, grid_part, unit
from flowface_jax.synthesis.hair.ribbons import strips
from flowface_jax.synthesis.scene import Material, Part, join

# Outer or inner corner to corner, upper and lower lid of the right and of the left eye (landmarks' numbers).
_LIDS = ((36, 37, 38, 39), (36, 41, 40, 39), (45, 44, 43, 42), (45, 46, 47, 42))
_LASHES = 32
_POINTS = 3
_SEEN_THROUGH = (0.13, 0.075, 0.055)


@pytree_dataclass
class Lashes:
    """One person's eyelashes. present: 0 or 1. length, width: m. curve: rad. liner: width of the dark line at the
    upper lid's margin, m. colour: [3] linear reflectance. shift: in [0,1), changes their unevenness."""

    present: jax.Array
    length: jax.Array
    width: jax.Array
    curve: jax.Array
    liner: jax.Array
    colour: jax.Array
    shift: jax.Array


def sample_lashes(key: jax.Array, made_up_share: jax.Array | float = 0.25) -> Lashes:
    """Draw eyelashes, made up with a probability."""
    u = jax.random.uniform(key, (8,))
    made_up = u[0] < made_up_share
    return Lashes(
        present=jnp.ones(()),
        length=jnp.where(made_up, 0.0050 + 0.0018 * u[1], 0.0030 + 0.0016 * u[1]),
        width=jnp.where(made_up, 0.0005, 0.00032 + 0.00014 * u[2]),
        curve=0.5 + 0.7 * u[3],
        liner=jnp.where(made_up, 0.0009 + 0.0012 * u[4], 0.0005 + 0.0004 * u[4]),
        colour=(0.006 + 0.03 * u[5] ** 3) * jnp.asarray([1.0, 0.75, 0.6]),
        shift=u[6],
    )


def _curve_weights(count: int) -> np.ndarray:
    """Weights [count,4] of the cubic through four points a third apart."""
    t = np.linspace(0.04, 0.96, count)[:, None] * 3
    others = [[k for k in range(4) if k != node] for node in range(4)]
    columns = [np.prod([(t - k) / (node - k) for k in rest], 0) for node, rest in enumerate(others)]
    return np.concatenate(columns, 1).astype(np.float32)


def grow_lashes(lashes: Lashes, landmarks: SurfacePoints, head_vertices: jax.Array) -> Part:
    """Eyelashes of both eyes, upper and lower, on a posed head [V,3] m; landmarks: the head's 68. Material LASH."""
    marks = landmarks.of(head_vertices)
    lids = marks[jnp.asarray(_LIDS)]
    margins = jnp.einsum("nk,lkd->lnd", jnp.asarray(_curve_weights(_LASHES)), lids, precision="highest")
    return join([_hairs(lashes, lids, margins), _liner(lashes, margins)])


def _directions(lids: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Where lashes point in the middle of each lid, and across each lid: [4,1,3] each."""
    upper, lower = lids[0::2], lids[1::2]
    height = jnp.mean(upper[:, 1:3, 1], 1) - jnp.mean(lower[:, 1:3, 1], 1)
    width = jnp.linalg.norm(upper[:, 3] - upper[:, 0], axis=-1)
    # Closing turns the upper lashes down.
    opened = jnp.clip((height / width - 0.10) / 0.2, -0.6, 1.0)
    rise = jnp.stack([0.45 * opened, jnp.full_like(opened, -0.45)], 1).reshape(4)
    zero = jnp.zeros(4)
    forward = unit(jnp.stack([zero, rise, zero + 0.9], -1))[:, None]
    return forward, unit(lids[:, 0] - lids[:, 3])[:, None]


def _hairs(lashes: Lashes, lids: jax.Array, margins: jax.Array) -> Part:
    table = np.random.default_rng(7).random((4, _LASHES, 3)).astype(np.float32)
    random = table + lashes.shift
    random = random - jnp.floor(random)
    share = jnp.linspace(0.5, -0.5, _LASHES)[None, :, None]
    forward, outwards = _directions(lids)
    upper = jnp.asarray([1.0, -1.0, 1.0, -1.0])[:, None, None]
    heading = unit(forward + outwards * (1.1 * share + 0.7 * (random[..., :1] - 0.5)))
    length = lashes.length * jnp.where(upper > 0, 1.0, 0.42) * (0.45 + 0.75 * random[..., 1:2]) * (1 - 0.6 * share**2)
    along = jnp.linspace(0.0, 1.0, _POINTS)[:, None]
    bend = (along**2 * lashes.curve * 0.5) * jnp.asarray([0.0, 1.0, 0.0]) * upper[..., None]
    paths = margins[:, :, None] + length[..., None] * (along * heading[:, :, None] + bend)
    half = 0.5 * lashes.width * (1.05 - along) * jnp.where(upper[..., None] > 0, 1.0, 0.7)
    # Finer than a pixel, they let the skin through: towards the tips, and on the lower lids everywhere.
    seen_through = jnp.where(upper > 0, 0.0, 0.5) + jnp.where(upper > 0, 0.7, 0.4) * along[None, :, 0, None]
    colour = lashes.colour + seen_through * (jnp.asarray(_SEEN_THROUGH) - lashes.colour)
    aside = unit(jnp.cross(heading, jnp.asarray([0.0, 1.0, 0.0])))[:, :, None]
    edges = jnp.stack([paths - half * aside, paths + half * aside], 3)
    shape = edges.shape[:-1]
    fill = lambda values: jnp.broadcast_to(values, (*shape, 3)).reshape(-1, 3)
    detail = jnp.stack(
        [
            jnp.broadcast_to(along, shape),
            jnp.broadcast_to(jnp.asarray([0.0, 1.0]), shape),
            jnp.broadcast_to(random[..., 2][..., None, None], shape),
        ],
        -1,
    )
    triangles = strips(4 * _LASHES, _POINTS)
    return Part(
        vertices=jnp.where(lashes.present > 0, edges.reshape(-1, 3), jnp.asarray(HIDDEN, jnp.float32)),
        normals=fill(jnp.asarray([0.0, 0.0, 1.0])),
        tangents=fill(heading[:, :, None, None]),
        detail=detail.reshape(-1, 3),
        colour=fill(colour[:, None, :, None]),
        openness=jnp.ones(4 * _LASHES * _POINTS * 2),
        triangles=jnp.asarray(triangles),
        material=jnp.full(len(triangles), int(Material.LASH), jnp.int32),
    )


def _liner(lashes: Lashes, margins: jax.Array) -> Part:
    """The dark line that dense roots make at the upper lids' margins."""
    parts = []
    for index in (0, 2):
        line = margins[index] + jnp.asarray([0.0, 0.0, 0.0004])
        share = jnp.linspace(0.0, 1.0, _LASHES)[:, None]
        thick = lashes.liner * (0.35 + 0.65 * jnp.sin(np.pi * (0.1 + 0.8 * share)))
        grid = jnp.stack([line, line + thick * jnp.asarray([0.0, 0.85, 0.35])])
        grid = grid if index == 0 else grid[:, ::-1]
        detail = jnp.asarray([0.2, 0.5, 0.5])
        present = lashes.present > 0
        parts.append(
            grid_part(grid, lashes.colour, Material.LASH, closed=False, present=present, detail=detail, openness=0.8)
        )
    return join(parts)
