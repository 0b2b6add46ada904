"""Smooth noise from small grids."""

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.synthesis.noise import enlarge, smooth_noise, window, worked_out
from flowface_jax.synthesis.randomness import random_key


def test_enlarging_keeps_constants_and_range() -> None:
    assert np.allclose(enlarge(jnp.full((7, 7), 0.3), 64), 0.3, atol=1e-6)
    grid = jax.random.uniform(random_key(0), (9, 5, 2))
    picture = enlarge(grid, (40, 30))
    assert picture.shape == (40, 30, 2)
    assert float(picture.min()) >= float(grid.min()) and float(picture.max()) <= float(grid.max())


def test_noise_is_centred_with_unit_variance() -> None:
    pictures = jnp.stack(smooth_noise(random_key(0), 96, 9, count=20))
    assert abs(float(pictures.mean())) < 0.2
    assert 0.7 < float(pictures.std()) < 1.3


def test_the_same_key_gives_the_same_noise_and_another_key_another() -> None:
    noise = jax.jit(lambda key: smooth_noise(key, 64, 9)[0])
    first, again, other = (np.asarray(noise(random_key(k))) for k in (3, 3, 4))
    assert np.array_equal(first, again)
    assert abs(first - other).max() > 0.5


def test_windows_and_stages_work_under_vmap() -> None:
    bank = jnp.arange(2 * 12 * 12, dtype=jnp.float32).reshape(2, 12, 12)
    cut = jax.vmap(lambda key: window(bank, key, 8))(jax.random.split(random_key(0), 5))
    assert cut.shape == (5, 2, 8, 8)
    assert np.allclose(cut[:, 1] - cut[:, 0], 144)
    doubled = jax.vmap(lambda x: worked_out(x > -1, lambda: {"twice": 2 * x}))(jnp.arange(4.0))
    assert np.array_equal(doubled["twice"], 2 * np.arange(4.0))
