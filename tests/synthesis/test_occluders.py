import jax
import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.synthesis.image.obstacles import sample_curve, sample_occluders
from flowface_jax.synthesis.image.occluders import apply_occluders, occluder_shares

SIZE = 48
BOX = jnp.array([10.0, 8.0, 38.0, 40.0])
KEYS = jax.random.split(jax.random.key(0), 200)
IMAGE = jnp.full((SIZE, SIZE, 3), 0.3) + jnp.linspace(0, 0.1, SIZE)[:, None, None]


@jax.jit
def occlude(keys, probability=1.0):
    return jax.lax.map(lambda key: apply_occluders(IMAGE, sample_occluders(key, BOX, None, probability)), keys)


def test_occluded_pictures_are_finite_and_varied_and_repeatable():
    images, hidden = occlude(KEYS)
    assert np.isfinite(images).all() and images.min() >= 0
    assert hidden.min() >= 0 and hidden.max() <= 1 + 1e-6
    shares = np.asarray(hidden).mean((1, 2))
    assert 0.02 < shares.mean() < 0.4 and shares.max() < 0.9
    assert np.asarray(images).tobytes() == np.asarray(occlude(KEYS)[0]).tobytes()


def test_only_covered_pixels_change_and_opaque_ones_lose_the_image():
    def both(key):
        occluders = sample_occluders(key, BOX, None, 1.0)
        first, _ = apply_occluders(IMAGE, occluders)
        # Another face of the same mean brightness behind the same occluders.
        second, hidden = apply_occluders(IMAGE[::-1], occluders)
        return first, second, hidden, *occluder_shares(occluders, (SIZE, SIZE))

    first, second, hidden, opaque, clear = (np.asarray(a) for a in jax.jit(lambda k: jax.lax.map(both, k))(KEYS[:60]))
    open_ = (opaque < 1e-6) & (clear < 1e-6)
    changed = np.abs(first - np.asarray(IMAGE)).max(-1)
    assert changed[open_].max() < 1e-6
    assert np.allclose(hidden, opaque)
    assert np.abs(first - second)[opaque > 0.9999].max() < 1e-3
    assert (clear.max((1, 2)) > 0.5).mean() > 0.1 and (opaque.max((1, 2)) > 0.5).mean() > 0.4


def test_the_share_of_occluded_images_is_the_one_asked_for():
    _, hidden = occlude(KEYS, 0.0)
    assert hidden.max() == 0
    images, _ = occlude(KEYS, 0.5)
    changed = np.abs(np.asarray(images) - np.asarray(IMAGE)).max((1, 2, 3)) > 0.01
    assert 0.35 < changed.mean() < 0.62


def test_random_curves_fill_their_square():
    curves = np.asarray(jax.jit(jax.vmap(sample_curve))(KEYS))
    assert np.isfinite(curves).all() and np.abs(curves).max() <= 1 + 1e-4
    spans = (curves.max(1) - curves.min(1)).max(-1)
    assert np.allclose(spans, 2, atol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (7, 9)])
def test_any_size_and_batch_can_be_occluded(size):
    image = jnp.full((*size, 3), 0.5)
    run = jax.vmap(
        lambda key: apply_occluders(image, sample_occluders(key, jnp.array([0.0, 0.0, 5.0, 5.0]), None, 1.0))
    )
    images, hidden = run(KEYS[:4])
    assert images.shape == (4, *size, 3) and hidden.shape == (4, *size) and np.isfinite(images).all()
