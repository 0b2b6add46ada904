"""Drawing surroundings at random: which setting, its colours, what stands in it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.image.backgrounds import (
    BOXES,
    COARSE,
    FINE,
    GLYPH_COLUMNS,
    GLYPH_ROWS,
    LIGHTS,
    MIDDLE,
    SHARE,
    Background,
    Patches,
    Setting,
)

PAINTS = np.array(
    [
        [0.72, 0.70, 0.66],
        [0.62, 0.55, 0.44],
        [0.45, 0.46, 0.47],
        [0.30, 0.38, 0.48],
        [0.36, 0.42, 0.33],
        [0.55, 0.33, 0.26],
        [0.16, 0.17, 0.19],
        [0.80, 0.78, 0.74],
    ]
)
"""Linear reflectance of walls."""
WOODS = np.array([[0.22, 0.11, 0.05], [0.38, 0.22, 0.11], [0.10, 0.05, 0.03], [0.55, 0.40, 0.25], [0.3, 0.3, 0.3]])
SKIES = np.array([[0.32, 0.52, 0.9], [0.75, 0.8, 0.86], [0.9, 0.62, 0.42], [0.5, 0.55, 0.6]])
LEAVES = np.array([[0.06, 0.13, 0.025], [0.13, 0.2, 0.05], [0.03, 0.06, 0.02], [0.2, 0.16, 0.05]])
GROUNDS = np.array([[0.12, 0.2, 0.06], [0.22, 0.21, 0.2], [0.3, 0.25, 0.18], [0.4, 0.4, 0.4]])
SKINS = np.array([[0.5, 0.3, 0.2], [0.3, 0.16, 0.09], [0.12, 0.06, 0.04]])


def _per_setting(setting: jax.Array, **values: float) -> jax.Array:
    """The value named after the setting in lower case, 0 for those that are not named."""
    return jnp.array([values.get(kind.name.lower(), 0.0) for kind in Setting])[setting]


def _pick(key: jax.Array, palette: np.ndarray, spread: float = 0.18) -> jax.Array:
    """A colour [3] of the palette, varied."""
    which, vary = jax.random.split(key)
    colour = jnp.asarray(palette, jnp.float32)[jax.random.randint(which, (), 0, palette.shape[0])]
    return colour * jnp.exp(spread * jax.random.normal(vary, (3,)))


def _paint(key: jax.Array, count: int) -> jax.Array:
    """Colours [count,3] of things: mostly dull, some strong, of any brightness."""
    bright, hue, strong = jax.random.split(key, 3)
    value = 0.03 + 0.6 * jax.random.uniform(bright, (count, 1)) ** 2
    strength = 0.2 + 0.7 * jax.random.uniform(strong, (count, 1)) ** 3
    warm = jnp.clip(jax.random.normal(hue, (count, 3)), -2.0, 2.0) * jnp.array([1.2, 0.5, 1.2])
    return jnp.minimum(value * jnp.exp(strength * warm + jnp.array([0.12, 0.0, -0.12])), 0.95)


def sample_background(key: jax.Array) -> Background:
    """Surroundings for a portrait, of the kinds that `Setting` lists."""
    keys = iter(jax.random.split(key, 64))

    def uniform(low: float, high: float, shape: tuple[int, ...] = ()) -> jax.Array:
        return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

    def chance(probability: jax.Array | float) -> jax.Array:
        return (jax.random.uniform(next(keys)) < probability).astype(jnp.float32)

    setting = jax.random.choice(next(keys), len(SHARE), p=jnp.array(SHARE))
    outside = _per_setting(setting, nature=1.0, street=1.0)
    night = _per_setting(setting, night=1.0)
    wall, floor = _pick(next(keys), PAINTS), _pick(next(keys), WOODS, 0.3)
    sky, ground, leaf = _pick(next(keys), SKIES, 0.1), _pick(next(keys), GROUNDS), _pick(next(keys), LEAVES, 0.25)
    wooded = chance(_per_setting(setting, nature=0.75))
    top = jnp.where(outside > 0, jnp.where(wooded > 0, 1.6 * leaf, sky), wall * uniform(0.75, 1.2))
    bottom = jnp.where(outside > 0, jnp.where(wooded > 0, 0.7 * leaf, 0.5 * (sky + 0.8)), wall * uniform(0.6, 1.1))
    low = jnp.where(outside > 0, ground, floor)
    dark = jnp.where(night > 0, uniform(0.02, 0.12), 1.0)
    standing = _per_setting(setting, nature=0.9, street=1.0, room=0.45, office=0.35, clutter=0.3, night=0.5)
    horizon = jnp.where(chance(standing) > 0, uniform(-0.1, 0.9), 3.0)
    pattern = _per_setting(setting, pattern=1.0, room=0.1, street=0.12)
    which = jax.random.choice(next(keys), 3, p=jnp.array([0.5, 0.3, 0.2]))
    tile = uniform(0.06, 0.4)
    grids = [jax.random.normal(next(keys), (count, count, 1)) for count in (COARSE, MIDDLE, FINE)]
    hues = [0.12 * jax.random.normal(next(keys), (count, count, 3)) for count in (COARSE, MIDDLE, FINE)]
    rough = jnp.array([0.6, 0.75, 0.7])
    return Background(
        upper=dark * jnp.stack([top, bottom]),
        lower=dark * jnp.stack([low, low * uniform(0.6, 1.1)]),
        horizon=horizon,
        horizon_soft=jnp.where(outside > 0, uniform(0.02, 0.3), 0.02),
        corner=jnp.stack(
            [uniform(-1.3, 1.3), chance(_per_setting(setting, room=0.6, office=0.4)) * uniform(-0.3, 0.5)]
        ),
        roll=0.05 * jax.random.normal(next(keys)),
        noise=rough
        * (0.12 + (1.3 * wooded + 0.3 * outside) * uniform(0.4, 1.0))
        * (1.0 - 0.6 * _per_setting(setting, studio=1.0)),
        noise_floor=rough * (0.15 + 0.5 * outside * uniform(0.2, 1.0)),
        coarse=grids[0] + hues[0],
        middle=grids[1] + hues[1],
        fine=grids[2] + hues[2],
        tiles=jnp.stack([_pick(next(keys), PAINTS), _pick(next(keys), PAINTS) * uniform(0.4, 1.0)]),
        tile_share=jax.nn.one_hot(which, 3) * chance(pattern) * uniform(0.5, 1.0),
        tile_size=tile * jnp.where(which == 0, jnp.array([1.0, 0.45]), jnp.array([1.0, 1.0])),
        tile_angle=jnp.where(which == 0, 0.0, uniform(-1.6, 1.6)) + 0.03 * jax.random.normal(next(keys)),
        joint=uniform(0.01, 0.03),
        glyphs=uniform(0.0, 1.0, (GLYPH_ROWS, GLYPH_COLUMNS)),
        glyph_place=uniform(0.0, 1.0, (4,)) * jnp.array([1.4, 1.4, 0.5, 0.5]) + jnp.array([-0.7, -0.7, 0.2, 0.2]),
        glyph_share=chance(_per_setting(setting, office=0.5, street=0.2, clutter=0.5, room=0.1)) * uniform(0.3, 0.9),
        patches=_sample_patches(next(keys), setting, horizon, dark),
        lamp=jnp.stack([uniform(-1.2, 1.2), uniform(-1.2, 0.4), uniform(0.3, 1.4), uniform(0.0, 1.0) ** 2 * 1.8]),
        lamp_colour=jnp.stack([jnp.float32(1.0), uniform(0.7, 1.0), uniform(0.4, 1.0)]),
        blur=jnp.where(chance(0.75) > 0, 1.0 + 6.5 * uniform(0.0, 1.0) ** 1.3, uniform(0.0, 1.0)),
        light=jnp.exp(uniform(-1.2, 0.5)),
    )


def _sample_patches(key: jax.Array, setting: jax.Array, horizon: jax.Array, dark: jax.Array) -> Patches:
    """Boxes, then a passer-by, then lights."""
    boxes, person, lights = jax.random.split(key, 3)
    groups = [
        _sample_boxes(boxes, setting, jnp.minimum(horizon, 1.0), dark),
        _sample_person(person, setting, dark),
        _sample_lights(lights, setting),
    ]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *groups)


def _sample_boxes(key: jax.Array, setting: jax.Array, horizon: jax.Array, dark: jax.Array) -> Patches:
    keys = jax.random.split(key, 12)
    draw = jax.random.uniform(keys[0], (BOXES, 8))
    # Anywhere: pictures, doors, furniture, signs.
    centre = jnp.stack([2.8 * draw[:, 0] - 1.4, 2.2 * draw[:, 1] - 1.1], 1)
    half = 0.05 + 0.45 * draw[:, 2:4] ** 2
    # In rows and touching: books and boxes on shelves.
    columns, number = 10, jnp.arange(BOXES)
    edges = jnp.cumsum(0.12 + 0.25 * draw[:, 4]) % 2.8 - 1.4
    shelf_top = (number // columns) * 0.75 - 0.7 + 0.25 * draw[0, 7]
    tall = 0.16 + 0.16 * draw[:, 5]
    books = jnp.stack([edges, shelf_top + 0.32 - tall], 1), jnp.stack([0.05 + 0.09 * draw[:, 6], tall], 1)
    # Standing on the horizon: houses.
    rise = 0.2 + 1.1 * draw[:, 5]
    houses = jnp.stack([centre[:, 0], horizon - rise], 1), jnp.stack([0.1 + 0.35 * draw[:, 6], rise], 1)
    shelves, street = setting == Setting.SHELVES, setting == Setting.STREET
    centre = jnp.where(shelves, books[0], jnp.where(street, houses[0], centre))
    half = jnp.where(shelves, books[1], jnp.where(street, houses[1], half))
    share = _per_setting(
        setting, room=0.22, shelves=0.9, office=0.4, nature=0.03, street=0.55, night=0.35, pattern=0.06, clutter=0.85
    )
    colour = dark * _paint(keys[1], BOXES)
    window = (jax.random.uniform(keys[2], (BOXES, 1)) < _per_setting(setting, room=0.2, office=0.2, night=0.3)) & (
        number[:, None] > 3
    )
    bright = jnp.array([1.6, 1.75, 1.9]) * (0.4 + jax.random.uniform(keys[3], (BOXES, 1)))
    return Patches(
        centre=centre,
        half=half,
        round=jnp.where(shelves | street, 0.0, 1.0 * (jax.random.uniform(keys[4], (BOXES,)) < 0.15)),
        soft=jnp.full(BOXES, 0.015),
        opacity=1.0 * (jax.random.uniform(keys[5], (BOXES,)) < share),
        colour=jnp.where(window, bright, colour),
        glow=jnp.zeros(BOXES),
        shade=jax.random.uniform(keys[6], (BOXES,), minval=-0.2, maxval=0.4),
    )


def _sample_person(key: jax.Array, setting: jax.Array, dark: jax.Array) -> Patches:
    """Somebody in the distance: shoulders, hair, face; a second face that must not be tracked."""
    keys = jax.random.split(key, 6)
    present = jax.random.uniform(keys[0]) < _per_setting(
        setting, room=0.12, office=0.25, nature=0.1, street=0.45, night=0.25, clutter=0.1
    )
    size = jax.random.uniform(keys[1], minval=0.08, maxval=0.28)
    place = jax.random.uniform(keys[2], (2,), minval=-1.0, maxval=1.0) * jnp.array([1.1, 0.5])
    offset = jnp.array([[0.0, 2.9], [0.0, -0.25], [0.0, 0.1]]) * size
    half = jnp.array([[1.7, 1.7], [0.9, 1.1], [0.72, 0.95]]) * size
    colour = jnp.stack([_paint(keys[3], 1)[0], 0.15 * _pick(keys[4], SKINS, 0.5), _pick(keys[5], SKINS)])
    return Patches(
        centre=place + offset,
        half=half,
        round=jnp.ones(3),
        soft=jnp.full(3, 0.03),
        opacity=jnp.full(3, present, jnp.float32),
        colour=jnp.maximum(dark, 0.3) * colour,
        glow=jnp.zeros(3),
        shade=jnp.full(3, 0.25),
    )


def _sample_lights(key: jax.Array, setting: jax.Array) -> Patches:
    """Lamps thrown out of focus to discs of one size, as far away ones are."""
    keys = jax.random.split(key, 6)
    share = _per_setting(
        setting, room=0.12, office=0.15, nature=0.25, street=0.2, night=0.85, studio=0.02, clutter=0.05
    )
    radius = jax.random.uniform(keys[0], minval=0.03, maxval=0.16) * jax.random.uniform(
        keys[1], (LIGHTS, 1), minval=0.8, maxval=1.2
    )
    warm = jax.random.uniform(keys[2], (LIGHTS, 1))
    tone = jnp.array([1.0, 0.6, 0.25]) * (1.0 - warm) + warm * jnp.array([0.8, 0.95, 1.0])
    tone = tone * jnp.exp(0.3 * jax.random.normal(keys[3], (LIGHTS, 3)))
    return Patches(
        centre=jax.random.uniform(keys[4], (LIGHTS, 2), minval=-1.2, maxval=1.2),
        half=jnp.tile(radius, (1, 2)),
        round=jnp.ones(LIGHTS),
        soft=jnp.full(LIGHTS, 0.02),
        opacity=(jax.random.uniform(keys[5], (LIGHTS,)) < share) * (0.15 + 0.7 * warm[:, 0]),
        colour=tone,
        glow=jnp.ones(LIGHTS),
        shade=jnp.zeros(LIGHTS),
    )
