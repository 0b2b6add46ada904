"""Our ResNet-101 is the published one: same features as layers written here in PyTorch (needs the `peers` extra)."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowface_jax.network.resnet import ResNetTrunk
from flowface_jax.network.weights import convert
from tests.peers.torch_modules import randomise

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
nn = torch.nn

DEPTHS = (3, 4, 23, 3)


class Block(nn.Module):
    """Attributes have the names of torchvision's checkpoints."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if stride != 1 or inputs != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x):
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        shortcut = x if self.downsample is None else self.downsample(x)
        return (self.bn3(self.conv3(y)) + shortcut).relu()


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inputs = 64
        for number, depth in enumerate(DEPTHS, start=1):
            blocks = []
            for index in range(depth):
                blocks.append(Block(inputs, 32 * 2**number, 2 if number > 1 and index == 0 else 1))
                inputs = 128 * 2**number
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x):
        x = nn.functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return x.mean((2, 3))


def test_the_features_are_the_same(tmp_path):
    images = np.random.default_rng(1).normal(size=(2, 64, 64, 3)).astype(np.float32)
    with torch.no_grad():
        theirs = randomise(Trunk())
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    torch.save(theirs.state_dict(), tmp_path / "resnet101.pth")
    converted = convert(tmp_path / "resnet101.pth", "resnet101").variables
    trunk = {collection: tree["trunk"] for collection, tree in converted.items()}
    found = np.asarray(jax.jit(ResNetTrunk().apply)(trunk, images))
    assert found.shape == (2, 2048)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
    assert not np.allclose(expected[0], expected[1], rtol=0.05)
