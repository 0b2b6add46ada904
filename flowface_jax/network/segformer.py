"""SegFormer: the Mix Transformer encoders MiT-b0 … b5 and the all-MLP decode head (Xie et al., 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.attention import attend
from flowface_jax.network.convolution import Convolution, ConvolutionParameters
from flowface_jax.network.depthwise import DepthwiseConvolution
from flowface_jax.network.dropping import Dropout, DropPath, Train
from flowface_jax.network.normalised_convolution import batch_norm
from flowface_jax.network.resampling import average_pool, enlarge

HEADS: Final = (1, 2, 5, 8)
REDUCTIONS: Final = (8, 4, 2, 1)
EXPANSION: Final = 4


@dataclass(frozen=True)
class MitSize:
    """One published size. channels, depths: of the four stages. head: channels E of the decode head."""

    channels: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    head: int


MIT_SIZES: Final[dict[str, MitSize]] = {
    "mit_b0": MitSize((32, 64, 160, 256), (2, 2, 2, 2), 256),
    "mit_b1": MitSize((64, 128, 320, 512), (2, 2, 2, 2), 256),
    "mit_b2": MitSize((64, 128, 320, 512), (3, 4, 6, 3), 768),
    "mit_b3": MitSize((64, 128, 320, 512), (3, 4, 18, 3), 768),
    "mit_b4": MitSize((64, 128, 320, 512), (3, 8, 27, 3), 768),
    "mit_b5": MitSize((64, 128, 320, 512), (3, 6, 40, 3), 768),
}


class LayerNorm(nn.Module):
    """Layer normalisation over channels in float32, by two passes: the difference of squares loses all digits where
    the mean is large."""

    epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        channels = features.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        values = features.astype(jnp.float32)
        centred = values - values.mean(-1, keepdims=True)
        variance = (centred * centred).mean(-1, keepdims=True)
        return (centred * jax.lax.rsqrt(variance + self.epsilon) * scale + bias).astype(self.dtype)


class EfficientAttention(nn.Module):
    """Attention of every cell [B,H,W,C] to a map reduced `reduction` times along each side."""

    heads: int
    reduction: int
    epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        batch, height, width, channels = features.shape
        dense = lambda name: nn.Dense(channels, dtype=self.dtype, name=name)
        seen = features
        if self.reduction > 1:
            seen = Convolution(
                channels, (self.reduction, self.reduction), self.reduction, (0, 0), dtype=self.dtype, name="reduction"
            )(features)
            seen = LayerNorm(self.epsilon, self.dtype, name="reduction_norm")(seen)
        split = lambda x: x.reshape(batch, -1, self.heads, channels // self.heads)
        attended = attend(split(dense("query")(features)), split(dense("key")(seen)), split(dense("value")(seen)))
        return dense("output")(attended.reshape(batch, height, width, channels))


class MixFeedForward(nn.Module):
    """Two linear layers with a depthwise 3×3 convolution between, which tells cells where they are."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        channels = features.shape[-1]
        hidden = nn.Dense(EXPANSION * channels, dtype=self.dtype, name="expand")(features)
        hidden = DepthwiseConvolution(dtype=self.dtype, name="depthwise")(hidden)
        return nn.Dense(channels, dtype=self.dtype, name="contract")(nn.gelu(hidden, approximate=False))


class Block(nn.Module):
    """One transformer block: attention and Mix-FFN, each normalised before and added after."""

    heads: int
    reduction: int
    drop_path: float
    epsilon: float
    embedding_epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array, train: Train) -> jax.Array:
        norm = lambda name: LayerNorm(self.epsilon, self.dtype, name=name)
        attention = EfficientAttention(self.heads, self.reduction, self.embedding_epsilon, self.dtype, name="attention")
        drop = DropPath(self.drop_path)
        features = features + drop(attention(norm("attention_norm")(features)), train)
        feedforward = MixFeedForward(self.dtype, name="feedforward")
        return features + drop(feedforward(norm("feedforward_norm")(features)), train)


class PatchEmbedding(nn.Module):
    """Overlapping patches: a strided convolution and its normalisation."""

    channels: int
    kernel_size: int
    stride: int
    epsilon: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        size, half = self.kernel_size, self.kernel_size // 2
        features = Convolution(
            self.channels, (size, size), self.stride, (half, half), dtype=self.dtype, name="projection"
        )(features)
        return LayerNorm(self.epsilon, self.dtype, name="norm")(features)


