"""BiSeNetV2 as CoinCheung/BiSeNet publishes it: segmentation networks and the ImageNet backbone."""

from __future__ import annotations

import re
from typing import Final

from flowface_jax.network.bisenet import COARSENING, PRESETS, BiSeNetV2
from flowface_jax.network.weights.table import Layer, Plan, Shapes, find_prefix, normalised, rows_of
from flowface_jax.network.weights.trees import module_shapes

KIND: Final = "bisenet_v2"


def _block(own: str, foreign: str) -> tuple[Layer, ...]:
    """A gather-and-expand block. With stride 1 its widening layer is `dwconv`, with stride 2 `dwconv1`."""
    return (
        *normalised(f"{own}/gather", f"{foreign}.conv1.conv", f"{foreign}.conv1.bn"),
        *normalised(f"{own}/expand", f"{foreign}.dwconv.0", f"{foreign}.dwconv.1"),
        *normalised(f"{own}/filter", f"{foreign}.dwconv2.0", f"{foreign}.dwconv2.1"),
        *normalised(f"{own}/contract", f"{foreign}.conv2.0", f"{foreign}.conv2.1"),
        *normalised(f"{own}/shortcut_filter", f"{foreign}.shortcut.0", f"{foreign}.shortcut.1"),
        *normalised(f"{own}/shortcut", f"{foreign}.shortcut.2", f"{foreign}.shortcut.3"),
    )


def _reducing(own: str, foreign: str) -> tuple[Layer, ...]:
    return normalised(f"{own}/expand", f"{foreign}.dwconv1.0", f"{foreign}.dwconv1.1")


_SEGMENT: Final = "encoder/segment"
_STAGES: Final = (("stage_3", "S3"), ("stage_4", "S4"), ("stage_5", "S5_4"))
_LAYERS: Final = (
    *normalised(
        "encoder/detail/stage_{n}/layer_{i}",
        "detail.S{n}.{i}.conv",
        "detail.S{n}.{i}.bn",
    ),
    *normalised(f"{_SEGMENT}/stem/input", "segment.S1S2.conv.conv", "segment.S1S2.conv.bn"),
    *normalised(f"{_SEGMENT}/stem/narrow", "segment.S1S2.left.0.conv", "segment.S1S2.left.0.bn"),
    *normalised(f"{_SEGMENT}/stem/reduce", "segment.S1S2.left.1.conv", "segment.S1S2.left.1.bn"),
    *normalised(f"{_SEGMENT}/stem/output", "segment.S1S2.fuse.conv", "segment.S1S2.fuse.bn"),
    *(
        layer
        for own, foreign in _STAGES
        for layer in (
            # The first block of each stage halves the resolution; the first line that fits counts.
            *_reducing(f"{_SEGMENT}/{own}/block_0", f"segment.{foreign}.0"),
            *_block(f"{_SEGMENT}/{own}/block_{{i}}", f"segment.{foreign}.{{i}}"),
        )
    ),
    Layer(f"{_SEGMENT}/context/norm", "segment.S5_5.bn"),
    *normalised(f"{_SEGMENT}/context/pooled", "segment.S5_5.conv_gap.conv", "segment.S5_5.conv_gap.bn"),
    *normalised(f"{_SEGMENT}/context/output", "segment.S5_5.conv_last.conv", "segment.S5_5.conv_last.bn"),
    *normalised("encoder/aggregation/detail_filter", "bga.left1.0", "bga.left1.1"),
    Layer("encoder/aggregation/detail_mix", "bga.left1.2"),
    *normalised("encoder/aggregation/detail_reduce", "bga.left2.0", "bga.left2.1"),
    *normalised("encoder/aggregation/context_gate", "bga.right1.0", "bga.right1.1"),
    *normalised("encoder/aggregation/context_filter", "bga.right2.0", "bga.right2.1"),
    Layer("encoder/aggregation/context_mix", "bga.right2.2"),
    *normalised("encoder/aggregation/output", "bga.conv.0", "bga.conv.1"),
    *normalised("encoder/head/hidden", "head.conv.conv", "head.conv.bn"),
)
_SKIPS: Final = (
    (r"(.*\.)?aux\d[\d_]*\..*", "the auxiliary heads serve training for segmentation alone"),
    (r"(.*\.)?head\.conv_out\..*", "the classes of another task are not predicted here"),
)


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for BiSeNetV2 of the published width; the head's hidden layer is left out where the file has none."""
    prefix = find_prefix(shapes, ["detail.S1.0.conv.weight", "segment.S1S2.conv.conv.weight"])
    if prefix is None:
        return None
    own = module_shapes(BiSeNetV2(**PRESETS[KIND]), (1, COARSENING, COARSENING, 3), under="encoder")
    has_head = any(re.match(rf"{re.escape(prefix)}head\.conv\.", name) for name in shapes)
    left_out = "/head/output/" if has_head else "/head/"
    own = {path: shape for path, shape in own.items() if left_out not in path}
    return Plan(KIND, {"head": has_head}, rows_of(own, _LAYERS, prefix), _SKIPS)
