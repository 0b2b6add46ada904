"""What comes between the camera and the face: random shapes after Voo et al. (2022), hands, and held things.

Random shapes are closed curves of cubic Bézier pieces, filled, textured, some of them see-through. Hands and things are
bundles of rounded sticks with shading. All are laid out at half the image's resolution and enlarged, which gives the
soft edge that Voo et al. get by blurring. Linear RGB; places are in pixels.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.image.filters import (
    averaging_matrix,
    blur,
    double,
    luma,
    pixels,
    planes,
    reduced,
    separable,
    stage,
)

CORNERS = 15
SAMPLES = 8
"""Straight pieces per Bézier curve."""
STICKS = 16
Planes = list[jax.Array]
SWATCH = 32
"""Texels across a shape's texture."""
USUAL_BRIGHTNESS = 0.25
"""Mean luma of an image whose light shows the occluders' colours as they are; brighter light brightens them."""


@pytree_dataclass
class Shapes:
    """N random shapes. curve: [N,M,2] closed, in a square of ±1 about the centre. centre: [N,2] px. radius: [N] px.

    opacity: [N], 0 for none, below 1 for see-through ones. swatch: [N,S,S,3] linear texture over the square.
    softness: [N] px, the standard deviation of edges, as shadows have them; None where all are sharp.
    """

    curve: jax.Array
    centre: jax.Array
    radius: jax.Array
    opacity: jax.Array
    swatch: jax.Array
    softness: jax.Array | None = None


@pytree_dataclass
class Sticks:
    """A hand or a thing made of K rounded sticks, each tapering from one end to the other.

    ends: [K,2,2] px. radii: [K,2] px; 0 for none. colour: [K,3]. light: [3] where the light comes from, unit.
    gloss: strength of the highlight. fuzz: [n,n] relief of the surface.
    """

    ends: jax.Array
    radii: jax.Array
    colour: jax.Array
    light: jax.Array
    gloss: jax.Array
    fuzz: jax.Array


@pytree_dataclass
class Occluders:
    """All that hides the face in one image."""

    shapes: Shapes
    sticks: Sticks


