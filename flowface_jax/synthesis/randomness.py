"""Random keys for synthesis: the same numbers on every device, cheap to compile where thousands are drawn."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import random as extended

_STEP, _FIRST, _SECOND = np.uint32(0x9E3779B9), np.uint32(0x21F0AAAD), np.uint32(0x735A2D97)


def random_key(seed: jax.Array | int) -> jax.Array:
    """A key for `jax.random`, of the hashed kind: seed [] is any whole number below 2³².

    A picture takes hundreds of draws; JAX's own generator (threefry) makes the compiler spend minutes on them. Here a
    number is two rounds of a 32-bit integer hash of key and position: equal on all devices, alone or under vmap, good
    enough for pictures, not for cryptography.
    """
    return jax.random.wrap_key_data(_seeded(jnp.asarray(seed, jnp.uint32)), impl=_HASHED)


def _mixed(x: jax.Array) -> jax.Array:
    """A bijection of 32-bit numbers in which every bit of the result depends on every bit given (Wellons, 2018)."""
    x = (x ^ (x >> 16)) * _FIRST
    x = (x ^ (x >> 15)) * _SECOND
    return x ^ (x >> 15)


def _seeded(seed: jax.Array) -> jax.Array:
    word = jnp.asarray(seed).astype(jnp.uint32)
    return jnp.stack([_mixed(word + _STEP), _mixed(word ^ _SECOND)])


def _words(key: jax.Array, count: int, salt: int) -> jax.Array:
    """`count` hashed 32-bit words of a key [2]."""
    position = jnp.arange(count, dtype=jnp.uint32) * _STEP
    return _mixed(_mixed(position + key[0]) ^ (key[1] + np.uint32(salt)))


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    count = math.prod(shape)
    return jnp.stack([_words(key, count, 0x68E31DA4), _words(key, count, 0xB5297A4D)], axis=-1).reshape(*shape, 2)


def _bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    count = math.prod(shape)
    if bit_width == 32:
        return _words(key, count, 0).reshape(shape)
    if bit_width == 64:
        both = [_words(key, count, salt).astype(jnp.uint64) for salt in (0, 0x1B56C4E9)]
        return ((both[0] << 32) | both[1]).reshape(shape)
    return _words(key, count, 0).astype({8: jnp.uint8, 16: jnp.uint16}[bit_width]).reshape(shape)


def _folded(key: jax.Array, data: jax.Array) -> jax.Array:
    word = _mixed(jnp.asarray(data).astype(jnp.uint32) * _STEP + np.uint32(0x7FEB352D))
    return jnp.stack([_mixed(key[0] ^ word), _mixed(key[1] + _mixed(word ^ key[0]))])


_HASHED = extended.define_prng_impl(
    key_shape=(2,), seed=_seeded, split=_split, random_bits=_bits, fold_in=_folded, name="flowface_hash", tag="ffh"
)
