"""ArcFace's IResNet-100: a face, cropped and turned upright, to a vector of 512 numbers that says who it is.

Layers are those of insightface's published networks (Deng et al., ArcFace, CVPR 2019), as MICA uses them.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.convolution import Convolution
from flowface_jax.network.dropping import Train
from flowface_jax.network.normalised_convolution import batch_norm

_INITIAL_SLOPE = 0.25


class ArcFace(nn.Module):
    """Faces [B,H,H,3] RGB, uint8 or 0 … 255, to unnormalised embeddings [B,embedding_size].

    depths, widths: blocks and channels of each stage; the defaults are IResNet-100 (65,156,160 parameters at 112 px).
    """

    depths: tuple[int, ...] = (3, 13, 30, 3)
    widths: tuple[int, ...] = (64, 128, 256, 512)
    embedding_size: int = 512
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        x = ((images.astype(jnp.float32) - 127.5) / 127.5).astype(self.dtype)
        x = Stem(self.widths[0], self.dtype, name="stem")(x, train)
        for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
            x = Stage(depth, width, self.dtype, name=f"stage_{stage}")(x, train)
        x = batch_norm(train, self.dtype, "norm")(x)
        x = nn.Dense(self.embedding_size, dtype=jnp.float32, name="linear")(x.reshape(len(x), -1))
        return batch_norm(train, jnp.float32, "features_norm")(x)


class Stem(nn.Module):
    """Images [B,H,W,3] to features [B,H,W,width]."""

    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: Train) -> jax.Array:
        x = Convolution(self.width, use_bias=False, dtype=self.dtype, name="convolution")(x)
        return PReLU(name="prelu")(batch_norm(train, self.dtype, "norm")(x))


class Stage(nn.Module):
    """`depth` residual blocks; the first halves the resolution."""

    depth: int
    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: Train) -> jax.Array:
        for index in range(self.depth):
            x = Block(self.width, 2 if index == 0 else 1, self.dtype, name=f"block_{index}")(x, train)
        return x


class Block(nn.Module):
    """Normalisation, convolution, normalisation, PReLU, convolution, normalisation, beside a shortcut."""

    width: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, x: jax.Array, train: Train) -> jax.Array:
        convolution = partial(Convolution, self.width, use_bias=False, dtype=self.dtype)
        y = convolution(name="convolution_1")(batch_norm(train, self.dtype, "norm_1")(x))
        y = PReLU(name="prelu")(batch_norm(train, self.dtype, "norm_2")(y))
        y = convolution(stride=self.stride, name="convolution_2")(y)
        y = batch_norm(train, self.dtype, "norm_3")(y)
        if self.stride > 1:
            x = convolution(kernel_size=(1, 1), stride=self.stride, name="downsample_convolution")(x)
            x = batch_norm(train, self.dtype, "downsample_norm")(x)
        return y + x


class PReLU(nn.Module):
    """x where positive, else x times a learned `slope` [D] of its channel."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        slope = self.param("slope", nn.initializers.constant(_INITIAL_SLOPE), (x.shape[-1],), jnp.float32)
        return jnp.where(x >= 0, x, slope.astype(x.dtype) * x)
