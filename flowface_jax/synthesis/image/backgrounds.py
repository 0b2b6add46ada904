"""What is behind the head: made-up surroundings, mostly out of focus. Linear RGB.

A background is a wall or sky over a floor, a pattern, noise at three scales, then patches from back to front: shelves,
windows, houses, lights, passers-by. It is built at half the resolution and enlarged with the lens's blur.
Places are in units of half the image's height from its centre, x right, y down.
"""

from __future__ import annotations

import enum

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.image.filters import REFERENCE_HEIGHT, averaging_matrix, pixels, planes, separable, stage
from flowface_jax.synthesis.noise import enlarge

BOXES = 28
LIGHTS = 14
COARSE, MIDDLE, FINE = 7, 18, 48
"""Random values across the noise of each scale."""
GLYPH_ROWS, GLYPH_COLUMNS = 22, 64


class Setting(enum.IntEnum):
    """Kinds of surroundings."""

    ROOM = 0
    SHELVES = 1
    OFFICE = 2
    NATURE = 3
    STREET = 4
    NIGHT = 5
    STUDIO = 6
    PATTERN = 7
    CLUTTER = 8


SHARE = (0.2, 0.13, 0.13, 0.14, 0.1, 0.08, 0.1, 0.06, 0.06)
"""How often each setting is drawn."""


@pytree_dataclass
class Patches:
    """Things from back to front, N of them: boxes, or ellipses where round is 1.

    centre, half: [N,2]. soft: [N] width of the edge. opacity: [N], 0 for none. colour: [N,3]. glow: [N], 1 adds
    its light to what is behind. shade: [N] how much darker the lower edge is.
    """

    centre: jax.Array
    half: jax.Array
    round: jax.Array
    soft: jax.Array
    opacity: jax.Array
    colour: jax.Array
    glow: jax.Array
    shade: jax.Array


@pytree_dataclass
class Background:
    """Surroundings, all random numbers drawn.

    upper, lower: [2,3] colours of wall or sky at its top and bottom, and of the floor.
    horizon: y where the floor begins. horizon_soft: its blur.
    corner: [2] x of the room's corner and how much darker the wall beyond it is. roll: rad.
    noise: [3] strength of the scales on the wall or sky, noise_floor: [3]. coarse, middle, fine: their values [n,n,3].
    tiles: [2,3] colours; tile_share: [3] of bricks, stripes and checks; tile_size: [2]; tile_angle: rad; joint: width.
    glyphs: [rows,columns] in [0,1], glyph_place: [4] centre and half size, glyph_share: how dark print is.
    lamp: [4] centre, radius, strength; lamp_colour: [3]. blur: px at a height of 256. light: factor on everything.
    """

    upper: jax.Array
    lower: jax.Array
    horizon: jax.Array
    horizon_soft: jax.Array
    corner: jax.Array
    roll: jax.Array
    noise: jax.Array
    noise_floor: jax.Array
    coarse: jax.Array
    middle: jax.Array
    fine: jax.Array
    tiles: jax.Array
    tile_share: jax.Array
    tile_size: jax.Array
    tile_angle: jax.Array
    joint: jax.Array
    glyphs: jax.Array
    glyph_place: jax.Array
    glyph_share: jax.Array
    patches: Patches
    lamp: jax.Array
    lamp_colour: jax.Array
    blur: jax.Array
    light: jax.Array


def build_background(background: Background, size: int | tuple[int, int]) -> jax.Array:
    """Linear RGB [H,W,3] of the background at size (width, height), or a square of that side."""
    width, height = (size, size) if isinstance(size, int) else size
    rows, columns = (height + 1) // 2, (width + 1) // 2
    down = ((jnp.arange(rows) + 0.5) / rows * 2.0 - 1.0)[:, None]
    right = ((jnp.arange(columns) + 0.5) / columns * 2.0 - 1.0)[None] * (width / height)
    cosine, sine = jnp.cos(background.roll), jnp.sin(background.roll)
    x, y = cosine * right + sine * down, cosine * down - sine * right
    scene = _printed(_tiled(_walls(background, x, y), background, x, y), background, x, y)
    scene = stage(lambda scene: _patched(scene, background.patches, x, y), scene)
    distance = ((x - background.lamp[0]) ** 2 + (y - background.lamp[1]) ** 2) / background.lamp[2] ** 2
    glow = background.lamp[3] / (1.0 + distance) ** 2
    scene = scene * (1.0 + glow) + 0.15 * glow * background.lamp_colour[:, None, None]
    sigma = jnp.maximum(0.5 * background.blur * height / REFERENCE_HEIGHT, 0.45)
    vertical = averaging_matrix((jnp.arange(height) + 0.5) / 2.0 - 0.5, rows, sigma)
    across = averaging_matrix((jnp.arange(width) + 0.5) / 2.0 - 0.5, columns, sigma)
    return jnp.maximum(background.light * pixels(separable(scene, vertical, across)), 0.0)


