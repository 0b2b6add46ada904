"""MICA: the neutral shape of a face, in metres, from who it is (Zielonka et al., ECCV 2022)."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.arcface import ArcFace

_SMALLEST_NORM = 1e-12


class Mica(nn.Module):
    """Faces [B,112,112,3] RGB, uint8 or 0 … 255, to identity codes [B,code_size] of FLAME 2020's shape basis.

    depths, widths: of the ArcFace network. hidden_size, code_size: of the mapping network.
    """

    depths: tuple[int, ...] = (3, 13, 30, 3)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    hidden_size: int = 300
    code_size: int = 300
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        embedding = ArcFace(self.depths, self.widths, dtype=self.dtype, name="arcface")(images)
        return MappingNetwork(self.hidden_size, self.code_size, name="mapping")(normalised(embedding))


class MappingNetwork(nn.Module):
    """Unit embeddings [B,D] to codes [B,code_size]: four linear layers with leaky ReLU and one without."""

    hidden_size: int = 300
    code_size: int = 300

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for index in range(4):
            x = nn.leaky_relu(nn.Dense(self.hidden_size, name=f"hidden_{index}")(x), negative_slope=0.2)
        return nn.Dense(self.code_size, name="output")(x)


def normalised(embedding: jax.Array) -> jax.Array:
    """Embeddings [B,D] of length 1."""
    norm = jnp.linalg.norm(embedding, axis=-1, keepdims=True)
    return embedding / jnp.maximum(norm, _SMALLEST_NORM)


def neutral_vertices(template: jax.Array, identity_basis: jax.Array, code: jax.Array) -> jax.Array:
    """Vertices [V,3] m of the neutral head: template [V,3] m plus identity_basis [V,3,S] times code [S]."""
    return template + jnp.einsum("vds,s->vd", identity_basis, code, precision="highest")
