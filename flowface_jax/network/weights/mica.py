"""MICA (mica.tar): ArcFace, the mapping network, and the part of FLAME that its checkpoint carries."""

from __future__ import annotations

import re
from typing import Final

import numpy as np

from flowface_jax.network.mica import Mica
from flowface_jax.network.weights.layouts import SAME, Layout, Shape, flattened_image
from flowface_jax.network.weights.table import Layer, Plan, Row, Shapes, count_of, find_prefix, rows_of
from flowface_jax.network.weights.trees import module_shapes

IMAGE_SIDE: Final = 112
_COARSENING: Final = 16
_STAGES: Final = (1, 2, 3, 4)
_BLOCK: Final = "arcface/stage_{n}/block_{i}"
_FLATTENED: Final = {"kernel": flattened_image(IMAGE_SIDE // _COARSENING)}
_LAYERS: Final = (
    Layer("arcface/stem/convolution", "arcface.conv1"),
    Layer("arcface/stem/norm", "arcface.bn1"),
    Layer("arcface/stem/prelu", "arcface.prelu"),
    Layer(f"{_BLOCK}/norm_{{k}}", "arcface.layer{n}.{i}.bn{k}"),
    Layer(f"{_BLOCK}/convolution_{{k}}", "arcface.layer{n}.{i}.conv{k}"),
    Layer(f"{_BLOCK}/prelu", "arcface.layer{n}.{i}.prelu"),
    Layer(f"{_BLOCK}/downsample_convolution", "arcface.layer{n}.{i}.downsample.0"),
    Layer(f"{_BLOCK}/downsample_norm", "arcface.layer{n}.{i}.downsample.1"),
    Layer("arcface/norm", "arcface.bn2"),
    Layer("arcface/linear", "arcface.fc", _FLATTENED),
    Layer("arcface/features_norm", "arcface.features"),
    Layer("mapping/hidden_{i}", "flameModel.regressor.network.{i}"),
    Layer("mapping/output", "flameModel.regressor.output"),
)
_TEMPLATE: Final = "flameModel.generator.v_template"
_BASIS: Final = "flameModel.generator.shapedirs"
_SKIPS: Final = (
    (r"flameModel\.generator\..*", "the head model's; the neutral head needs template and shape basis alone"),
)


def recognise(shapes: Shapes) -> Plan | None:
    """The plan for MICA; depths and widths of its ArcFace are read from the tensors."""
    prefix = find_prefix(shapes, ["arcface.conv1.weight", "arcface.fc.weight", "flameModel.regressor.output.weight"])
    if prefix is None:
        return None
    depths = tuple(count_of(shapes, rf"{re.escape(prefix)}arcface\.layer{n}\.(\d+)\.") for n in _STAGES)
    widths = tuple(shapes.get(f"{prefix}arcface.layer{n}.0.conv1.weight", (0,))[0] for n in _STAGES)
    code_size, hidden_size = shapes[f"{prefix}flameModel.regressor.output.weight"]
    module = Mica(depths, widths, hidden_size, code_size)
    rows = rows_of(module_shapes(module, (1, IMAGE_SIDE, IMAGE_SIDE, 3)), _LAYERS, prefix)
    config = {
        "depths": list(depths),
        "widths": list(widths),
        "hidden_size": hidden_size,
        "code_size": code_size,
    }
    skips = tuple((re.escape(prefix) + pattern, reason) for pattern, reason in _SKIPS)
    return Plan("mica", config, rows + _flame_rows(shapes, prefix, code_size), skips)


def _flame_rows(shapes: Shapes, prefix: str, code_size: int) -> tuple[Row, ...]:
    """Template and identity basis, where the checkpoint has both in usable shapes."""
    template, basis = shapes.get(prefix + _TEMPLATE), shapes.get(prefix + _BASIS)
    if template is None or basis is None or len(basis) != 3 or basis[:2] != template or basis[2] < code_size:
        return ()
    return (
        Row("flame/template", template, prefix + _TEMPLATE, SAME),
        Row("flame/identity_basis", (*template, code_size), prefix + _BASIS, _first_columns(basis[2])),
    )


def _first_columns(count: int) -> Layout:
    """The first columns of a basis of `count`: those of identity, which FLAME has before those of expression."""

    def convert(tensor: np.ndarray, own: Shape) -> np.ndarray:
        return tensor[..., : own[-1]]

    return Layout(lambda own: (*own[:-1], count), convert)
