"""Learned positional embeddings in UV space: a pyramid of textures and one linear layer (equation 3, appendix B.3)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.resampling import enlarge

TEXTURE_LEVELS = 4


class PositionalEncoding(nn.Module):
    """A learned map [1,U,U,features] in UV space, row 0 at v = 1.

    Four textures of `texture_size` channels at sides U, U/2, U/4, U/8, enlarged to U, stacked and mixed linearly.
    """

    side: int
    features: int = 128
    texture_size: int = 32
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self) -> jax.Array:
        textures = []
        for level in range(TEXTURE_LEVELS):
            side = self.side // 2**level
            texture = self.param(
                f"texture_{level}", nn.initializers.normal(1.0), (side, side, self.texture_size), jnp.float32
            )
            textures.append(enlarge(texture[None], (self.side, self.side)))
        stacked = jnp.concatenate(textures, axis=-1).astype(self.dtype)
        return nn.Dense(self.features, dtype=self.dtype, name="linear")(stacked)