class Stage(nn.Module):
    """One of the four stages: patch embedding, blocks, normalisation."""

    index: int
    size: MitSize
    drop_paths: tuple[float, ...]
    epsilon: float
    embedding_epsilon: float
    dtype: Any = jnp.float32
    rematerialised: bool = False

    @nn.compact
    def __call__(self, features: jax.Array, train: Train) -> jax.Array:
        kernel_size, stride = (7, 4) if self.index == 0 else (3, 2)
        features = PatchEmbedding(
            self.size.channels[self.index],
            kernel_size,
            stride,
            self.embedding_epsilon,
            self.dtype,
            name="patch_embedding",
        )(features)
        block = nn.remat(Block, static_argnums=(2,)) if self.rematerialised else Block
        for i, drop_path in enumerate(self.drop_paths):
            features = block(
                HEADS[self.index],
                REDUCTIONS[self.index],
                drop_path,
                self.epsilon,
                self.embedding_epsilon,
                self.dtype,
                name=f"block_{i}",
            )(features, train)
        return LayerNorm(self.epsilon, self.dtype, name="norm")(features)


class MixTransformer(nn.Module):
    """MiT: normalised images [B,H,W,3], H and W multiples of 32, to four maps at 1/4, 1/8, 1/16 and 1/32.

    epsilon: of block and stage norms. embedding_epsilon: of the norms after convolutions. rematerialised: gradients
    compute each block anew instead of keeping what it held, for a third more time and a fraction of the memory.
    """

    size: MitSize
    drop_path: float = 0.1
    epsilon: float = 1e-6
    embedding_epsilon: float = 1e-5
    dtype: Any = jnp.float32
    rematerialised: bool = False

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> list[jax.Array]:
        blocks = sum(self.size.depths)
        probabilities = [self.drop_path * i / max(blocks - 1, 1) for i in range(blocks)]
        maps, features = [], images.astype(self.dtype)
        for index, depth in enumerate(self.size.depths):
            first = sum(self.size.depths[:index])
            features = Stage(
                index,
                self.size,
                tuple(probabilities[first : first + depth]),
                self.epsilon,
                self.embedding_epsilon,
                self.dtype,
                self.rematerialised,
                name=f"stage_{index + 1}",
            )(features, train)
            maps.append(features)
        return maps


class DecodeHead(nn.Module):
    """The all-MLP head: four maps to one [B,H/4/pool,W/4/pool,features], averaged over pool × pool cells.

    As published: a linear layer to E channels on each map, enlarging, concatenation, a 1×1 convolution back to E, batch
    normalisation, ReLU, and here a 1×1 convolution to `features` and average pooling. Linear steps are taken in
    the order that costs least, with the same result: the two products on each map are made one before
    enlarging it (a quarter to a sixty-fourth of the cells), and pooling comes before the last convolution.
    """

    size: int
    features: int
    pool: int = 1
    dropout: float = 0.1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, maps: list[jax.Array], train: Train = False) -> jax.Array:
        side = maps[0].shape[1:3]
        fuse, _ = ConvolutionParameters(self.size, (1, 1), 4 * self.size, use_bias=False, name="fuse")()
        # Inputs of the fusing convolution are in the order of maps 4, 3, 2, 1.
        slices = jnp.split(fuse[0, 0], 4, axis=0)[::-1]
        fused: jax.Array | float = 0.0
        for index, (features, part) in enumerate(zip(maps, slices, strict=True)):
            projection = Linear(self.size, name=f"projection_{index + 1}")
            kernel, bias = projection(features.shape[-1])
            with jax.default_matmul_precision("highest"):
                kernel, bias = kernel @ part, bias @ part
            mixed = features.astype(self.dtype) @ kernel.astype(self.dtype) + bias.astype(self.dtype)
            fused = fused + enlarge(mixed, side)
        fused = batch_norm(train, self.dtype, "fuse_norm")(fused)
        hidden = average_pool(nn.relu(fused), self.pool)
        hidden = Dropout(self.dropout, whole_channels=True)(hidden, train)
        return Convolution(self.features, (1, 1), dtype=self.dtype, name="output")(hidden)


class Linear(nn.Module):
    """The parameters of a linear layer, to be combined with others before use: kernel [in,out] and bias [out]."""

    features: int

    @nn.compact
    def __call__(self, inputs: int) -> tuple[jax.Array, jax.Array]:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (inputs, self.features), jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
