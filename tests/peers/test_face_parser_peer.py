"""Our face parser is that of face-parsing.PyTorch: same scores as layers written here in PyTorch (`peers` extra)."""

from __future__ import annotations

import numpy as np
import pytest

from flowface_jax.network.face_parser import class_scores, load_face_parser
from tests.peers.torch_modules import randomise

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
nn = torch.nn
functional = nn.functional


class Norm(nn.Module):
    """Convolution, norm, ReLU."""

    def __init__(self, inputs, outputs, size=3):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(inputs, outputs, size, 1, size // 2, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x):
        return self.bn(self.conv(x)).relu()


class Basic(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


class Trunk(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        widths = [64, 64, 128, 256, 512]
        for k in range(1, 5):
            pair = Basic(widths[k - 1], widths[k], 1 if k == 1 else 2), Basic(widths[k], widths[k], 1)
            setattr(self, f"layer{k}", nn.Sequential(*pair))

    def forward(self, x):
        x = functional.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


class Attention(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.conv = Norm(inputs, 128)
        self.conv_atten, self.bn_atten = nn.Conv2d(128, 128, 1, bias=False), nn.BatchNorm2d(128)

    def forward(self, x):
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class Context(nn.Module):
    def __init__(self):
        super().__init__()
        self.resnet, self.arm16, self.arm32 = Trunk(), Attention(256), Attention(512)
        self.conv_head32, self.conv_head16, self.conv_avg = Norm(128, 128), Norm(128, 128), Norm(512, 128, 1)

    def forward(self, x):
        eighth, sixteenth, last = self.resnet(x)
        deep = self.arm32(last) + self.conv_avg(last.mean((2, 3), keepdim=True))
        deep = self.conv_head32(functional.interpolate(deep, sixteenth.shape[2:], mode="nearest"))
        middle = functional.interpolate(self.arm16(sixteenth) + deep, eighth.shape[2:], mode="nearest")
        return eighth, self.conv_head16(middle)


class Fusion(nn.Module):
    def __init__(self):
        super().__init__()
        self.convblk = Norm(256, 256, 1)
        self.conv1, self.conv2 = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, x):
        x = self.convblk(x)
        return x + x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Output(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.conv_out = Norm(256, 256), nn.Conv2d(256, 19, 1, bias=False)

    def forward(self, x):
        return self.conv_out(self.conv(x))


class Parser(nn.Module):
    """Attributes have the names of the published checkpoint."""

    def __init__(self):
        super().__init__()
        self.cp, self.ffm, self.conv_out = Context(), Fusion(), Output()

    def forward(self, x):
        scores = self.conv_out(self.ffm(torch.cat(self.cp(x), dim=1)))
        return functional.interpolate(scores, x.shape[2:], mode="bilinear", align_corners=True)


@pytest.mark.parametrize("size", [(96, 64), (75, 101)])
def test_the_scores_are_the_same(tmp_path, size):
    theirs = randomise(Parser())
    torch.save(theirs.state_dict(), tmp_path / "79999_iter.pth")
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    normal = (image / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        expected = (
            theirs(torch.tensor(normal.transpose(2, 0, 1)[None], dtype=torch.float32))[0].permute(1, 2, 0).numpy()
        )
    parser = load_face_parser(tmp_path / "79999_iter.pth")
    found = np.asarray(class_scores(parser.layers, image))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    assert (parser.labels(image) == expected.argmax(-1)).mean() > 0.999
