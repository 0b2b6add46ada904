"""torchvision's ResNet-101, trained on ImageNet, as the trunk of the direct regressor."""

from __future__ import annotations

import re
from typing import Final

from flowface_jax.network.resnet import ResNetTrunk
from flowface_jax.network.weights.table import Layer, Plan, Shapes, UnsuitableError, count_of, find_prefix, rows_of
from flowface_jax.network.weights.trees import module_shapes

DEPTHS: Final = (3, 4, 23, 3)
_BLOCK: Final = "trunk/stage_{n}/block_{i}"
_LAYERS: Final = (
    Layer("trunk/stem/convolution", "conv1"),
    Layer("trunk/stem/norm", "bn1"),
    Layer(f"{_BLOCK}/convolution_{{k}}", "layer{n}.{i}.conv{k}"),
    Layer(f"{_BLOCK}/norm_{{k}}", "layer{n}.{i}.bn{k}"),
    Layer(f"{_BLOCK}/downsample_convolution", "layer{n}.{i}.downsample.0"),
    Layer(f"{_BLOCK}/downsample_norm", "layer{n}.{i}.downsample.1"),
)
_SKIPS: Final = ((r"(.*\.)?fc\.(weight|bias)", "ImageNet's classes are not predicted here"),)


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for ResNet-101's trunk. Raises UnsuitableError for a ResNet of another depth or width."""
    prefix = find_prefix(shapes, ["conv1.weight", "layer1.0.conv1.weight", "layer4.0.conv2.weight"])
    if prefix is None or f"{prefix}prelu.weight" in shapes:
        return None
    depths = tuple(count_of(shapes, rf"{re.escape(prefix)}layer{n}\.(\d+)\.") for n in (1, 2, 3, 4))
    width = shapes[f"{prefix}conv1.weight"][0]
    inner = shapes[f"{prefix}layer1.0.conv1.weight"]
    if depths != DEPTHS or width != 64 or inner != (64, 64, 1, 1):
        raise UnsuitableError(f"a ResNet of depths {depths} and width {width}; only ResNet-101 is used here")
    rows = rows_of(module_shapes(ResNetTrunk(), (1, 32, 32, 3), under="trunk"), _LAYERS, prefix)
    return Plan("resnet101", {"depths": list(DEPTHS), "width": width}, rows, _SKIPS)
