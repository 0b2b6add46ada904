"""Whose head it is."""

from __future__ import annotations

import jax
import jax.numpy as jnp

SPREAD = 1.2
_CLIP = 2.1
"""Largest coefficient, in standard deviations of the sampled spread."""
_PERSON_SPREAD = 0.1


def sample_identity(key: jax.Array, size: int, spread: jax.Array | float = SPREAD) -> jax.Array:
    """Identity coefficients [size], wider than the population: normal with a standard deviation of about `spread`.

    People differ in how unusual they are as a whole: each has a spread of their own about it. Tails are cut off:
    linear models fold far out.
    """
    person, coefficients = jax.random.split(key)
    own = spread * jnp.exp(_PERSON_SPREAD * jax.random.truncated_normal(person, -2.0, 2.0))
    return own * jax.random.truncated_normal(coefficients, -_CLIP, _CLIP, (size,))
