"""Looking colours up in a texture."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError


def sample_texture(texture: jax.Array, uv: jax.Array) -> jax.Array:
    """Bilinear values [...,D] float32 of texture [A,B,D] at uv [...,2], clamped at the border.

    Row 0 of the texture is at the top (v = 1): texel (i, j) has its centre at u = (j+0.5)/B, v = 1−(i+0.5)/A. NaN where
    uv is NaN. Differentiable in texture and uv. Raises InputError for wrong shapes.
    """
    texture, uv = jnp.asarray(texture), jnp.asarray(uv)
    if texture.ndim != 3 or not texture.size:
        raise InputError(f"texture: expected [A,B,D], none of them 0, found {list(texture.shape)}")
    if uv.ndim < 1 or uv.shape[-1] != 2:
        raise InputError(f"uv: expected [...,2], found {list(uv.shape)}")
    flat = uv.reshape(-1, 2).astype(jnp.float32)
    return _sample(texture.astype(jnp.float32), flat).reshape(*uv.shape[:-1], texture.shape[-1])


@jax.jit
def _sample(texture: jax.Array, uv: jax.Array) -> jax.Array:
    """At uv [N,2]. In plain JAX: a loop of our own is no faster than the compiler's gathers."""
    height, width, _ = texture.shape
    x = jnp.clip(uv[:, 0] * width - 0.5, 0, width - 1)
    y = jnp.clip((1 - uv[:, 1]) * height - 0.5, 0, height - 1)
    j, i = jnp.clip(jnp.floor(x), 0, max(width - 2, 0)), jnp.clip(jnp.floor(y), 0, max(height - 2, 0))
    fx, fy = (x - j)[:, None], (y - i)[:, None]
    j, i = jnp.nan_to_num(j).astype(jnp.int32), jnp.nan_to_num(i).astype(jnp.int32)
    j1, i1 = jnp.minimum(j + 1, width - 1), jnp.minimum(i + 1, height - 1)
    upper = (1 - fx) * (1 - fy) * texture[i, j] + fx * (1 - fy) * texture[i, j1]
    return upper + (1 - fx) * fy * texture[i1, j] + fx * fy * texture[i1, j1]
