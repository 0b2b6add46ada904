"""BiSeNet-v2 as the encoder of the image: the convolutional backbone of the paper's table 4 (Yu et al. 2020).

A wide shallow branch keeps detail, a narrow deep one gathers context, and each gates the other; the features are an
eighth of the image's size, 64x64 for the paper's 512 px, without any pooling of ours.

Names in the checkpoints of github.com/CoinCheung/BiSeNet and here; a NormalisedConvolution is `conv` and `bn`, or two
numbers in a row, there, and `convolution` and `norm` here:

    detail.S{1..3}.{0..}          detail/stage_{1..3}/layer_{0..}
    segment.S1S2.conv             segment/stem/input
    segment.S1S2.left.{0,1}       segment/stem/{narrow,reduce}
    segment.S1S2.fuse             segment/stem/output
    segment.{S3,S4,S5_4}.{0..}    segment/stage_{3,4,5}/block_{0..}
      .conv1                        /gather
      .dwconv.0-1, .dwconv1.0-1     /expand (depthwise: one kernel [3,3,1,in·expansion])
      .dwconv2.0-1                  /filter (depthwise; only where the stride is 2)
      .conv2.0-1                    /contract
      .shortcut.0-1, .2-3           /shortcut_filter (depthwise), /shortcut (only where the stride is 2)
    segment.S5_5.bn               segment/context/norm
    segment.S5_5.conv_gap         segment/context/pooled
    segment.S5_5.conv_last        segment/context/output
    bga.left1.0-1, .2             aggregation/detail_filter (depthwise), /detail_mix (no norm)
    bga.left2.0-1                 aggregation/detail_reduce
    bga.right1.0-1                aggregation/context_gate
    bga.right2.0-1, .2            aggregation/context_filter (depthwise), /context_mix (no norm)
    bga.conv.0-1                  aggregation/output
    head.conv                     head/hidden
    head.conv_out.1               head/output (no norm; of another width unless retrained)
"""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from flowface_jax.errors import InputError
from flowface_jax.network.convolution import Convolution
from flowface_jax.network.depthwise import DepthwiseConvolution
from flowface_jax.network.dropping import Dropout, Train
from flowface_jax.network.normalised_convolution import NormalisedConvolution, batch_norm

PRESETS: dict[str, dict[str, Any]] = {
    "bisenet_v2": {"width": 1.0, "expansion": 6, "head_width": 1024},
    "bisenet_v2_wide": {"width": 2.0, "expansion": 8, "head_width": 2048},
}
"""Fields of `BiSeNetV2`: as published (3,470,352 parameters with 128 features) and as large as the paper's row.

The paper's 17.6 M in total leave 14.05 M for the encoder, without a word on how it was widened. "bisenet_v2_wide" is
the nearest of the variants we counted that have one factor on all widths: twice the published, the hidden layer of the
head included, with an expansion of 8 instead of 6 and the published depths. That makes 14,048,416 parameters,
17,595,425 with the update part; with the published expansion it would be 13,497,248 and 17,044,257.
"""

COARSENING = 32
"""How much smaller the deepest features are than the image."""

_DETAIL = ((64, 2), (64, 3), (128, 3))
"""Channels and layers of each stage of the detail branch, before widening."""
_STEM = 16
_SEMANTIC = {3: (32, 2), 4: (64, 2), 5: (128, 4)}
"""Channels and blocks of each later stage of the semantic branch, before widening."""
_MERGED = 128
"""Channels in which the two branches meet, before widening."""


