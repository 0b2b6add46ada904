"""PRNet (Feng et al. 2018): an image in, a map of the same size out, by an encoder and a decoder.

In the paper's comparison (section 4.5) the map holds, for each texel of the head's UV square, where that point is in
the image and how sure that is: x, y, log σ.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.network.convolution import Convolution
from flowface_jax.network.dropping import Train
from flowface_jax.network.normalised_convolution import batch_norm

FINEST = 16
"""Channels at the full size, as published."""
DOUBLINGS = 5
"""Halvings of the size on the way in, each with twice the channels; as many doublings on the way out."""

Activation = Literal["none", "sigmoid"]


class PRNet(nn.Module):
    """Images [B,D,D,3], RGB in [0, 1], to maps [B,D,D,outputs]; D a multiple of 32 px (published: 256).

    final_activation: on the last layer: "sigmoid" as published, where the map holds positions divided by 1.1·D, or
    "none", which leaves x, y and log σ unbounded. finest: channels at the full size, 16 as published. Raises InputError
    for another size of image.

    Layers, widths, padding and the absence of biases are the published ones, also that the last three layers are
    normalised and have as many channels as the map. Ours: "none" as the default; normalisation with the momentum and
    epsilon of the other networks here (0.9 and 1e-5; published 0.999 and 1e-3); the map is as large as the image at any
    size.
    """

    outputs: int = 3
    final_activation: Activation = "none"
    finest: int = FINEST
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        coarsening = 2**DOUBLINGS
        if images.ndim != 4 or images.shape[1] % coarsening or images.shape[2] % coarsening:
            raise InputError(
                f"expected images [B,H,W,3] with sides that are multiples of {coarsening} px for PRNet, found "
                f"{list(images.shape)}: resize the crops"
            )
        if self.final_activation not in ("none", "sigmoid"):
            raise InputError(f'expected final_activation "none" or "sigmoid", found {self.final_activation!r}')
        features = PRNetEncoder(self.finest, self.dtype, name="encoder")(images, train)
        maps = PRNetDecoder(self.finest, self.outputs, self.dtype, name="decoder")(features, train)
        return jax.nn.sigmoid(maps) if self.final_activation == "sigmoid" else maps


class PRNetEncoder(nn.Module):
    """Images [B,D,D,3] to features [B,D/32,D/32,32·finest]: a 4x4 convolution and five pairs of residual blocks."""

    finest: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        features = _convolve(images, self.finest, 4, 1, self.dtype, "stem_convolution")
        features = nn.relu(batch_norm(train, self.dtype, "stem_norm")(features))
        for stage in range(1, DOUBLINGS + 1):
            for block, stride in enumerate((2, 1)):
                name = f"stage_{stage}_block_{block}"
                features = ResidualBlock(self.finest * 2**stage, stride, self.dtype, name=name)(features, train)
        return features


class ResidualBlock(nn.Module):
    """1x1 to half the channels, 4x4 with the stride, 1x1 to all; normalised and rectified after adding the shortcut.

    [B,H,W,in] to [B,H/stride,W/stride,features]; the shortcut is a 1x1 convolution where size or channels change.
    """

    features: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        shortcut = images
        if self.stride != 1 or images.shape[-1] != self.features:
            shortcut = _convolve(images, self.features, 1, self.stride, self.dtype, "shortcut")
        result = _convolve(images, self.features // 2, 1, 1, self.dtype, "convolution_1")
        result = nn.relu(batch_norm(train, self.dtype, "norm_1")(result))
        result = _convolve(result, self.features // 2, 4, self.stride, self.dtype, "convolution_2")
        result = nn.relu(batch_norm(train, self.dtype, "norm_2")(result))
        result = _convolve(result, self.features, 1, 1, self.dtype, "convolution_3")
        return nn.relu(batch_norm(train, self.dtype, "norm_3")(result + shortcut))


class PRNetDecoder(nn.Module):
    """Features [B,h,w,32·finest] to maps [B,32·h,32·w,outputs], by 17 transposed 4x4 convolutions.

    Each is normalised, and rectified but for the last.
    """

    finest: int
    outputs: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array, train: Train = False) -> jax.Array:
        layers = _decoder_layers(self.finest, self.outputs)
        for index, (width, stride) in enumerate(layers):
            features = TransposedConvolution(width, stride, self.dtype, name=f"convolution_{index}")(features)
            features = batch_norm(train, self.dtype, f"norm_{index}")(features)
            if index < len(layers) - 1:
                features = nn.relu(features)
        return features


def _decoder_layers(finest: int, outputs: int) -> list[tuple[int, int]]:
    """Channels and stride of each layer; the coarse sizes have three layers each, the two finest two."""
    layers = [(finest * 2**DOUBLINGS, 1)]
    for stage in reversed(range(DOUBLINGS)):
        layers += [(finest * 2**stage, stride) for stride in ((2, 1, 1) if stage > 1 else (2, 1))]
    return [*layers, (outputs, 1), (outputs, 1), (outputs, 1)]


class TransposedConvolution(nn.Module):
    """A transposed 4x4 convolution without bias: [B,H,W,in] to [B,stride·H,stride·W,features].

    Parameter `kernel` [4,4,in,features]. stride: 1 or 2. The kernel is laid over the result as it is stored, not turned
    about as TensorFlow and PyTorch do.
    """

    features: int
    stride: int = 1
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        shape = (4, 4, images.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32).astype(self.dtype)
        return transposed_convolve(images.astype(self.dtype), kernel, self.stride)


def transposed_convolve(images: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """What `jax.lax.conv_transpose` gives for a 4x4 kernel [4,4,in,out], stride 1 or 2 and padding "SAME".

    At stride 2, each of the four phases of the result is an ordinary convolution with a quarter of the kernel: XLA's
    gradient of the dilated convolution takes ten times as long on CPUs.
    """
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1, 1), dimension_numbers=("NHWC", "HWIO", "NHWC"))
    if stride == 1:
        return convolve(images, kernel, padding=((2, 1), (2, 1)))
    phases = [
        jnp.stack(
            [
                convolve(images, kernel[row::2, column::2], padding=((1 - row, row), (1 - column, column)))
                for column in (0, 1)
            ],
            axis=3,
        )
        for row in (0, 1)
    ]
    batch, height, width = images.shape[:3]
    return jnp.stack(phases, axis=2).reshape(batch, 2 * height, 2 * width, kernel.shape[-1])


def _convolve(images: jax.Array, features: int, size: int, stride: int, dtype: Any, name: str) -> jax.Array:
    """A convolution without bias that keeps the size at stride 1 and halves it at stride 2, as TensorFlow pads it."""
    if size == 4 and stride == 1:
        # Four taps cannot be centred: one row of zeros before and two after.
        images = jnp.pad(images, ((0, 0), (0, 1), (0, 1), (0, 0)))
    padding = (1, 1) if size == 4 else (0, 0)
    return Convolution(features, (size, size), stride, padding, use_bias=False, dtype=dtype, name=name)(images)
