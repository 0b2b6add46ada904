"""S3FD, the single-shot face detector: a VGG-16 trunk with box heads at six strides.

Layers and numbers are those of the published weights (Zhang et al., S3FD, ICCV 2017; s3fd-619a316812.pth).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.convolution import Convolution

CHANNEL_MEANS_BGR = (104.0, 117.0, 123.0)
SMALLEST_SIDE = 32
"""Px: below this nothing is left after the five halvings of the trunk."""

STRIDES = (4, 8, 16, 32, 64, 128)
"""Px between neighbouring cells of each level."""

_TRUNK = (("conv1", 2, 64), ("conv2", 2, 128), ("conv3", 3, 256), ("conv4", 3, 512), ("conv5", 3, 512))
_NORMALISED = {"conv3": 10.0, "conv4": 8.0, "conv5": 5.0}
_BACKGROUND_SCORES = 3
_NORM_EPSILON = 1e-10


class Level(NamedTuple):
    """One stride's predictions. scores: [B,h,w,2] of background and face, before the softmax. offsets: [B,h,w,4]."""

    scores: jax.Array
    offsets: jax.Array


class S3FD(nn.Module):
    """Images [B,H,W,3] RGB, uint8 or 0 … 255, sides from SMALLEST_SIDE px, to one `Level` per stride (22,459,110
    parameters).
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> tuple[Level, ...]:
        x = (images.astype(jnp.float32)[..., ::-1] - jnp.asarray(CHANNEL_MEANS_BGR)).astype(self.dtype)
        levels = []
        for name, depth, features in _TRUNK:
            for number in range(1, depth + 1):
                x = self._layer(x, f"{name}_{number}", features)
            if name in _NORMALISED:
                prefix = f"{name}_{depth}_norm"
                levels.append(self._heads(ChannelNorm(_NORMALISED[name], name=prefix)(x), prefix))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        # The published padding of 3 adds four cells in each direction, which the anchors do not make up for.
        x = self._layer(x, "fc6", 1024, padding=3)
        x = self._layer(x, "fc7", 1024, kernel=1)
        levels.append(self._heads(x, "fc7"))
        for name, narrow, wide in (("conv6", 256, 512), ("conv7", 128, 256)):
            x = self._layer(x, f"{name}_1", narrow, kernel=1)
            x = self._layer(x, f"{name}_2", wide, stride=2)
            levels.append(self._heads(x, f"{name}_2"))
        return tuple(levels)

    def _layer(
        self, x: jax.Array, name: str, features: int, kernel: int = 3, stride: int = 1, padding: int | None = None
    ) -> jax.Array:
        around = None if padding is None else (padding, padding)
        return nn.relu(Convolution(features, (kernel, kernel), stride, around, dtype=self.dtype, name=name)(x))

    def _heads(self, x: jax.Array, prefix: str) -> Level:
        first = prefix == "conv3_3_norm"
        count = _BACKGROUND_SCORES + 1 if first else 2
        scores = Convolution(count, dtype=self.dtype, name=f"{prefix}_conf")(x).astype(jnp.float32)
        if first:
            # Small faces are mistaken most: the strongest of three background scores has to be beaten.
            background = scores[..., :_BACKGROUND_SCORES].max(-1, keepdims=True)
            scores = jnp.concatenate([background, scores[..., _BACKGROUND_SCORES:]], axis=-1)
        offsets = Convolution(4, dtype=self.dtype, name=f"{prefix}_loc")(x).astype(jnp.float32)
        return Level(scores, offsets)


class ChannelNorm(nn.Module):
    """Each cell's channels [...,D] divided by their Euclidean norm and multiplied by a learned `scale` [D]."""

    initial_scale: float

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.constant(self.initial_scale), (x.shape[-1],), jnp.float32)
        wide = x.astype(jnp.float32)
        norm = jnp.sqrt(jnp.sum(wide**2, axis=-1, keepdims=True)) + _NORM_EPSILON
        return (wide / norm * scale).astype(x.dtype)
