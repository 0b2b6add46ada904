"""S3FD as the face-alignment package publishes it (s3fd-619a316812.pth)."""

from __future__ import annotations

from typing import Final

from flowface_jax.network.s3fd import S3FD, SMALLEST_SIDE
from flowface_jax.network.weights.table import Layer, Plan, Shapes, find_prefix, rows_of
from flowface_jax.network.weights.trees import module_shapes

_LEVELS: Final = ("conv3_3_norm", "conv4_3_norm", "conv5_3_norm", "fc7", "conv6_2", "conv7_2")
_LAYERS: Final = (
    *(Layer(f"{level}_{head}", f"{level}_mbox_{head}") for level in _LEVELS for head in ("conf", "loc")),
    *(Layer(level, level) for level in _LEVELS[:3]),
    Layer("conv{n}_{i}", "conv{n}_{i}"),
    Layer("fc{n}", "fc{n}"),
)


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for S3FD."""
    prefix = find_prefix(shapes, ["conv3_3_norm_mbox_conf.weight", "fc6.weight"])
    if prefix is None:
        return None
    side = SMALLEST_SIDE
    return Plan("s3fd", {}, rows_of(module_shapes(S3FD(), (1, side, side, 3)), _LAYERS, prefix), ())
