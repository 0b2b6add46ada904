"""Glasses that sit on the nose and the ears of whoever wears them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.hair.grids import grid_part, tubes, unit
from flowface_jax.synthesis.scene import Material, Part, join
from flowface_jax.synthesis.wearables.fit import Fit, WearableAssets, fit_head

_OUTLINE = 28
_SIDES = 5


@pytree_dataclass
class Glasses:
    """One pair of glasses; float32 scalars unless said, lengths in m for eyes 62 mm apart.

    present: 0 or 1. half_width, half_height: of a lens. squareness: exponent of its outline, 2 round to 5 square.
    slant: how far the upper outer corner rises. droop: how much the lower half hangs (aviator). rim: thickness of the
    rim. lower_rim: its share below (0 half-rimmed). arm: height of the temples. slip: down the nose,
    0 to 1. wrap: curvature of the front, 1/m. tilt: rad, lower edge to the cheeks. colour: [3]. shine: 1 for metal.
    tint: [3] transmitted colour of the lenses. opacity: light kept back. reflectance: head-on.
    """

    present: jax.Array
    half_width: jax.Array
    half_height: jax.Array
    squareness: jax.Array
    slant: jax.Array
    droop: jax.Array
    rim: jax.Array
    lower_rim: jax.Array
    arm: jax.Array
    slip: jax.Array
    wrap: jax.Array
    tilt: jax.Array
    colour: jax.Array
    shine: jax.Array
    tint: jax.Array
    opacity: jax.Array
    reflectance: jax.Array


@pytree_dataclass
class Eyewear:
    """Built glasses: the opaque frame, and the lenses to be blended over what lies behind them."""

    frame: Part
    lenses: Part


_SHAPES = np.array(  # half width, half height, squareness, slant, droop
    [
        (0.0225, 0.0215, 2.0, 0.0, 0.0),
        (0.0255, 0.0180, 3.6, 0.001, 0.0),
        (0.0270, 0.0145, 4.0, 0.001, 0.0),
        (0.0285, 0.0225, 2.5, 0.001, 0.28),
        (0.0265, 0.0205, 2.8, 0.003, 0.08),
        (0.0260, 0.0190, 2.5, 0.006, 0.0),
        (0.0290, 0.0245, 2.6, 0.0, 0.05),
    ],
    np.float32,
)
_PLASTICS = np.array(
    [
        (0.012, 0.012, 0.013),
        (0.014, 0.013, 0.013),
        (0.02, 0.018, 0.017),
        (0.05, 0.022, 0.012),
        (0.12, 0.05, 0.02),
        (0.02, 0.03, 0.08),
        (0.25, 0.03, 0.04),
        (0.5, 0.48, 0.45),
    ]
)
_METALS = np.array([(0.55, 0.55, 0.56), (0.62, 0.46, 0.22), (0.10, 0.10, 0.11), (0.6, 0.38, 0.28)])


def sample_glasses(key: jax.Array, share: float = 1.0) -> Glasses:
    """Draw a pair of glasses, worn with probability `share`."""
    keys = jax.random.split(key, 5)
    u = jax.random.uniform(keys[0], (16,))
    shape = jnp.asarray(_SHAPES)[jax.random.randint(keys[1], (), 0, len(_SHAPES))]
    metal = u[0] < 0.4
    plastic_colour = jnp.asarray(_PLASTICS, jnp.float32)[jax.random.randint(keys[2], (), 0, len(_PLASTICS))]
    metal_colour = jnp.asarray(_METALS, jnp.float32)[jax.random.randint(keys[3], (), 0, len(_METALS))]
    sun, tinted = u[1] < 0.22, (u[1] >= 0.22) & (u[1] < 0.3)
    shade = jax.random.uniform(keys[4], (3,))
    opacity = jnp.where(sun, 0.75 + 0.23 * u[2], jnp.where(tinted, 0.15 + 0.35 * u[2], 0.03))
    dark_tint = 0.02 + 0.06 * shade
    light_tint = 0.2 + 0.5 * shade
    return Glasses(
        present=jnp.where(u[3] < share, 1.0, 0.0),
        half_width=shape[0] * (0.94 + 0.12 * u[4]),
        half_height=shape[1] * (0.9 + 0.2 * u[5]),
        squareness=shape[2] * (0.9 + 0.2 * u[6]),
        slant=shape[3],
        droop=shape[4],
        rim=jnp.where(metal, 0.0011 + 0.0008 * u[7], 0.0022 + 0.0024 * u[7] ** 2),
        lower_rim=jnp.where(u[8] < 0.16, 0.15, 1.0),
        arm=jnp.where(metal, 0.0014 + 0.001 * u[9], 0.0028 + 0.004 * u[9]),
        slip=u[10] ** 2,
        wrap=0.6 + 1.4 * u[11],
        tilt=0.05 + 0.09 * u[12],
        colour=jnp.where(metal, metal_colour, plastic_colour),
        shine=jnp.where(metal, 1.0, 0.0),
        tint=jnp.where(sun, dark_tint, light_tint),
        opacity=opacity,
        reflectance=jnp.where(sun, 0.05 + 0.07 * u[13], 0.01 + 0.045 * u[13]),
    )


@pytree_dataclass
class _Front:
    """The front of the frame: centres [2] of the lenses (x), their height y, scale, centre x, bridge [3], depth z."""

    lens_x: jax.Array
    lens_y: jax.Array
    scale: jax.Array
    middle: jax.Array
    bridge: jax.Array
    depth: jax.Array


def _front(glasses: Glasses, fit: Fit) -> _Front:
    marks = fit.landmarks
    right, left = jnp.mean(marks[36:42], 0), jnp.mean(marks[42:48], 0)
    scale = (left[0] - right[0]) / 0.062
    share = 0.15 + 0.55 * glasses.slip
    rest = marks[27] + share * (marks[28] - marks[27])
    bridge = rest + jnp.asarray([0.0, 0.0, 0.0016]) + jnp.asarray([0.0, 0.0, 0.5]) * glasses.rim
    # Room for cornea and lashes, and no rim inside the brow.
    eye_room = jnp.max(marks[36:48, 2]) + 0.009
    brow_room = jnp.max(marks[17:27, 2]) - 0.004
    depth = jnp.maximum(bridge[2], jnp.maximum(eye_room, brow_room))
    return _Front(
        lens_x=jnp.stack([left[0], right[0]]),
        lens_y=0.5 * (left[1] + right[1]) - 0.001 - 0.006 * glasses.slip,
        scale=scale,
        middle=0.5 * (left[0] + right[0]),
        bridge=bridge,
        depth=depth,
    )


def _bent(glasses: Glasses, front: _Front, x: jax.Array, y: jax.Array) -> jax.Array:
    """Points [...,3] of the front's curved, tilted sheet."""
    z = front.depth - glasses.wrap * (x - front.middle) ** 2 + jnp.tan(glasses.tilt) * (y - front.bridge[1])
    return jnp.stack([x, y, z], -1)


