import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.synthesis.image.obstacles import sample_curve, sample_occluders
from flowface_jax.synthesis.image.occluders import apply_occluders
from flowface_jax.synthesis.randomness import random_key

SIZE = 48
COUNT = 150
BOX = jnp.array([10.0, 8.0, 38.0, 40.0])
KEYS = jax.random.split(random_key(0), COUNT)
IMAGE = jnp.full((SIZE, SIZE, 3), 0.3) + jnp.linspace(0, 0.1, SIZE)[:, None, None]


@jax.jit
def sample(keys, probability):
    return jax.lax.map(lambda key: sample_occluders(key, BOX, None, probability), keys)


@jax.jit
def occlude(image, occluders):
    return jax.lax.map(lambda one: apply_occluders(image, one), occluders)


@pytest.fixture(scope="module")
def occluders():
    return sample(KEYS, 1.0)


def test_occluded_pictures_are_finite_and_varied_and_repeatable(occluders):
    images, hidden = occlude(IMAGE, occluders)
    assert np.isfinite(images).all() and images.min() >= 0
    assert hidden.min() >= 0 and hidden.max() <= 1 + 1e-6
    shares = np.asarray(hidden).mean((1, 2))
    assert 0.02 < shares.mean() < 0.4 and shares.max() < 0.9
    assert np.asarray(images).tobytes() == np.asarray(occlude(IMAGE, sample(KEYS, 1.0))[0]).tobytes()


def test_the_mask_agrees_with_the_pixels_that_change(occluders):
    first, hidden = (np.asarray(a) for a in occlude(IMAGE, occluders))
    # Another face of the same mean brightness behind the same occluders.
    second = np.asarray(occlude(IMAGE[::-1], occluders)[0])
    opacity = np.asarray(occluders.shapes.opacity)
    clear = ((opacity > 0) & (opacity < 1)).any(1)
    changed = np.abs(first - np.asarray(IMAGE)).max(-1)
    assert changed[~clear][hidden[~clear] < 1e-6].max() < 1e-6
    assert np.abs(first - second)[hidden > 0.9999].max() < 1e-3
    assert (hidden[~clear].max((1, 2)) > 0.5).mean() > 0.9
    # What lies behind see-through things stays visible, and the mask does not count it as hidden.
    through = (changed > 0.02) & (hidden < 1e-6)
    assert (through[clear].sum((1, 2)) > 10).mean() > 0.7
    assert clear.mean() > 0.1


def test_the_share_of_occluded_images_is_the_one_asked_for():
    assert occlude(IMAGE, sample(KEYS, 0.0))[1].max() == 0
    images, _ = occlude(IMAGE, sample(KEYS, 0.5))
    changed = np.abs(np.asarray(images) - np.asarray(IMAGE)).max((1, 2, 3)) > 0.01
    assert 0.33 < changed.mean() < 0.62


def test_random_curves_fill_their_square():
    curves = np.asarray(jax.jit(jax.vmap(sample_curve))(KEYS))
    assert np.isfinite(curves).all() and np.abs(curves).max() <= 1 + 1e-4
    spans = (curves.max(1) - curves.min(1)).max(-1)
    assert np.allclose(spans, 2, atol=1e-3)


def test_any_size_can_be_occluded(occluders):
    images, hidden = occlude(jnp.full((1, 7, 3), 0.5), occluders)
    assert images.shape == (COUNT, 1, 7, 3) and hidden.shape == (COUNT, 1, 7) and np.isfinite(images).all()
