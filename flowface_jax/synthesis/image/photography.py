"""The camera: from linear radiance to the bytes that a phone, webcam or film camera would have delivered.

Nothing here moves anything in the image: labels stay where they are. Lengths are in pixels of an image 256 high and
are scaled to the image's height.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.pytrees import pytree_dataclass
from flowface_jax.synthesis.image.filters import (
    REFERENCE_HEIGHT,
    blur,
    double,
    halve,
    luma,
    pixels,
    planes,
    reduced,
    shifted_sum,
    stage,
    streak,
)
from flowface_jax.synthesis.image.jpeg import BLOCK, compress_cut

MIDDLE_GREY = 0.18
LONGEST_MOTION = 14
"""Pixels; longer motion is cut to this."""


@pytree_dataclass
class Photography:
    """One camera and its settings, all scalars but white_balance [3], toning [2,3], motion [2] and block_phase [2].

    exposure: stops beside what the meter asks for. metering: 0 fixed exposure, 1 the meter always reaches middle grey.
    white_balance: gain of the channels. vignette: share of light lost in the corners.
    background_blur: px, what is far behind the subject. focus: px, error at the subject. motion: px right, down.
    aberration: px that red is magnified beyond green in the corners (blue the other way).
    shot, read: noise that grows with the light's root, and noise in the dark. blotches: share of it that is coarse.
    noise_colour: 0 grey noise, 1 independent channels. shoulder: 0 highlights clip, 1 they roll off as film.
    gamma, contrast, black, saturation, toning (shadows, highlights): the look. grey: 1 black and white.
    sharpening: strength of the halo. quality: JPEG, 1 to 100. video: 1 rounds as video encoders do. block_phase: px,
    where blocks begin. resolution: share of the pixels that the picture had before it was enlarged to this size.
    """

    exposure: jax.Array
    metering: jax.Array
    white_balance: jax.Array
    vignette: jax.Array
    background_blur: jax.Array
    focus: jax.Array
    motion: jax.Array
    aberration: jax.Array
    shot: jax.Array
    read: jax.Array
    blotches: jax.Array
    noise_colour: jax.Array
    shoulder: jax.Array
    gamma: jax.Array
    contrast: jax.Array
    black: jax.Array
    saturation: jax.Array
    toning: jax.Array
    grey: jax.Array
    sharpening: jax.Array
    quality: jax.Array
    video: jax.Array
    block_phase: jax.Array
    resolution: jax.Array


def sample_photography(key: jax.Array) -> Photography:
    """A camera of the kinds that faces are filmed with: mostly good, now and then bad in one or two ways."""
    keys = iter(jax.random.split(key, 48))

    def uniform(low: float, high: float, shape: tuple[int, ...] = ()) -> jax.Array:
        return jax.random.uniform(next(keys), shape, minval=low, maxval=high)

    def normal(spread: float, limit: float = 2.5, shape: tuple[int, ...] = ()) -> jax.Array:
        return spread * jnp.clip(jax.random.normal(next(keys), shape), -limit, limit)

    def chance(probability: float) -> jax.Array:
        return jax.random.bernoulli(next(keys), probability).astype(jnp.float32)

    dim = uniform(0.0, 1.0) ** 5  # how far the sensor had to be pushed: most scenes are bright enough
    warmth, tint = normal(0.08), normal(0.025)
    angle = uniform(0.0, 2.0 * jnp.pi)
    length = chance(0.22) * (1.0 + uniform(0.0, 1.0) ** 2 * 9.0)
    return Photography(
        exposure=0.1 + normal(0.38) - 0.6 * dim * chance(0.5),
        metering=uniform(0.55, 0.95),
        white_balance=jnp.exp(jnp.stack([warmth + 0.5 * tint, -0.5 * tint, -warmth + 0.5 * tint])),
        vignette=chance(0.5) * uniform(0.0, 0.45),
        background_blur=chance(0.6) * uniform(0.0, 1.0) ** 2 * 5.0,
        focus=uniform(0.0, 0.65) + chance(0.1) * uniform(0.3, 2.2),
        motion=length * jnp.stack([jnp.cos(angle), jnp.sin(angle)]),
        aberration=chance(0.3) * normal(0.5),
        shot=0.003 + 0.011 * uniform(0.0, 1.0) ** 2 + 0.025 * dim,
        read=0.0006 + 0.012 * dim,
        blotches=uniform(0.0, 0.8),
        noise_colour=uniform(0.2, 1.0),
        shoulder=uniform(0.0, 1.0),
        gamma=jnp.exp(normal(0.1)),
        contrast=0.15 + normal(0.15),
        black=chance(0.15) * uniform(0.0, 0.07),
        saturation=jnp.clip(0.97 + normal(0.14), 0.45, 1.3),
        toning=chance(0.25) * normal(0.02, shape=(2, 3)),
        grey=chance(0.08),
        sharpening=chance(0.6) * uniform(0.0, 1.0) ** 1.5 * 1.2,
        quality=jnp.where(chance(0.14) > 0, uniform(30.0, 70.0), uniform(74.0, 98.0)),
        video=chance(0.25) * uniform(0.2, 0.9),
        block_phase=jax.random.randint(next(keys), (2,), 0, BLOCK),
        resolution=jnp.where(chance(0.3) > 0, uniform(0.35, 1.0), 1.0),
    )


def photograph(radiance: jax.Array, depth: jax.Array, parameters: Photography, noise_key: jax.Array) -> jax.Array:
    """The delivered picture [H,W,3], sRGB in [0,1].

    radiance: [H,W,3] linear, any scale. depth: [H,W] m, infinite where nothing is; the lens is focused on the mean of
    what is not. noise_key: another one for every frame of a sequence, whose `parameters` stay.
    """
    scale = radiance.shape[0] / REFERENCE_HEIGHT
    subject = jnp.isfinite(depth)
    blurred = parameters.background_blur * scale
    light = expose(planes(radiance), subject, parameters)
    light = stage(lambda light: defocus_background(light, depth, subject, blurred), light, blurred > 0.5)
    focus = parameters.focus * scale
    light = stage(lambda light: defocus(light, focus), light, focus > 0.25)
    light = stage(
        lambda light: streak(light, parameters.motion * scale, LONGEST_MOTION), light, parameters.motion.any()
    )
    light = stage(lambda light: disperse(light, parameters.aberration * scale), light, parameters.aberration != 0)
    light = stage(lambda light: light + sensor_noise(light, parameters, noise_key), light)
    picture = stage(lambda light: develop(light, parameters), light)
    picture = stage(lambda picture: sharpen(picture, parameters.sharpening), picture, parameters.sharpening > 0)
    quality, video, phase = parameters.quality, parameters.video, parameters.block_phase
    picture = stage(lambda picture: compress_cut(picture, quality, phase, video), picture, quality < 100)
    picture = stage(lambda picture: enlarge(picture, parameters.resolution), picture, parameters.resolution < 1)
    return pixels(jnp.clip(picture, 0.0, 1.0))


def expose(light: jax.Array, subject: jax.Array, parameters: Photography) -> jax.Array:
    """Planes [3,H,W] scaled so that their metered mean comes to middle grey; subject [H,W] bool counts three times."""
    height, width = subject.shape
    weight = 1.0 + 2.0 * subject.astype(jnp.float32)
    level = jnp.maximum((weight * jnp.maximum(luma(light), 0.0)).sum() / weight.sum(), 1e-5)
    gain = (MIDDLE_GREY / level) ** parameters.metering * 2.0**parameters.exposure
    down = (jnp.arange(height) + 0.5) / height - 0.5
    right = (jnp.arange(width) + 0.5) / width - 0.5
    falloff = 1.0 - 2.0 * parameters.vignette * (down[:, None] ** 2 + right[None] ** 2)
    return light * (gain * parameters.white_balance)[:, None, None] * falloff


def defocus_background(light: jax.Array, depth: jax.Array, subject: jax.Array, sigma: jax.Array) -> jax.Array:
    """Planes [3,H,W] with what is far behind the subject blurred by sigma px; the subject does not bleed into it."""
    height, width = depth.shape
    finite = jnp.where(subject, depth, 0.0)
    focused = finite.sum() / jnp.maximum(subject.sum(), 1)
    behind = jnp.where(subject, 1.0 - focused / jnp.maximum(finite, 1e-3), 1.0)
    far = jnp.clip(5.0 * behind - 1.5, 0.0, 1.0)
    small = halve(halve(jnp.concatenate([far * light, far[None]])))
    small = reduced(small, jnp.float32(1.0), sigma / 4.0)
    grown = double(double(small, (height + 1) // 2, (width + 1) // 2), height, width)
    soft = grown[:3] / jnp.maximum(grown[3:], 1e-3)
    share = far * jnp.clip(sigma - 0.5, 0.0, 1.0) * jnp.clip(20.0 * grown[3] - 0.02, 0.0, 1.0)
    return light + share * (soft - light)


def defocus(light: jax.Array, sigma: jax.Array) -> jax.Array:
    """Planes [3,H,W] blurred by sigma px: a small kernel up to 1.2 px, and half the resolution beyond it."""
    near = jnp.minimum(sigma, 1.2)
    wide = jnp.sqrt(jnp.maximum(sigma**2 - near**2, 0.0))

    def softened(sharp: jax.Array) -> jax.Array:
        soft = double(reduced(halve(sharp), jnp.float32(1.0), wide / 2.0), *light.shape[1:])
        return sharp + jnp.clip(2.0 * wide, 0.0, 1.0) * (soft - sharp)

    return stage(softened, stage(lambda light: blur(light, near, 3), light), wide > 0)


def disperse(light: jax.Array, aberration: jax.Array) -> jax.Array:
    """Lateral chromatic aberration to first order: red grows and blue shrinks about the centre, green stays."""
    height, width = light.shape[1:]
    down = ((jnp.arange(height) + 0.5) / height - 0.5)[:, None]
    right = ((jnp.arange(width) + 0.5) / width - 0.5)[None]
    coloured = light[::2]
    step = jnp.array([-0.5, 0.0, 0.5])
    radial = right * shifted_sum(coloured, step, -1) + down * shifted_sum(coloured, step, -2)
    moved = coloured - jnp.array([1.4, -1.4])[:, None, None] * aberration * radial
    return jnp.stack([moved[0], light[1], moved[1]])


def sensor_noise(light: jax.Array, parameters: Photography, key: jax.Array) -> jax.Array:
    """Noise [3,H,W] for planes of light: shot and read noise, partly grey, partly in blotches as denoisers leave it."""
    height, width = light.shape[1:]
    fine_key, coarse_key = jax.random.split(key)
    white = stage(lambda light: _white(fine_key, height, width), light)
    fine = stage(lambda white: 1.4 * shifted_sum(shifted_sum(white, _DEMOSAIC, -1), _DEMOSAIC, -2), white)
    coarse = 1.5 * double(_white(coarse_key, (height + 1) // 2, (width + 1) // 2), height, width)
    noise = fine + parameters.blotches * (coarse - fine)
    grey = noise.mean(0) * jnp.sqrt(3.0)
    noise = grey + parameters.noise_colour * (noise - grey)
    return noise * jnp.sqrt(parameters.shot**2 * jnp.maximum(light, 0.0) + parameters.read**2)


_DEMOSAIC = np.array([0.2, 0.6, 0.2], np.float32)


def _white(key: jax.Array, height: int, width: int) -> jax.Array:
    """Three independent planes [3,H,W] of mean 0 and deviation 1 from one random word a pixel."""
    words = jax.random.bits(key, (height, width), jnp.uint32)
    thirds = jnp.stack([words & 1023, (words >> 10) & 1023, (words >> 20) & 1023])
    return (thirds.astype(jnp.float32) - 511.5) * (12.0**0.5 / 1024.0)


def develop(light: jax.Array, parameters: Photography) -> jax.Array:
    """Planes [3,H,W] of light to a picture in [0,1]: highlights, sRGB curve, contrast, colour."""
    picture = stage(lambda light: _toned(light, parameters), light)
    brightness = luma(picture)
    colour = parameters.saturation * (1.0 - parameters.grey)
    picture = brightness + colour * (picture - brightness)
    shadows, highlights = (1.0 - parameters.grey) * parameters.toning
    picture = picture + (1.0 - brightness) * shadows[:, None, None] + brightness * highlights[:, None, None]
    return jnp.clip(parameters.black + (1.0 - parameters.black) * picture, 0.0, 1.0)


def _toned(light: jax.Array, parameters: Photography) -> jax.Array:
    """What happens to every channel by itself: highlights, sRGB curve, contrast."""
    light = jnp.maximum(light, 0.0)
    rolled = 1.0 - jnp.exp(-1.25 * light)
    light = jnp.clip(light + parameters.shoulder * (rolled - light), 0.0, 1.0)
    exponent = parameters.gamma / 2.4
    curve = 1.055 * jnp.exp(exponent * jnp.log(jnp.maximum(light, 0.0031308))) - 0.055
    picture = jnp.where(light < 0.0031308, 12.92 * light, curve)
    picture = jnp.clip(picture, 0.0, 1.0)
    return picture + parameters.contrast * (picture * picture * (3.0 - 2.0 * picture) - picture)


def sharpen(picture: jax.Array, strength: jax.Array) -> jax.Array:
    """Planes [3,H,W] with halos along edges, as cameras add them to brightness."""
    brightness = luma(picture)
    halo = brightness - blur(brightness, jnp.float32(1.0), 2)
    return jnp.clip(picture + strength * jnp.clip(halo, -0.12, 0.12), 0.0, 1.0)


def enlarge(picture: jax.Array, resolution: jax.Array) -> jax.Array:
    """As from a smaller picture: down to half by mixing with half the resolution, below by sampling that again."""
    half = halve(picture)
    share = jnp.clip(2.0 * resolution, 0.05, 1.0)
    soft = double(reduced(half, share, jnp.float32(0.0)), *picture.shape[1:])
    return picture + jnp.clip(2.0 - 2.0 * resolution, 0.0, 1.0) * (soft - picture)
