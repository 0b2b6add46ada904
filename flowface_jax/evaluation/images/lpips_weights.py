"""LPIPS' weights from the public files: torchvision's backbone and the five heads of the `lpips` package.

Nothing in the files is executed. Names of tensors: torchvision's `features.I.weight`, `lin0.model.1.weight` of the
heads' files (`lpips/weights/v0.1/alex.pth`, `vgg.pth`), and `net.sliceN.I.weight` beside the heads' in a file of the
package's whole module.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from flowface_jax.errors import InputError
from flowface_jax.evaluation.images.lpips import BACKBONES, ConvolutionLayer, LpipsNetwork
from flowface_jax.foreign.checkpoint import read_checkpoint

_BACKBONE = re.compile(r"(?:.*\.)?(?:features|slice\d+)\.(\d+)\.(weight|bias)")
_HEAD = re.compile(r"(?:.*\.)?lins?\.?(\d)\.model\.\d\.weight")


def load_lpips(backbone: str | os.PathLike[str], heads: str | os.PathLike[str] | None = None) -> LpipsNetwork:
    """The network from checkpoints (torch.save or safetensors); AlexNet or VGG-16 by the tensors' shapes.

    backbone: torchvision's `alexnet` or `vgg16` for ImageNet, or the whole metric's state. heads: the `lpips` package's
    file for the same backbone; None where `backbone` holds them. Raises InputError for files that cannot be read, are
    of neither network, or do not belong together.
    """
    tensors = read_checkpoint(backbone)
    convolutions = _numbered_layers(tensors)
    name = _recognised(convolutions, str(backbone))
    layers = BACKBONES[name]
    source, weights = (backbone, tensors) if heads is None else (heads, read_checkpoint(heads))
    kernels = tuple(convolutions[layer.index]["weight"].transpose(2, 3, 1, 0) for layer in layers)
    biases = tuple(convolutions[layer.index]["bias"] for layer in layers)
    return LpipsNetwork(_floats(kernels, backbone), _floats(biases, backbone), _heads(weights, layers, source), name)


def _numbered_layers(tensors: Mapping[str, np.ndarray]) -> dict[int, dict[str, np.ndarray]]:
    layers: dict[int, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        found = _BACKBONE.fullmatch(name)
        if found:
            layers.setdefault(int(found.group(1)), {})[found.group(2)] = tensor
    return layers


def _recognised(convolutions: Mapping[int, Mapping[str, np.ndarray]], path: str) -> str:
    for name, layers in BACKBONES.items():
        inputs = (3, *(layer.features for layer in layers[:-1]))
        if set(convolutions) == {layer.index for layer in layers} and all(
            _fits(layer, count, convolutions[layer.index]) for layer, count in zip(layers, inputs, strict=True)
        ):
            return name
    raise InputError(
        f"{path} is neither AlexNet nor VGG-16 as torchvision publishes them (convolutions found: "
        f"{sorted(convolutions) or 'none'}); give that checkpoint"
    )


def _fits(layer: ConvolutionLayer, inputs: int, found: Mapping[str, np.ndarray]) -> bool:
    wanted = {"weight": (layer.features, inputs, layer.size, layer.size), "bias": (layer.features,)}
    return {name: tuple(tensor.shape) for name, tensor in found.items()} == wanted


def _heads(
    tensors: Mapping[str, np.ndarray], layers: tuple[ConvolutionLayer, ...], path: str | os.PathLike[str]
) -> tuple:
    found = {int(match.group(1)): tensor for name, tensor in tensors.items() if (match := _HEAD.fullmatch(name))}
    wanted = {place: (1, layer.features, 1, 1) for place, layer in enumerate(one for one in layers if one.tapped)}
    shapes = {place: tuple(tensor.shape) for place, tensor in found.items()}
    if shapes != wanted:
        raise InputError(
            f"{path}: expected the five heads of LPIPS for this backbone ({[s[1] for s in wanted.values()]} channels), "
            f"found {[s[1] for _, s in sorted(shapes.items()) if len(s) > 1] or 'none'}; give the lpips package's file"
        )
    return _floats(tuple(found[place].reshape(-1) for place in sorted(found)), path)


def _floats(arrays: tuple[np.ndarray, ...], path: str | os.PathLike[str]) -> tuple:
    if not all(np.isfinite(array).all() for array in arrays):
        raise InputError(f"{path} holds values that are no numbers; fetch it again")
    return tuple(jnp.asarray(array, jnp.float32) for array in arrays)
