"""ResNet-101 that regresses every vertex directly, after Wood et al. 2022 ('Dense'; table 4).

The table's 73.4 M parameters are those of the ResNet-101 trunk (42,500,160) and one linear layer from its 2048 pooled
features to 5023 vertices of three numbers (30,876,381).
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.network.convolution import Convolution
from flowface_jax.network.dropping import Train
from flowface_jax.network.normalised_convolution import NormalisedConvolution, batch_norm

EXPANSION = 4


class Bottleneck(nn.Module):
    """A residual block 1x1, 3x3, 1x1 of He et al. 2016, with its stride at the 3x3 convolution as torchvision has it.

    Images [B,H,W,in] to [B,H',W',4·width]; the shortcut is a 1x1 convolution where size or channels change.
    """

    width: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        def convolve(inputs: jax.Array, index: int, features: int, size: int, stride: int) -> jax.Array:
            kernel_size = (size, size)
            result = Convolution(
                features, kernel_size, stride, use_bias=False, dtype=self.dtype, name=f"convolution_{index}"
            )(inputs)
            return batch_norm(train, self.dtype, f"norm_{index}")(result)

        features = EXPANSION * self.width
        result = nn.relu(convolve(images, 1, self.width, 1, 1))
        result = nn.relu(convolve(result, 2, self.width, 3, self.stride))
        result = convolve(result, 3, features, 1, 1)
        shortcut = images
        if self.stride != 1 or images.shape[-1] != features:
            shortcut = Convolution(
                features, (1, 1), self.stride, use_bias=False, dtype=self.dtype, name="downsample_convolution"
            )(images)
            shortcut = batch_norm(train, self.dtype, "downsample_norm")(shortcut)
        return nn.relu(result + shortcut)


class ResNetTrunk(nn.Module):
    """ResNet without its classifier: images [B,H,W,3] to features averaged over the image, [B,32·width], float32.

    images: RGB with ImageNet's mean taken off and divided by its deviation, as the published weights expect. depths:
    blocks of each stage; (3, 4, 23, 3) is ResNet-101, (3, 4, 6, 3) ResNet-50. width: channels of the first stage.
    """

    depths: tuple[int, ...] = (3, 4, 23, 3)
    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        features = NormalisedConvolution(self.width, (7, 7), 2, dtype=self.dtype, name="stem")(images, train)
        features = nn.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, depth in enumerate(self.depths):
            blocks = _Stage(self.width * 2**stage, depth, 1 if stage == 0 else 2, self.dtype, name=f"stage_{stage + 1}")
            features = blocks(features, train)
        return features.astype(jnp.float32).mean((1, 2))


class _Stage(nn.Module):
    """Blocks of one size; the first has the stride."""

    width: int
    depth: int
    stride: int
    dtype: Any

    @nn.compact
    def __call__(self, images: jax.Array, train: Train) -> jax.Array:
        for block in range(self.depth):
            stride = self.stride if block == 0 else 1
            images = Bottleneck(self.width, stride, self.dtype, name=f"block_{block}")(images, train)
        return images


class DenseRegressor(nn.Module):
    """ResNet and one linear layer: images [B,H,W,3] to `outputs` raw numbers for each of P points, [B,P,outputs].

    images: as for `ResNetTrunk`. point_count: P, the vertices of the one head the network is trained for. The numbers
    are the linear layer's, point after point: what they mean (x, y, log σ) is for the caller to say.
    """

    point_count: int
    outputs: int = 3
    depths: tuple[int, ...] = (3, 4, 23, 3)
    width: int = 64
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        features = ResNetTrunk(self.depths, self.width, self.dtype, name="trunk")(images, train)
        numbers = nn.Dense(self.point_count * self.outputs, name="head")(features)
        return numbers.reshape(-1, self.point_count, self.outputs)
