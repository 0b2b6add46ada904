"""Which part of a face each pixel shows: the BiSeNet (Yu et al., ECCV 2018) of face-parsing.PyTorch, CelebAMask-HQ.

It is the first BiSeNet on a ResNet-18, whose features an eighth of the image's size stand for its spatial path; the
encoder in `network.bisenet` is the second. It is only ever run as published, so its checkpoint (79999_iter.pth) is
used as it is: names are those of the file, norms are folded into the convolutions before them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.foreign import read_checkpoint
from flowface_jax.network.alignment_network import IMAGE_MEAN, IMAGE_STD
from flowface_jax.network.convolution import convolve

CLASSES: Final = 19
_EPSILON: Final = 1e-5
_LAST: Final = "conv_out.conv_out.weight"
Layer = tuple[jax.Array, jax.Array]
"""Kernel [h,w,in,out] and bias [out]."""
Run = Callable[..., jax.Array]
"""The layer of a name on features [B,H,W,in], with a stride."""


@dataclasses.dataclass(frozen=True, eq=False)
class FaceParser:
    """layers: by their names in the checkpoint."""

    layers: dict[str, Layer]

    def labels(self, image: np.ndarray) -> np.ndarray:
        """The class [H,W] uint8 of each pixel of an image [H,W,3] RGB uint8, as CelebAMask-HQ numbers them, 0 to 18.

        It expects heads that fill much of the picture, as in its training pictures.
        """
        return np.asarray(_labels(self.layers, jnp.asarray(image)))


def load_face_parser(path: str | os.PathLike[str]) -> FaceParser:
    """The network with a checkpoint's weights. Raises InputError where it is another network's."""
    arrays = read_checkpoint(path)
    missing = [name for name in _published() if name not in arrays]
    if missing:
        raise InputError(
            f"{path}: expected the weights of face-parsing.PyTorch (79999_iter.pth), which hold {missing[0]}; it has "
            "not"
        )
    if arrays[_LAST].shape[0] != CLASSES:
        raise InputError(f"{path}: expected {CLASSES} classes, found {arrays[_LAST].shape[0]}; take 79999_iter.pth")
    return FaceParser({name: _folded(arrays, name, norm) for name, norm in _convolutions().items()})


def _convolutions() -> dict[str, str | None]:
    """Each convolution that is run, and the norm after it."""
    named: dict[str, str | None] = {"cp.resnet.conv1": "cp.resnet.bn1"}
    for stage in range(1, 5):
        for block in range(2):
            place = f"cp.resnet.layer{stage}.{block}"
            named |= {f"{place}.conv{k}": f"{place}.bn{k}" for k in (1, 2)}
        if stage > 1:
            named[f"cp.resnet.layer{stage}.0.downsample.0"] = f"cp.resnet.layer{stage}.0.downsample.1"
    for arm in ("cp.arm16", "cp.arm32"):
        named |= {f"{arm}.conv.conv": f"{arm}.conv.bn", f"{arm}.conv_atten": f"{arm}.bn_atten"}
    for place in ("cp.conv_head32", "cp.conv_head16", "cp.conv_avg", "ffm.convblk", "conv_out.conv"):
        named[f"{place}.conv"] = f"{place}.bn"
    return named | {"ffm.conv1": None, "ffm.conv2": None, _LAST.removesuffix(".weight"): None}


def _published() -> list[str]:
    """All entries of the checkpoint that are needed."""
    parts = ("weight", "bias", "running_mean", "running_var")
    return [f"{name}.weight" for name in _convolutions()] + [
        f"{norm}.{part}" for norm in _convolutions().values() if norm for part in parts
    ]


def _folded(arrays: dict[str, np.ndarray], name: str, norm: str | None) -> Layer:
    kernel = np.asarray(arrays[f"{name}.weight"], np.float64).transpose(2, 3, 1, 0)
    bias = np.zeros(kernel.shape[-1])
    if norm:
        weight, shift, mean, variance = (
            np.asarray(arrays[f"{norm}.{part}"], np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + _EPSILON)
        kernel, bias = kernel * scale, shift - mean * scale
    return jnp.asarray(kernel, jnp.float32), jnp.asarray(bias, jnp.float32)


@jax.jit
def _labels(layers: dict[str, Layer], image: jax.Array) -> jax.Array:
    scores = class_scores(layers, image)
    return scores.argmax(-1).astype(jnp.uint8)


def class_scores(layers: dict[str, Layer], image: jax.Array) -> jax.Array:
    """Scores [H,W,19] of an image [H,W,3] RGB uint8."""

    def run(name: str, inputs: jax.Array, stride: int = 1) -> jax.Array:
        kernel, bias = layers[name]
        half = kernel.shape[0] // 2
        return convolve(inputs, kernel, stride, (half, half)) + bias

    normal = (image.astype(jnp.float32) / 255.0 - jnp.asarray(IMAGE_MEAN)) / jnp.asarray(IMAGE_STD)
    eighth, sixteenth, last = _resnet(run, normal[None])
    pooled = jax.nn.relu(run("cp.conv_avg.conv", last.mean((1, 2), keepdims=True)))
    deep = _repeated(_attended(run, "cp.arm32", last) + pooled, sixteenth.shape)
    middle = _attended(run, "cp.arm16", sixteenth) + jax.nn.relu(run("cp.conv_head32.conv", deep))
    context = jax.nn.relu(run("cp.conv_head16.conv", _repeated(middle, eighth.shape)))
    fused = jax.nn.relu(run("ffm.convblk.conv", jnp.concatenate([eighth, context], axis=-1)))
    gate = jax.nn.relu(run("ffm.conv1", fused.mean((1, 2), keepdims=True)))
    fused = fused + fused * jax.nn.sigmoid(run("ffm.conv2", gate))
    scores = run("conv_out.conv_out", jax.nn.relu(run("conv_out.conv.conv", fused)))[0]
    rows, columns = (_stretch(scores.shape[axis], image.shape[axis]) for axis in (0, 1))
    return jnp.einsum("Hh,hwd,Ww->HWd", rows, scores, columns)


def _resnet(run: Run, images: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """ResNet-18's features an eighth, a sixteenth and a 32nd of the image's size."""
    features = jax.nn.relu(run("cp.resnet.conv1", images, 2))
    features = jax.lax.reduce_window(
        features, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    results = []
    for stage in range(1, 5):
        for block in range(2):
            place, stride = f"cp.resnet.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            result = run(f"{place}.conv2", jax.nn.relu(run(f"{place}.conv1", features, stride)))
            shortcut = run(f"{place}.downsample.0", features, stride) if stride > 1 else features
            features = jax.nn.relu(result + shortcut)
        results.append(features)
    return results[1], results[2], results[3]


def _attended(run: Run, place: str, features: jax.Array) -> jax.Array:
    features = jax.nn.relu(run(f"{place}.conv.conv", features))
    return features * jax.nn.sigmoid(run(f"{place}.conv_atten", features.mean((1, 2), keepdims=True)))


def _repeated(features: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Features [B,h,w,D] enlarged to the height and width of a shape by repeating the cells that cover them."""
    for axis in (1, 2):
        source = np.arange(shape[axis]) * features.shape[axis] // shape[axis]
        features = features.take(source, axis=axis)
    return features


def _stretch(cells: int, side: int) -> np.ndarray:
    """The matrix [side, cells] that enlarges linearly, the outermost cells' centres on the outermost pixels'."""
    place = np.linspace(0, cells - 1, side) if side > 1 else np.zeros(1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(cells))).astype(np.float32)
