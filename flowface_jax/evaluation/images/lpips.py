"""The learned perceptual image patch similarity (Zhang et al., CVPR 2018), version 0.1, on AlexNet or VGG-16.

Both images go through a network trained for ImageNet; its activations at five depths are scaled to unit length at every
place, their squared differences weighted by channel and averaged over places, and the five numbers added.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.images.pairs import checked_pairs
from flowface_jax.pytrees import pytree_dataclass, static_field

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""ImageNet's means and deviations for values in [−1, 1], as the published metric rounds them."""
_TINY = 1e-10
_AT_ONCE = 4


class ConvolutionLayer(NamedTuple):
    """A convolution and its rectifier. index: of the layer in torchvision's `features`. pool: (size, stride) of the
    pooling before it, or None. tapped: whether its activations count.
    """

    index: int
    features: int
    size: int
    stride: int
    padding: int
    pool: tuple[int, int] | None
    tapped: bool


def _vgg() -> tuple[ConvolutionLayer, ...]:
    layers, index = [], 0
    for block, (features, depth) in enumerate(((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))):
        index += 1 if block else 0
        for place in range(depth):
            pool = (2, 2) if block and not place else None
            layers.append(ConvolutionLayer(index, features, 3, 1, 1, pool, place == depth - 1))
            index += 2
    return tuple(layers)


BACKBONES: dict[str, tuple[ConvolutionLayer, ...]] = {
    "alex": (
        ConvolutionLayer(0, 64, 11, 4, 2, None, True),
        ConvolutionLayer(3, 192, 5, 1, 2, (3, 2), True),
        ConvolutionLayer(6, 384, 3, 1, 1, (3, 2), True),
        ConvolutionLayer(8, 256, 3, 1, 1, None, True),
        ConvolutionLayer(10, 256, 3, 1, 1, None, True),
    ),
    "vgg": _vgg(),
}
SMALLEST = {"alex": 31, "vgg": 16}
"""px: smaller images leave nothing at the deepest layer."""


@pytree_dataclass
class LpipsNetwork:
    """kernels: of each convolution, [h,w,in,out]. biases: [out] each. heads: [channels] each, the weights of the five
    tapped layers. backbone: "alex" or "vgg".
    """

    kernels: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]
    heads: tuple[jax.Array, ...]
    backbone: str = static_field()


def lpips(images: np.ndarray, references: np.ndarray, network: LpipsNetwork) -> np.ndarray:
    """LPIPS [N] of images against references [N,H,W,3] (uint8, or floating in [0,1]); 0 for equal images.

    network: from `load_lpips`. Publications mostly give the AlexNet form; say which. Raises InputError as
    `checked_pairs`, and for images smaller than the network needs.
    """
    if network.backbone not in BACKBONES:
        raise InputError(f"lpips: expected a backbone of {', '.join(BACKBONES)}, found '{network.backbone}'")
    first, second = checked_pairs(images, references, SMALLEST[network.backbone])
    parts = [
        np.asarray(perceptual_distance(first[i : i + _AT_ONCE], second[i : i + _AT_ONCE], network), np.float64)
        for i in range(0, len(first), _AT_ONCE)
    ]
    return np.concatenate(parts)


@jax.jit
def perceptual_distance(images: jax.Array, references: jax.Array, network: LpipsNetwork) -> jax.Array:
    """LPIPS [N] of images against references [N,H,W,3] in [0,1], differentiable; nothing is checked."""
    total = jnp.zeros(images.shape[0])
    for ours, theirs, head in zip(
        activations(images, network), activations(references, network), network.heads, strict=True
    ):
        apart = (_unit_length(ours) - _unit_length(theirs)) ** 2
        total = total + (apart * head).sum(-1).mean((1, 2))
    return total


def activations(images: jax.Array, network: LpipsNetwork) -> list[jax.Array]:
    """What the tapped layers say [N,h,w,channels] about images [N,H,W,3] in [0,1]."""
    x = (2 * images - 1 - jnp.asarray(_SHIFT)) / jnp.asarray(_SCALE)
    tapped = []
    for layer, kernel, bias in zip(BACKBONES[network.backbone], network.kernels, network.biases, strict=True):
        if layer.pool is not None:
            x = _max_pool(x, *layer.pool)
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (layer.stride, layer.stride),
            [(layer.padding, layer.padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        x = jnp.maximum(x + bias, 0)
        if layer.tapped:
            tapped.append(x)
    return tapped


def _max_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    reduce = functools.partial(jax.lax.reduce_window, init_value=-jnp.inf, computation=jax.lax.max, padding="VALID")
    return reduce(x, window_dimensions=(1, size, size, 1), window_strides=(1, stride, stride, 1))


def _unit_length(x: jax.Array) -> jax.Array:
    squared = (x**2).sum(-1, keepdims=True)
    # Where nothing is active the root has no gradient.
    length = jnp.where(squared > 0, jnp.sqrt(jnp.where(squared > 0, squared, 1)), 0)
    return x / (length + _TINY)