class BiSeNetV2(nn.Module):
    """Images [B,H,W,3] to features [B,H/8,W/8,features]; H and W multiples of 32 px.

    images: RGB with ImageNet's mean and deviation taken out. width: factor on all channels of the two branches and of
    where they meet. expansion: of the gather-and-expand blocks. head_width: channels of the head's 3x3 convolution; its
    1x1 convolution gives the features in place of class scores. head_dropout: between the two, in training (needs the
    "dropout" key). The published network's four auxiliary heads are not built: the alignment loss has no term for inner
    layers. Raises InputError for another size of image.
    """

    width: float = 1.0
    expansion: int = 6
    head_width: int = 1024
    head_dropout: float = 0.1
    features: int = 128
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        if images.ndim != 4 or images.shape[1] % COARSENING or images.shape[2] % COARSENING:
            raise InputError(
                f"expected images [B,H,W,3] with sides that are multiples of {COARSENING} px for BiSeNet-v2, found "
                f"{list(images.shape)}: resize the crops"
            )
        detail = DetailBranch(self.width, self.dtype, name="detail")(images, train)
        context = SemanticBranch(self.width, self.expansion, self.dtype, name="segment")(images, train)
        merged = GuidedAggregation(self.dtype, name="aggregation")(detail, context, train)
        return Head(self.head_width, self.features, self.head_dropout, self.dtype, name="head")(merged, train)


class DetailBranch(nn.Module):
    """Images [B,H,W,3] to [B,H/8,W/8,128·width], by plain 3x3 convolutions."""

    width: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        for stage, (channels, layers) in enumerate(_DETAIL, start=1):
            images = _DetailStage(round(channels * self.width), layers, self.dtype, name=f"stage_{stage}")(
                images, train
            )
        return images


class _DetailStage(nn.Module):
    features: int
    layers: int
    dtype: Any

    @nn.compact
    def __call__(self, images: jax.Array, train: Train) -> jax.Array:
        for layer in range(self.layers):
            stride = 2 if layer == 0 else 1
            block = NormalisedConvolution(self.features, stride=stride, dtype=self.dtype, name=f"layer_{layer}")
            images = block(images, train)
        return images


class SemanticBranch(nn.Module):
    """Images [B,H,W,3] to [B,H/32,W/32,128·width]: stem, gather-and-expand stages, context embedding."""

    width: float
    expansion: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        features = Stem(round(_STEM * self.width), self.dtype, name="stem")(images, train)
        for stage, (channels, depth) in _SEMANTIC.items():
            blocks = _SemanticStage(
                round(channels * self.width), depth, self.expansion, self.dtype, name=f"stage_{stage}"
            )
            features = blocks(features, train)
        return ContextEmbedding(self.dtype, name="context")(features, train)


class _SemanticStage(nn.Module):
    features: int
    depth: int
    expansion: int
    dtype: Any

    @nn.compact
    def __call__(self, images: jax.Array, train: Train) -> jax.Array:
        for block in range(self.depth):
            stride = 2 if block == 0 else 1
            layer = GatherAndExpand(self.features, stride, self.expansion, self.dtype, name=f"block_{block}")
            images = layer(images, train)
        return images