def _walls(background: Background, x: jax.Array, y: jax.Array) -> jax.Array:
    """Wall or sky, floor, the room's corner, and noise at three scales: [3,h,w]."""
    size = x.shape
    floor = jnp.clip((y - background.horizon) / background.horizon_soft + 0.5, 0.0, 1.0)
    height = jnp.clip((y + 1.0) / jnp.maximum(background.horizon + 1.0, 0.2), 0.0, 1.0)
    top, bottom = background.upper[..., None, None]
    near, far = background.lower[..., None, None]
    wall = top + height * (bottom - top)
    wall = wall * (1.0 - background.corner[1] * jnp.clip((x - background.corner[0]) / 0.02 + 0.5, 0.0, 1.0))
    ground = far + jnp.clip(y - background.horizon, 0.0, 1.0) * (near - far)
    strength = background.noise[:, None, None] * (1.0 - floor) + background.noise_floor[:, None, None] * floor
    grids = (background.coarse, background.middle, background.fine)
    relief = sum(strength[k] * planes(enlarge(grid, size)) for k, grid in enumerate(grids))
    return (wall + floor * (ground - wall)) * jnp.exp(jnp.clip(relief, -3.0, 1.5))


def _tiled(scene: jax.Array, background: Background, x: jax.Array, y: jax.Array) -> jax.Array:
    """Bricks, stripes or checks over the wall."""
    cosine, sine = jnp.cos(background.tile_angle), jnp.sin(background.tile_angle)
    u = (cosine * x + sine * y) / background.tile_size[0]
    v = (cosine * y - sine * x) / background.tile_size[1]
    row = jnp.floor(v)
    along = u + 0.5 * jnp.mod(row, 2.0)
    edge = jnp.minimum(_to_edge(along) * background.tile_size[0], _to_edge(v) * background.tile_size[1])
    each = jnp.mod(jnp.sin(jnp.floor(along) * 12.9898 + row * 78.233) * 43758.547, 1.0)
    bricks = jnp.clip(edge / background.joint, 0.0, 1.0) * (0.75 + 0.25 * each)
    stripes = jnp.clip(0.5 + 4.0 * jnp.sin(2.0 * jnp.pi * u), 0.0, 1.0)
    checks = jnp.mod(jnp.floor(u) + row, 2.0)
    first, second = background.tiles[..., None, None]
    for share, pattern in zip(background.tile_share, (bricks, stripes, checks), strict=True):
        scene = scene * (1.0 - share) + share * (first + pattern * (second - first))
    return scene


def _to_edge(value: jax.Array) -> jax.Array:
    inside = jnp.mod(value, 1.0)
    return jnp.minimum(inside, 1.0 - inside)


def _printed(scene: jax.Array, background: Background, x: jax.Array, y: jax.Array) -> jax.Array:
    """Lines of dark strokes in one place, as a poster, a board or a spreadsheet at a distance."""
    left, top, half_width, half_height = background.glyph_place
    inside = (jnp.abs(x - left) < half_width) & (jnp.abs(y - top) < half_height)
    print_ = enlarge(background.glyphs, x.shape)
    strokes = jnp.clip(6.0 * (print_ - 0.42), 0.0, 1.0)
    lines = jnp.clip(3.0 * jnp.sin(y * 42.0) + 0.5, 0.0, 1.0)
    return scene * (1.0 - background.glyph_share * inside * strokes * lines)


def _patched(scene: jax.Array, patches: Patches, x: jax.Array, y: jax.Array) -> jax.Array:
    def add(scene: jax.Array, patch: Patches) -> tuple[jax.Array, None]:
        right, down = (x - patch.centre[0]) / patch.half[0], (y - patch.centre[1]) / patch.half[1]
        ellipse = (1.0 - jnp.sqrt(right**2 + down**2)) * patch.half.min()
        box = jnp.minimum((1.0 - jnp.abs(right)) * patch.half[0], (1.0 - jnp.abs(down)) * patch.half[1])
        inside = jnp.where(patch.round > 0.5, ellipse, box)
        share = patch.opacity * jnp.clip(inside / patch.soft + 0.5, 0.0, 1.0)
        light = share * (1.0 - patch.shade * jnp.clip(down, -1.0, 1.0))
        return scene * (1.0 - share * (1.0 - patch.glow)) + light * patch.colour[:, None, None], None

    return jax.lax.scan(add, scene, patches)[0]


def background_from_bank(key: jax.Array, bank: jax.Array, size: int | tuple[int, int]) -> jax.Array:
    """Linear RGB [H,W,3]: a random picture of the bank [N,B,B,3] uint8 (sRGB), cut, scaled, mirrored and dimmed."""
    width, height = (size, size) if isinstance(size, int) else size
    which, place, scale, flip, light, blur = jax.random.split(key, 6)
    picture = jax.lax.dynamic_index_in_dim(bank, jax.random.randint(which, (), 0, bank.shape[0]), 0, keepdims=False)
    picture = planes(picture).astype(jnp.float32) / 255.0
    picture = jnp.where(picture < 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    side = picture.shape[1]
    span = side * jax.random.uniform(scale, minval=0.35, maxval=1.0) * jnp.array([height, width]) / max(height, width)
    start = jax.random.uniform(place, (2,)) * (side - span)
    sigma = 6.0 * jax.random.uniform(blur) ** 3 * height / REFERENCE_HEIGHT

    def rows(axis: int, count: int) -> jax.Array:
        step = span[axis] / count
        return averaging_matrix(start[axis] + (jnp.arange(count) + 0.5) * step - 0.5, side, step * (0.45 + sigma))

    across = rows(1, width)
    across = jnp.where(jax.random.bernoulli(flip), across[::-1], across)
    gain = jnp.exp(0.4 * jax.random.normal(light))
    return gain * pixels(separable(picture, rows(0, height), across))
