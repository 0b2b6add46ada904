"""Our BiSeNet-v2 is the published one: same features as layers written here in PyTorch (needs the `peers` extra)."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowface_jax.network.bisenet import PRESETS, BiSeNetV2
from flowface_jax.network.weights import convert
from tests.peers.torch_modules import randomise

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
nn = torch.nn

EXPANSION = 6
DETAIL = {"S1": (64, 2), "S2": (64, 3), "S3": (128, 3)}
SEMANTIC = {"S3": (32, 2), "S4": (64, 2), "S5_4": (128, 4)}


def _conv(inputs, outputs, size, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)


def _normed(*arguments):
    convolution = _conv(*arguments)
    return [convolution, nn.BatchNorm2d(convolution.out_channels)]


class Unit(nn.Module):
    """Attributes here and below have the names of CoinCheung's checkpoints."""

    def __init__(self, inputs, outputs, size=3, stride=1):
        super().__init__()
        self.conv, self.bn = _normed(inputs, outputs, size, stride)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fuse = Unit(3, 16, 3, 2), Unit(32, 16)
        self.left = nn.Sequential(Unit(16, 8, 1), Unit(8, 16, 3, 2))

    def forward(self, x):
        x = self.conv(x)
        return self.fuse(torch.cat([self.left(x), nn.functional.max_pool2d(x, 3, 2, 1)], 1))


class Same(nn.Module):
    """Gather and expand, size kept."""

    def __init__(self, channels):
        super().__init__()
        middle = EXPANSION * channels
        self.conv1 = Unit(channels, channels)
        self.dwconv = nn.Sequential(*_normed(channels, middle, 3, 1, channels), nn.ReLU())
        self.conv2 = nn.Sequential(*_normed(middle, channels, 1))

    def forward(self, x):
        return (x + self.conv2(self.dwconv(self.conv1(x)))).relu()


class Halved(nn.Module):
    """Gather and expand, size halved."""

    def __init__(self, inputs, outputs):
        super().__init__()
        middle = EXPANSION * inputs
        self.conv1 = Unit(inputs, inputs)
        self.dwconv1 = nn.Sequential(*_normed(inputs, middle, 3, 2, inputs))
        self.dwconv2 = nn.Sequential(*_normed(middle, middle, 3, 1, middle), nn.ReLU())
        self.conv2 = nn.Sequential(*_normed(middle, outputs, 1))
        self.shortcut = nn.Sequential(*_normed(inputs, inputs, 3, 2, inputs), *_normed(inputs, outputs, 1))

    def forward(self, x):
        return (self.conv2(self.dwconv2(self.dwconv1(self.conv1(x)))) + self.shortcut(x)).relu()


class Context(nn.Module):
    def __init__(self):
        super().__init__()
        self.bn, self.conv_gap, self.conv_last = nn.BatchNorm2d(128), Unit(128, 128, 1), Unit(128, 128)

    def forward(self, x):
        return self.conv_last(x + self.conv_gap(self.bn(x.mean((2, 3), keepdim=True))))


class Aggregation(nn.Module):
    def __init__(self):
        super().__init__()
        mixing = lambda: nn.Sequential(*_normed(128, 128, 3, 1, 128), _conv(128, 128, 1))
        self.left1, self.right2 = mixing(), mixing()
        self.left2 = nn.Sequential(*_normed(128, 128, 3, 2), nn.AvgPool2d(3, 2, 1))
        self.right1 = nn.Sequential(*_normed(128, 128, 3))
        self.conv = nn.Sequential(*_normed(128, 128, 3), nn.ReLU())

    def forward(self, detail, context):
        enlarged = lambda x: nn.functional.interpolate(x, scale_factor=4)
        fine = self.left1(detail) * enlarged(self.right1(context)).sigmoid()
        coarse = self.left2(detail) * self.right2(context).sigmoid()
        return self.conv(fine + enlarged(coarse))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.conv_out = Unit(128, 1024), nn.Sequential(nn.Identity(), nn.Conv2d(1024, 128, 1))

    def forward(self, x):
        return self.conv_out(self.conv(x))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.detail, self.segment = nn.ModuleDict(), nn.ModuleDict({"S1S2": Stem()})
        inputs = 3
        for stage, (width, count) in DETAIL.items():
            units = [Unit(inputs, width, 3, 2), *(Unit(width, width) for _ in range(count - 1))]
            self.detail[stage], inputs = nn.Sequential(*units), width
        inputs = 16
        for stage, (width, count) in SEMANTIC.items():
            blocks = [Halved(inputs, width), *(Same(width) for _ in range(count - 1))]
            self.segment[stage], inputs = nn.Sequential(*blocks), width
        self.segment["S5_5"] = Context()
        self.bga, self.head = Aggregation(), Head()

    def forward(self, x):
        detail, context = x, x
        for stage in self.detail.values():
            detail = stage(detail)
        for stage in self.segment.values():
            context = stage(context)
        return self.head(self.bga(detail, context))


def test_the_features_are_the_same(tmp_path):
    images = np.random.default_rng(1).normal(size=(2, 96, 64, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = randomise(Network())
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    torch.save(theirs.state_dict(), tmp_path / "bisenet.pth")
    converted = convert(tmp_path / "bisenet.pth", "bisenet_v2").variables
    variables = {collection: tree["encoder"] for collection, tree in converted.items()}
    # Class scores are not converted, but here the last layer has as many outputs as ours.
    last = theirs.head.conv_out[1]
    weight, bias = last.weight.detach().numpy(), last.bias.detach().numpy()
    variables["params"]["head"]["output"] = {"kernel": weight.transpose(2, 3, 1, 0), "bias": bias}
    found = np.asarray(jax.jit(BiSeNetV2(**PRESETS["bisenet_v2"]).apply)(variables, images))
    assert found.shape == (2, 12, 8, 128)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
    assert not np.allclose(expected[0], expected[1], rtol=0.05)