def apply_occluders(image: jax.Array, occluders: Occluders) -> tuple[jax.Array, jax.Array]:
    """The linear image [H,W,3] behind its occluders, and the share [H,W] of each pixel that opaque ones hide."""
    height, width = image.shape[:2]
    canvas = planes(image)
    brightness = jnp.maximum(luma(canvas).mean(), 1e-4) / USUAL_BRIGHTNESS
    laid = (canvas, jnp.zeros((height, width)))
    for index in range(occluders.shapes.opacity.shape[0]):
        shape = jax.tree.map(lambda values, index=index: values[index], occluders.shapes)

        def lay(laid: tuple[jax.Array, jax.Array], shape: Shapes = shape) -> tuple[jax.Array, jax.Array]:
            layer = stage(lambda layer: _shape_layer(shape, layer), _empty(height, width))
            return _laid_over(*laid, layer, shape.opacity, brightness)

        laid = jax.lax.cond(shape.opacity > 0, lay, lambda laid: laid, laid)

    def lay_sticks(laid: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        layer = stage(lambda layer: _stick_layer(occluders.sticks, layer), _empty(height, width))
        return _laid_over(*laid, layer, jnp.float32(1.0), brightness)

    canvas, hidden = jax.lax.cond((occluders.sticks.radii > 0).any(), lay_sticks, lambda laid: laid, laid)
    return pixels(canvas), hidden


def _empty(height: int, width: int) -> jax.Array:
    """Colour and coverage at half the resolution: [4,h,w]."""
    return jnp.zeros((4, (height + 1) // 2, (width + 1) // 2))


def _laid_over(
    canvas: jax.Array, hidden: jax.Array, layer: jax.Array, opacity: jax.Array, brightness: jax.Array
) -> tuple[jax.Array, jax.Array]:
    height, width = hidden.shape
    layer = double(layer, height, width)
    share = layer[3]
    canvas = canvas * (1.0 - opacity * share) + opacity * brightness * layer[:3]
    return canvas, jnp.maximum(hidden, share * (opacity >= 1.0))


def _shape_layer(shape: Shapes, layer: jax.Array) -> jax.Array:
    """The shape's texture times its coverage, and the coverage."""
    rows, columns = layer.shape[1:]
    radius = jnp.maximum(0.5 * shape.radius, 0.5)
    right = (jnp.arange(columns) + 0.5 - 0.5 * shape.centre[0]) / radius
    down = (jnp.arange(rows) + 0.5 - 0.5 * shape.centre[1]) / radius
    share = blur(_filled(shape.curve, right, down, 1.0 / radius), jnp.float32(0.55), 1)
    if shape.softness is not None:
        spread = 0.5 * shape.softness
        share = stage(lambda share: reduced(share[None], jnp.float32(1.0), spread)[0], share, spread > 0.5)
    texels = shape.swatch.shape[0]
    step = texels / (2.0 * radius)
    vertical = averaging_matrix(texels * (down + 1.0) / 2.0 - 0.5, texels, 0.5 * jnp.maximum(step, 1.0))
    across = averaging_matrix(texels * (right + 1.0) / 2.0 - 0.5, texels, 0.5 * jnp.maximum(step, 1.0))
    texture = separable(planes(shape.swatch), vertical, across)
    return jnp.concatenate([texture * share, share[None]])


def _filled(curve: jax.Array, right: jax.Array, down: jax.Array, pixel: jax.Array) -> jax.Array:
    """Coverage [h,w] of the closed curve [M,2]: its winding number along each row, edges as wide as a pixel.

    For every edge that a row crosses, all that lies to the right of the crossing gains or loses one turn.
    """
    start, end = curve, jnp.roll(curve, -1, axis=0)
    rise = end[:, 1] - start[:, 1]
    crosses = (start[:, 1] <= down[:, None]) != (end[:, 1] <= down[:, None])
    turn = jnp.where(crosses, jnp.sign(rise), 0.0)
    share = (down[:, None] - start[:, 1]) / jnp.where(rise == 0, 1.0, rise)
    crossing = start[:, 0] + share * (end[:, 0] - start[:, 0])

    def add(winding: jax.Array, edge: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        turn, crossing = edge
        return winding + turn[:, None] * jnp.clip((right - crossing[:, None]) / pixel + 0.5, 0.0, 1.0), None

    winding, _ = jax.lax.scan(add, jnp.zeros((down.shape[0], right.shape[0])), (turn.T, crossing.T), unroll=8)
    return jnp.clip(jnp.abs(winding), 0.0, 1.0)


def _stick_layer(sticks: Sticks, layer: jax.Array) -> jax.Array:
    """Shaded sticks times coverage, and the coverage: the highest stick is seen, nearby ones melt into each other."""
    rows, columns = layer.shape[1:]
    x, y = 2.0 * jnp.arange(columns)[None] + 1.0, 2.0 * jnp.arange(rows)[:, None] + 1.0

    def add(seen: Planes, stick: tuple[jax.Array, jax.Array, jax.Array]) -> Planes:
        (start, end), radii, colour = stick
        along = end - start
        place = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / jnp.maximum((along**2).sum(), 1e-6)
        place = jnp.clip(place, 0.0, 1.0)
        radius = jnp.maximum(radii[0] + place * (radii[1] - radii[0]), 1e-3)
        off_x, off_y = x - start[0] - place * along[0], y - start[1] - place * along[1]
        distance = jnp.sqrt(off_x**2 + off_y**2)
        rise = jnp.sqrt(jnp.maximum(radius**2 - distance**2, 0.0))
        share = jnp.clip((radius - distance) / 2.0 + 0.5, 0.0, 1.0)
        front = jnp.clip((rise - seen[4]) / (0.12 * radius + 1.0) + 0.5, 0.0, 1.0) * share
        reach = jnp.minimum(1.0, 0.98 * radius / jnp.maximum(distance, 1e-6)) / radius
        new = [*colour, share, rise, off_x * reach, off_y * reach]
        mixed = [old + front * (value - old) for old, value in zip(seen, new, strict=True)]
        mixed[3] = jnp.maximum(seen[3], share)
        return mixed

    def add_present(seen: Planes, stick: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Planes, None]:
        return jax.lax.cond(stick[1][0] > 0, lambda seen: add(seen, stick), lambda seen: seen, seen), None

    start = [jnp.zeros((rows, columns))] * 7
    seen, _ = jax.lax.scan(add_present, start, (sticks.ends, sticks.radii, sticks.colour))
    return _shaded(sticks, seen)


def _shaded(sticks: Sticks, seen: Planes) -> jax.Array:
    """Soft light from one side, a rim darkened by what is round it, and a highlight."""
    share, slope_x, slope_y = seen[3], seen[5], seen[6]
    rows, columns = share.shape
    relief = separable(
        sticks.fuzz[None],
        averaging_matrix(jnp.linspace(0.0, sticks.fuzz.shape[0] - 1.0, rows), sticks.fuzz.shape[0], jnp.float32(0.6)),
        averaging_matrix(
            jnp.linspace(0.0, sticks.fuzz.shape[1] - 1.0, columns), sticks.fuzz.shape[1], jnp.float32(0.6)
        ),
    )[0]
    facing = jnp.sqrt(jnp.maximum(1.0 - slope_x**2 - slope_y**2, 0.02))
    lit = sticks.light[0] * slope_x + sticks.light[1] * slope_y + sticks.light[2] * facing
    diffuse = 0.35 * (0.4 + 0.6 * facing) + 0.75 * jnp.clip(0.75 * lit + 0.25, 0.0, 1.0)
    half = sticks.light + jnp.array([0.0, 0.0, 1.0])
    half = half / jnp.linalg.norm(half + 1e-6)
    shine = jnp.clip(half[0] * slope_x + half[1] * slope_y + half[2] * facing, 0.0, 1.0) ** 24
    light = diffuse * (1.0 + 0.12 * relief)
    colour = jnp.maximum(jnp.stack(seen[:3]) * light + sticks.gloss * shine, 0.0)
    return jnp.concatenate([colour * share, share[None]])
