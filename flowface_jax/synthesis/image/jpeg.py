"""Lossy compression as JPEG and video codecs do it: 8 × 8 cosine transforms, rounded, halved chroma. ITU-T T.81."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.image.filters import double, halve

BLOCK = 8
LUMINANCE_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
"""T.81 table K.1, vertical frequency down."""
CHROMINANCE_TABLE = np.full((BLOCK, BLOCK), 99, np.float32)
CHROMINANCE_TABLE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""T.81 table K.2."""
FROM_RGB = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32)
TO_RGB = np.linalg.inv(FROM_RGB.astype(np.float64)).astype(np.float32)


def _cosines() -> np.ndarray:
    frequency, place = np.meshgrid(np.arange(BLOCK), np.arange(BLOCK), indexing="ij")
    basis = np.sqrt(2.0 / BLOCK) * np.cos(np.pi * frequency * (2 * place + 1) / (2 * BLOCK))
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)


COSINES = _cosines()
"""[8,8] orthonormal type-II cosine transform: row = frequency."""


def quantisation(table: np.ndarray, quality: jax.Array) -> jax.Array:
    """The rounding steps [8,8] that libjpeg derives from a table at a quality of 1 to 100."""
    scale = jnp.where(quality < 50, 5000.0 / jnp.maximum(quality, 1.0), 200.0 - 2.0 * quality)
    return jnp.clip(jnp.floor((table * scale + 50.0) / 100.0), 1.0, 255.0)


def compress(image: jax.Array, quality: jax.Array, video: jax.Array | float = 0.0) -> jax.Array:
    """Colour planes [3,H,W] in [0,1] after JPEG with 4:2:0 chroma at `quality` (1 to 100).

    video: 0 rounds as JPEG does; towards 1 the rounding is that of a video encoder, whose flatter steps and dead zone
    drop weak detail and leave smooth blocks.
    """
    height, width = image.shape[1:]
    padding = ((0, 0), (0, -height % (2 * BLOCK)), (0, -width % (2 * BLOCK)))
    colour = jnp.pad(jnp.round(255.0 * image), padding, mode="edge")
    planes = [sum(FROM_RGB[k, c] * colour[c] for c in range(3)) for k in range(3)]
    brightness = _coded(planes[0][None] - 128.0, _steps(LUMINANCE_TABLE, quality, video), video)[0] + 128.0
    chroma = jnp.round(halve(jnp.stack(planes[1:])))
    chroma = _coded(chroma, _steps(CHROMINANCE_TABLE, quality, video), video)
    blue, red = double(jnp.clip(chroma, -128.0, 127.0), *colour.shape[1:])
    planes = [jnp.clip(jnp.round(brightness), 0.0, 255.0), blue, red]
    colour = jnp.stack([sum(TO_RGB[k, c] * planes[c] for c in range(3)) for k in range(3)])
    return jnp.clip(jnp.round(colour[:, :height, :width]) / 255.0, 0.0, 1.0)


def compress_cut(
    image: jax.Array, quality: jax.Array, block_phase: jax.Array, video: jax.Array | float = 0.0
) -> jax.Array:
    """The same for planes that were cut out of a larger picture after it had been compressed.

    block_phase: [2] px, 0 to 7, from the top left corner down and right to where a block begins.
    """
    top, left = block_phase
    height, width = image.shape[1:]
    around = jnp.pad(image, ((0, 0), (BLOCK, BLOCK), (BLOCK, BLOCK)), mode="edge")
    shape = (3, height + BLOCK, width + BLOCK)
    coded = compress(jax.lax.dynamic_slice(around, (0, top, left), shape), quality, video)
    return jax.lax.dynamic_slice(coded, (0, BLOCK - top, BLOCK - left), image.shape)


def _steps(table: np.ndarray, quality: jax.Array, video: jax.Array | float) -> jax.Array:
    flat = np.full_like(table, 0.6 * table.mean())
    return quantisation(table, quality) * (1.0 - video) + quantisation(flat, quality) * video


def _coded(plane: jax.Array, steps: jax.Array, video: jax.Array | float) -> jax.Array:
    """Planes [D,H,W], H and W multiples of 8, transformed, rounded to multiples of steps [8,8], transformed back."""
    scaled = _transformed(plane, COSINES) / jnp.tile(steps, (1, plane.shape[2] // BLOCK))
    size = jnp.abs(scaled)
    rounded = jnp.sign(scaled) * jnp.floor(size + 0.5 - 0.3 * video)
    return _transformed(rounded * jnp.tile(steps, (1, plane.shape[2] // BLOCK)), COSINES.T, blocked=True).reshape(
        plane.shape
    )


def _transformed(plane: jax.Array, matrix: np.ndarray, blocked: bool = False) -> jax.Array:
    """matrix [8,8] applied to the rows and columns of every 8 × 8 block: [D,H,W] to [D,H/8,8,W]."""
    depth, height, width = (plane.shape[0], plane.shape[1] * BLOCK, plane.shape[3]) if blocked else plane.shape
    across = (plane.reshape(-1, BLOCK) @ matrix.T).reshape(depth, height // BLOCK, BLOCK, width)
    return sum(matrix[:, j][None, None, :, None] * across[:, :, j : j + 1] for j in range(BLOCK))