def _outline(glasses: Glasses, front: _Front) -> tuple[jax.Array, jax.Array]:
    """Outlines of both lenses about their centres, mirrored: x and y [2,N], left first, counter-clockwise."""
    angle = jnp.arange(_OUTLINE) * (2 * np.pi / _OUTLINE)
    angle = jnp.stack([angle, angle])
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    n = glasses.squareness
    size = (jnp.abs(cosine) ** n + jnp.abs(sine) ** n + 1e-9) ** (-1 / n)
    outwards = jnp.asarray([[1.0], [-1.0]])
    x = glasses.half_width * size * cosine
    outer = x * outwards / glasses.half_width
    y = glasses.half_height * size * sine
    y = y + glasses.slant * outer * jnp.clip(sine, 0.0, 1.0)
    y = y + glasses.droop * jnp.minimum(y, 0.0) * (0.4 + 0.3 * outer)
    # Narrower towards the nose below.
    x = x * (1 - 0.10 * jnp.clip(-sine, 0.0, 1.0) * jnp.clip(-outer, 0.0, 1.0) * 2)
    room = jnp.abs(front.lens_x - front.middle)[:, None] - 0.0075 * front.scale
    x = x * front.scale * outwards
    x = jnp.maximum(x, -room) * outwards
    return x, y * front.scale


def build_glasses(glasses: Glasses, assets: WearableAssets, head_vertices: jax.Array) -> Eyewear:
    """Frame (material FRAME) and lenses fitted to a posed head, vertices [V,3] m, in the head's frame.

    The lenses' colour is the glasses' tint. Absent glasses lie at one point far behind.
    """
    fit = fit_head(assets, head_vertices)
    front = _front(glasses, fit)
    x, y = _outline(glasses, front)
    rims = _rims(glasses, front, x, y)
    pieces = [rims[0], rims[1], _bridge(glasses, front, x), *_arms(glasses, fit, front, x)]
    worn = glasses.present > 0
    part = lambda grid: grid_part(
        grid, glasses.colour, Material.FRAME, closed=True, present=worn, detail=grid - front.bridge
    )
    frame = join([part(grid) for grid in pieces])
    return Eyewear(frame=frame, lenses=join([_lens(glasses, front, x[i], y[i], i, worn) for i in range(2)]))


