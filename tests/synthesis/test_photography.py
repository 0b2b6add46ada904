import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.synthesis.image.filters import double, halve, planes, reduced, resolve
from flowface_jax.synthesis.image.jpeg import compress
from flowface_jax.synthesis.image.photography import defocus, photograph, sample_photography
from flowface_jax.synthesis.randomness import random_key

COUNT = 60


def scene(height, width):
    down, right = np.mgrid[:height, :width] / max(height, width)
    image = np.stack([0.3 + 0.2 * np.sin(9 * down), 0.2 + 0.3 * right, 0.1 + 0.2 * np.cos(7 * right * down)], -1)
    depth = np.where((down - 0.5) ** 2 + (right - 0.5) ** 2 < 0.1, 0.7, np.inf)
    return jnp.asarray(image, jnp.float32), jnp.asarray(depth, jnp.float32)


@jax.jit
def shoot(image, depth, settings, keys):
    return jax.lax.map(lambda drawn: photograph(image, depth, *drawn), (settings, keys))


@pytest.fixture(scope="module")
def shots():
    """Cameras, stacked, and keys of their noise."""
    keys = jax.random.split(random_key(0), COUNT)
    return jax.jit(jax.vmap(sample_photography))(keys), keys


def decibels(first, second):
    return -10 * np.log10(np.mean((np.asarray(first, np.float64) - np.asarray(second, np.float64)) ** 2))


def test_every_camera_delivers_a_finite_picture_in_range_and_the_same_again(shots):
    image, depth = scene(24, 24)
    pictures = np.asarray(shoot(image, depth, *shots))
    assert np.isfinite(pictures).all() and pictures.min() >= 0 and pictures.max() <= 1
    assert pictures.reshape(COUNT, -1).mean(-1).std() > 0.03  # the cameras differ
    assert pictures.tobytes() == np.asarray(shoot(image, depth, *shots)).tobytes()


def test_any_size_can_be_photographed(shots):
    pictures = shoot(*scene(1, 7), *shots)
    assert pictures.shape == (COUNT, 1, 7, 3) and np.isfinite(pictures).all()


@pytest.mark.parametrize("quality", [20, 50, 80, 95])
def test_compression_equals_jpeg(quality):
    random = np.random.default_rng(0)
    image, _ = scene(90, 130)
    texture = cv2.GaussianBlur(random.normal(size=(90, 130, 3)), (0, 0), 1.5)
    original = (np.clip(np.asarray(image) + 0.3 * texture, 0, 1) * 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", original[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    theirs = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1] / 255.0
    start = planes(jnp.asarray(original / 255.0, jnp.float32))
    ours = np.moveaxis(np.asarray(jax.jit(compress)(start, jnp.float32(quality))), 0, -1)
    assert decibels(ours, theirs) > 38
    assert abs(decibels(ours, original / 255.0) - decibels(theirs, original / 255.0)) < 0.7


def test_defocus_keeps_the_light_and_loses_detail():
    image = planes(scene(64, 64)[0]) + 0.2 * jax.random.uniform(random_key(0), (3, 64, 64))
    for sigma in (0.7, 2.0, 4.0):
        blurred = jax.jit(defocus)(image, jnp.float32(sigma))
        assert np.allclose(blurred.mean(), image.mean(), rtol=0.01)
        assert blurred[:, 20:40, 20:40].std() < image[:, 20:40, 20:40].std()


def test_resolving_averages_and_resampling_keeps_constants():
    fine = jnp.arange(2 * 4 * 6.0).reshape(4, 6, 2)
    assert np.allclose(resolve(fine, 2)[1, 2], np.asarray(fine)[2:4, 4:6].mean((0, 1)))
    constant = jnp.full((1, 9, 13), 0.3)
    resample = jax.jit(lambda image: double(reduced(halve(image), jnp.float32(0.3), jnp.float32(1.0)), 9, 13))
    assert np.allclose(resample(constant), 0.3, atol=1e-5)
