"""Random keys of synthesis: the same numbers everywhere, evenly spread, streams that know nothing of each other."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2

from flowface_jax.synthesis.randomness import random_key

COUNT, BINS = 50_000, 64
FIRST_WORDS = [528372704, 1823988877]
"""Of seed 0."""


def evenly_spread(numbers):
    """Whether numbers in [0,1) fill equal bins as chance would, neither better nor worse."""
    counts = np.histogram(np.ravel(numbers), BINS, (0, 1))[0]
    expected = counts.sum() / BINS
    low, high = chi2.ppf([1e-4, 1 - 1e-4], BINS - 1)
    return low < ((counts - expected) ** 2 / expected).sum() < high


def correlation(one, other):
    """The correlation of two rows of numbers in units of what chance gives."""
    return np.corrcoef(one, other)[0, 1] * np.sqrt(len(one))


@jax.jit
def draw(key):
    return jax.random.uniform(key, (COUNT,))


def test_numbers_are_the_same_alone_and_under_vmap_and_stay_what_they_are():
    def some(seed):
        key = random_key(seed)
        child = jax.random.fold_in(jax.random.split(key, 3)[1], 5)
        return jax.random.bits(key, (2,)), jax.random.normal(child, (4,))

    seeds = jnp.arange(5)
    together = jax.jit(jax.vmap(some))(seeds)
    for k in range(5):
        alone = jax.jit(some)(seeds[k])
        assert all(np.array_equal(a, b[k]) for a, b in zip(alone, together, strict=True))
    # Pictures of a seed must be the same tomorrow.
    assert np.asarray(together[0][0]).tolist() == FIRST_WORDS


def test_uniform_numbers_are_uniform_along_every_way_of_drawing_them():
    assert evenly_spread(draw(random_key(0)))
    indices = jnp.arange(COUNT)
    one = lambda key: jax.random.uniform(key)
    over_seeds = jax.jit(jax.vmap(lambda seed: one(random_key(seed))))(indices)
    folded = jax.jit(jax.vmap(lambda index: one(jax.random.fold_in(random_key(1), index))))(indices)
    split = jax.jit(lambda: jax.vmap(one)(jax.random.split(random_key(2), COUNT)))()
    for numbers in (over_seeds, folded, split):
        assert evenly_spread(numbers)
        assert abs(correlation(numbers[1:], numbers[:-1])) < 4.5


def test_streams_of_split_and_folded_keys_are_independent():
    parent = random_key(3)
    children = [parent, random_key(4), *jax.random.split(parent, 3)]
    children += [jax.random.fold_in(parent, index) for index in (0, 1, 2, 2**31)]
    streams = [np.asarray(draw(key)) for key in children]
    for k, one in enumerate(streams):
        for other in streams[:k]:
            assert abs(correlation(one, other)) < 4.5
            # The same numbers at other places would not show in the correlation.
            assert len(np.intersect1d(one[:500], other[:500])) < 3


def test_every_seed_and_index_has_a_key_of_its_own():
    keys = jax.vmap(lambda index: jax.random.fold_in(random_key(7), index))(jnp.arange(4 * COUNT))
    data = np.asarray(jax.random.key_data(keys))
    assert len(np.unique(data, axis=0)) == 4 * COUNT
    seeds = jnp.asarray([0, 1, 2**16, 2**31, 2**32 - 1], jnp.uint32)
    assert len(np.unique(jax.random.key_data(jax.vmap(random_key)(seeds)), axis=0)) == 5


def test_a_seed_above_the_signed_range_is_a_seed():
    assert np.array_equal(
        jax.random.key_data(random_key(2**32 - 1)), jax.random.key_data(random_key(np.uint32(2**32 - 1)))
    )
