"""The face parser takes its published checkpoint and nothing else (tests/peers compares its answers)."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.foreign.torch_writer import torch_bytes
from flowface_jax.network.face_parser import load_face_parser

WIDTH = 2
"""Channels of every layer, hundreds in the published network: shapes are the file's."""


def _checkpoint():
    """Weights of 0 but for what makes class 7 win."""
    arrays = {}

    def layer(name, inputs, outputs, size=3, norm=None):
        arrays[f"{name}.weight"] = np.zeros((outputs, inputs, size, size), np.float32)
        if norm:
            for part, value in (("weight", 1), ("bias", 1), ("running_mean", 0), ("running_var", 1)):
                arrays[f"{norm}.{part}"] = np.full(outputs, value, np.float32)

    layer("cp.resnet.conv1", 3, WIDTH, 7, "cp.resnet.bn1")
    for stage in range(1, 5):
        for block in range(2):
            place = f"cp.resnet.layer{stage}.{block}"
            for k in (1, 2):
                layer(f"{place}.conv{k}", WIDTH, WIDTH, 3, f"{place}.bn{k}")
        if stage > 1:
            place = f"cp.resnet.layer{stage}.0.downsample"
            layer(f"{place}.0", WIDTH, WIDTH, 1, f"{place}.1")
    for arm in ("cp.arm16", "cp.arm32"):
        layer(f"{arm}.conv.conv", WIDTH, WIDTH, 3, f"{arm}.conv.bn")
        layer(f"{arm}.conv_atten", WIDTH, WIDTH, 1, f"{arm}.bn_atten")
    for name, size in (("conv_head32", 3), ("conv_head16", 3), ("conv_avg", 1)):
        layer(f"cp.{name}.conv", WIDTH, WIDTH, size, f"cp.{name}.bn")
    layer("ffm.convblk.conv", 2 * WIDTH, WIDTH, 1, "ffm.convblk.bn")
    layer("ffm.conv1", WIDTH, 1, 1)
    layer("ffm.conv2", 1, WIDTH, 1)
    layer("conv_out.conv.conv", WIDTH, WIDTH, 3, "conv_out.conv.bn")
    layer("conv_out.conv_out", WIDTH, 19, 1)
    arrays["conv_out.conv_out.weight"][7] = 1
    return arrays


def _written(path, arrays):
    path.write_bytes(torch_bytes(arrays))
    return path


@pytest.mark.parametrize("size", [(33, 50), (8, 8)])
def test_every_pixel_of_any_picture_gets_a_class(tmp_path, size):
    parser = load_face_parser(_written(tmp_path / "a.pth", _checkpoint()))
    labels = parser.labels(np.zeros((*size, 3), np.uint8))
    assert labels.shape == size and labels.dtype == np.uint8 and (labels == 7).all()


def test_other_checkpoints_are_refused(tmp_path):
    with pytest.raises(InputError, match="expected the weights of face-parsing.PyTorch"):
        load_face_parser(_written(tmp_path / "a.pth", {"backbone.conv1.weight": np.zeros((4, 3, 7, 7), np.float32)}))
    arrays = _checkpoint()
    arrays["conv_out.conv_out.weight"] = arrays["conv_out.conv_out.weight"][:11]
    with pytest.raises(InputError, match="expected 19 classes, found 11"):
        load_face_parser(_written(tmp_path / "a.pth", arrays))