def _rims(glasses: Glasses, front: _Front, x: jax.Array, y: jax.Array) -> jax.Array:
    """Tubes along both outlines [2,N+1,sides,3]."""
    path = _bent(glasses, front, front.lens_x[:, None] + x, front.lens_y + y)
    path = jnp.concatenate([path, path[:, :1]], 1)
    away = unit(jnp.stack([x, y, jnp.zeros_like(x)], -1) * 100)
    away = jnp.concatenate([away, away[:, :1]], 1)
    below = jnp.clip(-away[..., 1:2] * 6 - 0.3, 0.0, 1.0)
    thickness = 0.5 * glasses.rim * front.scale * (1 - below * (1 - glasses.lower_rim))
    depth = -jnp.asarray([0.0, 0.0, 1.0]) * (0.0008 + 0.35 * glasses.rim) * (thickness / (0.5 * glasses.rim))
    return tubes(path, away * thickness, jnp.broadcast_to(depth, path.shape), _SIDES, True)


def _bridge(glasses: Glasses, front: _Front, x: jax.Array) -> jax.Array:
    """The tube [9,sides,3] from rim to rim that rests on the nose."""
    across = jnp.linspace(-1.0, 1.0, 9)
    inner_left = front.lens_x[0] + jnp.min(x[0])
    inner_right = front.lens_x[1] + jnp.max(x[1])
    place_x = 0.5 * (inner_left + inner_right) + 0.52 * (inner_left - inner_right) * across
    height = front.bridge[1] + 0.002 * (1 - across**2) + 0.0035 * across**2
    sheet = _bent(glasses, front, place_x, height)
    path = sheet.at[:, 2].add((front.bridge[2] - sheet[:, 2]) * (1 - across**2))
    thickness = 0.5 * glasses.rim + 0.0004
    up = jnp.broadcast_to(jnp.asarray([0.0, 1.0, 0.0]) * thickness, path.shape)
    ahead = jnp.broadcast_to(jnp.asarray([0.0, 0.0, 1.0]) * thickness, path.shape)
    return tubes(path, up, ahead, _SIDES, True)


def _arms(glasses: Glasses, fit: Fit, front: _Front, x: jax.Array) -> list[jax.Array]:
    """Temples [9,sides,3], left and right: out from the rim, back to the ear, down behind it."""
    grids = []
    for index, sign, widest in ((0, 1.0, jnp.max(x[0])), (1, -1.0, jnp.min(x[1]))):
        height = front.lens_y + 0.45 * glasses.half_height * front.scale
        outer = _bent(glasses, front, front.lens_x[index] + 0.97 * widest, height)
        jaw = jnp.abs(fit.landmarks[16 if index == 0 else 0, 0])
        ear = fit.ear_tops[index] + jnp.asarray([0.004 * sign, 0.004, 0.0])
        hinge_x = sign * jnp.maximum(jnp.abs(outer[0]) + 0.005, jaw + 0.001)
        hinge = jnp.stack([hinge_x, outer[1], outer[2] - 0.004])
        ear_x = sign * jnp.maximum(jnp.abs(ear[0]), jaw - 0.001)
        ear = jnp.stack([ear_x, ear[1], ear[2]])
        reach = lambda share, start=hinge, end=ear: start + share * (end - start)
        down = ear + jnp.asarray([-0.002 * sign, -0.010, -0.016])
        tip = ear + jnp.asarray([-0.005 * sign, -0.028, -0.023])
        corner = jnp.stack([hinge[0], outer[1], outer[2] - 0.001])
        bulge = jnp.asarray([0.003 * sign, 0.0, 0.0])
        path = jnp.stack(
            [
                outer,
                corner,
                hinge,
                reach(0.3) + bulge,
                reach(0.65) + bulge,
                reach(0.9),
                ear + jnp.asarray([0.0, 0.0, -0.004]),
                down,
                tip,
            ]
        )
        along = unit(
            (jnp.roll(path, -1, 0) - jnp.roll(path, 1, 0)).at[0].set(path[1] - path[0]).at[-1].set(path[-1] - path[-2])
        )
        outwards = jnp.broadcast_to(jnp.asarray([sign, 0.0, 0.0]), path.shape).at[0].set(jnp.asarray([0.0, 0.0, 1.0]))
        upright = unit(jnp.cross(along, outwards))
        thick = (0.0007 + 0.12 * glasses.arm) * jnp.ones((len(path), 1))
        grids.append(tubes(path, outwards * thick, upright * 0.5 * glasses.arm, _SIDES, True))
    return grids


def _lens(glasses: Glasses, front: _Front, x: jax.Array, y: jax.Array, index: int, worn: jax.Array) -> Part:
    """One lens as three rings of its outline, bulging slightly."""
    rings = jnp.asarray([1.0, 0.55, 0.0])[:, None]
    points = _bent(glasses, front, front.lens_x[index] + rings * x, front.lens_y + rings * y)
    points = points.at[..., 2].add(0.0025 * (1 - rings**2))
    return grid_part(points, glasses.tint, Material.FRAME, closed=True, present=worn, detail=points - front.bridge)
