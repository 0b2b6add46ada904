"""Which part of a stored picture a crop shows, and reading it in one pass; the points move exactly with the pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.conventions import BOX_MARGIN
from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.noise import worked_out
from flowface_jax.training.augmentation.bending import Bend, bend_grid
from flowface_jax.training.augmentation.config import AugmentationConfig
from flowface_jax.training.samples import SampleConfig

CUT_OFF = 2.5
"""Standard deviations at which the rotation's normal draw ends."""
_COARSEST_READ = 1.5
"""Stored px per crop px from which the stored picture is halved first: reading between four px would alias."""


@pytree_dataclass
class Placement:
    """The square that a crop shows. centre: [2] and side: [], px of the stored picture. angle: [] rad by which the face
    is turned in the crop, from x right towards y down.
    """

    centre: jax.Array
    side: jax.Array
    angle: jax.Array


def plain_placement(face_box: jax.Array) -> Placement:
    """The square round face_box [4] px (left, top, right, bottom), enlarged by `BOX_MARGIN`, as after training."""
    low, high = face_box[:2], face_box[2:]
    return Placement(0.5 * (low + high), BOX_MARGIN * (high - low).max(), jnp.zeros(()))


def sample_placement(key: jax.Array, face_box: jax.Array, config: AugmentationConfig) -> Placement:
    """A square as a detector would find it in the turned picture, with errors of its size and place.

    The face counts as the ellipse in its box, so that a turned face gets the box of what is turned, not of the corners
    of its box.
    """
    turn_key, scale_key, shift_key = jax.random.split(key, 3)
    angle = jnp.radians(config.rotation) * jax.random.truncated_normal(turn_key, -CUT_OFF, CUT_OFF)
    half = _turned_ellipse(0.5 * (face_box[2:] - face_box[:2]), angle)
    larger = 1.0 + config.scale * jax.random.uniform(scale_key, minval=-1.0, maxval=1.0)
    side = 2.0 * BOX_MARGIN * half.max() * larger
    shift = config.shift * side * jax.random.uniform(shift_key, (2,), minval=-1.0, maxval=1.0)
    centre = 0.5 * (face_box[:2] + face_box[2:])
    return Placement(centre + _turned(shift, -angle), side, angle)


def place_points(points: jax.Array, placement: Placement, size: int) -> jax.Array:
    """Points [...,2] px of the stored picture as px of the crop of `size` px, also beyond its edges."""
    return _turned(points - placement.centre, placement.angle) * (size / placement.side) + 0.5 * size


def place_box(face_box: jax.Array, placement: Placement, size: int) -> jax.Array:
    """The face's box [4] px in the crop, of the ellipse in face_box [4] px of the stored picture."""
    half = _turned_ellipse(0.5 * (face_box[2:] - face_box[:2]), placement.angle) * (size / placement.side)
    centre = place_points(0.5 * (face_box[:2] + face_box[2:]), placement, size)
    return jnp.concatenate([centre - half, centre + half])