class Stem(nn.Module):
    """Images [B,H,W,3] to [B,H/4,W/4,features]: reduced by a convolution and by pooling side by side."""

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        features = NormalisedConvolution(self.features, stride=2, dtype=self.dtype, name="input")(images, train)
        convolved = NormalisedConvolution(self.features // 2, (1, 1), dtype=self.dtype, name="narrow")(features, train)
        convolved = NormalisedConvolution(self.features, stride=2, dtype=self.dtype, name="reduce")(convolved, train)
        pooled = nn.max_pool(features, (3, 3), (2, 2), ((1, 1), (1, 1)))
        both = jnp.concatenate([convolved, pooled], axis=-1)
        return NormalisedConvolution(self.features, dtype=self.dtype, name="output")(both, train)


class GatherAndExpand(nn.Module):
    """A residual block that widens in a depthwise convolution: [B,H,W,in] to [B,H/stride,W/stride,features].

    With stride 1 `features` must be the channels that come in, with stride 2 the shortcut is reduced as well.
    """

    features: int
    stride: int
    expansion: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        reduced = self.stride == 2
        result = NormalisedConvolution(images.shape[-1], dtype=self.dtype, name="gather")(images, train)
        expand = NormalisedDepthwise(self.stride, self.expansion, not reduced, self.dtype, name="expand")
        result = expand(result, train)
        shortcut = images
        if reduced:
            result = NormalisedDepthwise(rectified=True, dtype=self.dtype, name="filter")(result, train)
            shortcut = NormalisedDepthwise(self.stride, dtype=self.dtype, name="shortcut_filter")(images, train)
            shortcut = NormalisedConvolution(self.features, (1, 1), rectified=False, dtype=self.dtype, name="shortcut")(
                shortcut, train
            )
        result = NormalisedConvolution(self.features, (1, 1), rectified=False, dtype=self.dtype, name="contract")(
            result, train
        )
        return nn.relu(result + shortcut)


class NormalisedDepthwise(nn.Module):
    """`convolution` (depthwise 3x3, no bias), `norm` and, if `rectified`, ReLU; as `DepthwiseConvolution` otherwise."""

    stride: int = 1
    multiplier: int = 1
    rectified: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        result = DepthwiseConvolution(
            self.stride, self.multiplier, use_bias=False, dtype=self.dtype, name="convolution"
        )(images)
        result = batch_norm(train, self.dtype, "norm")(result)
        return nn.relu(result) if self.rectified else result


class ContextEmbedding(nn.Module):
    """Adds what the whole image looks like to every place: [B,h,w,C] to [B,h,w,C]."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array, train: Train = False) -> jax.Array:
        channels = features.shape[-1]
        pooled = features.mean((1, 2), keepdims=True)
        pooled = batch_norm(train, self.dtype, "norm")(pooled)
        pooled = NormalisedConvolution(channels, (1, 1), dtype=self.dtype, name="pooled")(pooled, train)
        return NormalisedConvolution(channels, dtype=self.dtype, name="output")(features + pooled, train)


class GuidedAggregation(nn.Module):
    """Detail [B,h,w,C] and context [B,h/4,w/4,C], each gated by the other at its own size: [B,h,w,C]."""

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, detail: jax.Array, context: jax.Array, train: Train = False) -> jax.Array:
        channels = detail.shape[-1]

        def mixed(features: jax.Array, branch: str) -> jax.Array:
            filtered = NormalisedDepthwise(dtype=self.dtype, name=f"{branch}_filter")(features, train)
            return Convolution(channels, (1, 1), use_bias=False, dtype=self.dtype, name=f"{branch}_mix")(filtered)

        def convolved(features: jax.Array, stride: int, name: str) -> jax.Array:
            layer = NormalisedConvolution(channels, stride=stride, rectified=False, dtype=self.dtype, name=name)
            return layer(features, train)

        reduced = nn.avg_pool(convolved(detail, 2, "detail_reduce"), (3, 3), (2, 2), ((1, 1), (1, 1)))
        fine = mixed(detail, "detail") * jax.nn.sigmoid(_enlarge(convolved(context, 1, "context_gate")))
        coarse = reduced * jax.nn.sigmoid(mixed(context, "context"))
        return NormalisedConvolution(channels, dtype=self.dtype, name="output")(fine + _enlarge(coarse), train)


class Head(nn.Module):
    """A wide 3x3 convolution, dropout, and a 1x1 convolution: [B,h,w,C] to [B,h,w,features]."""

    width: int
    features: int
    dropout: float
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: jax.Array, train: Train = False) -> jax.Array:
        hidden = NormalisedConvolution(self.width, dtype=self.dtype, name="hidden")(images, train)
        hidden = Dropout(self.dropout)(hidden, train)
        return Convolution(self.features, (1, 1), dtype=self.dtype, name="output")(hidden)


def _enlarge(features: jax.Array) -> jax.Array:
    """Four times the size [B,4·h,4·w,C], each cell repeated; written so that the gradient is a sum, not a scatter."""
    batch, height, width, channels = features.shape
    repeated = jnp.broadcast_to(features[:, :, None, :, None], (batch, height, 4, width, 4, channels))
    return repeated.reshape(batch, 4 * height, 4 * width, channels)