def read_crop(
    image: jax.Array, foreground: jax.Array, placement: Placement, size: int, bend: Bend | None = None
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The crop as planes [3,size,size], its foreground [size,size], both in [0,1] in steps of 1/255 as cameras and
    files have them, and which pixels lie in the stored picture [size,size] bool; beyond it the border is repeated.

    image: [R,R,3] uint8, foreground: [R,R] uint8. Each pixel is read between four stored ones, from a picture halved so
    often that none is left out at the usual size of the face. bend: what the crop is bent by on top.
    """
    stored = image.shape[0]
    layers = jnp.concatenate([image, foreground[..., None]], axis=-1)
    halvings = 0
    # Pictures are stored so that the face has one usual size: how coarse the reading will be is known beforehand.
    usual = stored * BOX_MARGIN / SampleConfig.margin / size
    while usual >= _COARSEST_READ * 2**halvings:
        layers, halvings = _halved(layers), halvings + 1
    columns, rows = worked_out(~jnp.isnan(placement.side), lambda: _axes(placement, size))
    if bend is None:
        grid = jnp.arange(size, dtype=jnp.float32) + 0.5 - 0.5 * size
        across, along = grid[None, :], grid[:, None]
    else:
        across, along = bend_grid(bend, size)
    right = placement.centre[0] + columns[0] * across + rows[0] * along
    down = placement.centre[1] + columns[1] * across + rows[1] * along
    inside = (jnp.minimum(right, down) >= 0) & (jnp.maximum(right, down) <= stored)
    values = read_layers(layers, right / 2**halvings, down / 2**halvings)
    return values[:3], values[3], inside


def read_layers(layers: jax.Array, right: jax.Array, down: jax.Array) -> jax.Array:
    """Four uint8 layers [H,W,4] read between neighbours at `right`, `down` [h,w] px: planes [4,h,w] in [0,1] in steps
    of 1/255. Beyond the border its pixels are repeated.
    """
    words = _packed(layers)
    gate = ~jnp.isnan(right[0, 0])
    columns = worked_out(gate, lambda: _steps(right, words.shape[1]))
    rows = worked_out(gate, lambda: _steps(down, words.shape[0]))
    return _unpacked(worked_out(gate, lambda: _read(words, columns, rows)))


def _axes(placement: Placement, size: int) -> tuple[jax.Array, jax.Array]:
    """One px of the crop to the right [2] and down [2], in px of the stored picture."""
    step = placement.side / size
    cosine, sine = step * jnp.cos(placement.angle), step * jnp.sin(placement.angle)
    return jnp.stack([cosine, -sine]), jnp.stack([sine, cosine])


def _turned(vectors: jax.Array, angle: jax.Array) -> jax.Array:
    """[...,2] turned from x right towards y down."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    x, y = vectors[..., 0], vectors[..., 1]
    return jnp.stack([cosine * x - sine * y, sine * x + cosine * y], axis=-1)


def _turned_ellipse(half: jax.Array, angle: jax.Array) -> jax.Array:
    """Half the width and height [2] of the box of a turned ellipse whose own are half [2]."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.hypot(half[0] * cosine, half[1] * sine), jnp.hypot(half[0] * sine, half[1] * cosine)])


def _halved(layers: jax.Array) -> jax.Array:
    """The mean of every 2 × 2 px of uint8 [H,W,4], rounded; a last odd row or column is repeated."""
    rows, columns = layers.shape[:2]
    even = jnp.pad(layers, ((0, rows % 2), (0, columns % 2), (0, 0)), mode="edge").astype(jnp.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return ((total + 2) >> 2).astype(jnp.uint8)


def _packed(layers: jax.Array) -> jax.Array:
    """Four uint8 layers [H,W,4] as one word per pixel [H,W]."""
    return jax.lax.bitcast_convert_type(layers, jnp.uint32)


def _unpacked(words: jax.Array) -> jax.Array:
    """Words [H,W] as four planes [4,H,W] in [0,1]."""
    layers = jnp.stack([(words >> (8 * k)) & 255 for k in range(4)])
    return layers.astype(jnp.float32) * (1.0 / 255.0)


def _steps(places: jax.Array, count: int) -> jax.Array:
    """Places px along an axis in whole 256ths from the first of `count` pixels' centres, clamped to the last."""
    return jnp.round(256.0 * jnp.clip(places - 0.5, 0.0, count - 1.0)).astype(jnp.int32)


def _read(words: jax.Array, columns: jax.Array, rows: jax.Array) -> jax.Array:
    """Words [H,W] read between four neighbours at places [h,w] in 256ths.

    One word carries all layers of a pixel through the four reads, two layers at a time through the sums: reading from
    memory is what costs.
    """
    height, width = words.shape
    left, top = columns >> 8, rows >> 8
    after, below = jnp.minimum(left + 1, width - 1), jnp.minimum(top + 1, height - 1)
    across, along = (columns & 255).astype(jnp.uint32), (rows & 255).astype(jnp.uint32)
    flat = words.reshape(-1)

    def at(row: jax.Array, column: jax.Array) -> jax.Array:
        return flat.at[row * width + column].get(mode="clip")

    upper = _mixed(at(top, left), at(top, after), across)
    lower = _mixed(at(below, left), at(below, after), across)
    return _mixed(upper, lower, along)


def _mixed(first: jax.Array, second: jax.Array, share: jax.Array) -> jax.Array:
    """Between two words by `share` 256ths of the second, byte by byte, rounded."""
    mask, half = jnp.uint32(0x00FF00FF), jnp.uint32(0x00800080)
    rest = 256 - share

    def pair(a: jax.Array, b: jax.Array) -> jax.Array:
        return (((a & mask) * rest + (b & mask) * share + half) >> 8) & mask

    return pair(first, second) | (pair(first >> 8, second >> 8) << 8)
