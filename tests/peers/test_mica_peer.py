"""Our MICA is MICA: same codes and vertices from one weights file as layers written here in PyTorch (`peers` extra)."""

from __future__ import annotations

import cv2
import jax
import numpy as np
import pytest

from flowface_jax.aligners.face_crops import TEMPLATE, crop_face, similarity_to_template
from flowface_jax.aligners.identity import load_mica
from flowface_jax.network.arcface import ArcFace
from flowface_jax.network.mica import neutral_vertices, normalised
from flowface_jax.network.weights import convert, save_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
nn = torch.nn

DEPTHS, WIDTHS = (3, 13, 30, 3), (64, 128, 256, 512)


def _conv(inputs, outputs, size, stride):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class Residual(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), _conv(inputs, outputs, 3, 1)
        self.bn2, self.prelu = nn.BatchNorm2d(outputs), nn.PReLU(outputs)
        self.conv2, self.bn3 = _conv(outputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        if stride == 2:
            self.downsample = nn.Sequential(_conv(inputs, outputs, 1, 2), nn.BatchNorm2d(outputs))

    def forward(self, x):
        shortcut = self.downsample(x) if hasattr(self, "downsample") else x
        return shortcut + self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x))))))


class Recognition(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.prelu = _conv(3, 64, 3, 1), nn.BatchNorm2d(64), nn.PReLU(64)
        inputs = 64
        for number, (depth, width) in enumerate(zip(DEPTHS, WIDTHS, strict=True), start=1):
            blocks = [Residual(inputs if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            inputs = width
        self.bn2, self.fc, self.features = nn.BatchNorm2d(512), nn.Linear(512 * 49, 512), nn.BatchNorm1d(512)

    def forward(self, x):
        x = self.prelu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))


class Regressor(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.ModuleList([nn.Linear(512 if i == 0 else 300, 300) for i in range(4)])
        self.output = nn.Linear(300, 300)

    def forward(self, x):
        for layer in self.network:
            x = nn.functional.leaky_relu(layer(x), 0.2)
        return self.output(x)


def _randomise(module):
    for name, value in module.state_dict().items():
        if value.ndim >= 2:
            value.normal_(0, (1.0 / value[0].numel()) ** 0.5)
        elif name.endswith("running_var") or (name.endswith("weight") and "prelu" not in name):
            value.uniform_(0.7, 1.3)
        elif value.is_floating_point():
            value.normal_(0, 0.2)
    return module.eval()


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    return _randomise(Recognition()), _randomise(Regressor())


@pytest.fixture(scope="module")
def flame():
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.1, (5023, 3)).astype(np.float32), rng.normal(0, 0.003, (5023, 3, 400)).astype(np.float32)


@pytest.fixture(scope="module")
def ours(theirs, flame, tmp_path_factory):
    """The same weights, saved as mica.tar is and converted."""
    folder, (recognition, regressor) = tmp_path_factory.mktemp("mica"), theirs
    head = {"regressor." + name: value for name, value in regressor.state_dict().items()}
    head |= {"generator.v_template": torch.from_numpy(flame[0]), "generator.shapedirs": torch.from_numpy(flame[1])}
    head["generator.faces_tensor"] = torch.zeros((9976, 3), dtype=torch.int64)
    torch.save({"arcface": recognition.state_dict(), "flameModel": head, "epoch": 3}, folder / "mica.tar")
    converted = convert(folder / "mica.tar")
    path = folder / "mica.safetensors"
    save_weights(path, converted.kind, converted.variables, converted.config, converted.source, converted.report)
    return load_mica(path)


@pytest.fixture(scope="module")
def crops():
    return np.random.default_rng(1).integers(0, 256, (2, 112, 112, 3), np.uint8)


def _close(found, expected):
    assert np.abs(np.asarray(found) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_embeddings_codes_and_vertices_are_the_same(ours, theirs, flame, crops):
    blob = torch.from_numpy((crops.transpose(0, 3, 1, 2).astype(np.float32) - 127.5) / 127.5)
    with torch.no_grad():
        embedding = theirs[0](blob)
        unit = nn.functional.normalize(embedding)
        code = theirs[1](unit)
    arcface = {name: part["arcface"] for name, part in ours.variables.items()}
    found = jax.jit(ArcFace().apply)(arcface, crops)
    _close(found, embedding.numpy())
    _close(normalised(found), unit.numpy())
    codes = jax.jit(ours.network.apply)(ours.variables, crops)
    _close(codes, code.numpy())
    template, shapedirs = flame
    vertices = template.astype(np.float64) + shapedirs[..., :300].astype(np.float64) @ code[0].numpy().astype(
        np.float64
    )
    _close(neutral_vertices(ours.template, ours.identity_basis, codes[0]), vertices)


def test_the_alignment_is_scikit_images_and_opencvs():
    transform = pytest.importorskip("skimage.transform")
    rng = np.random.default_rng(2)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (300, 400, 3), np.uint8), (0, 0), 2)
    for degrees in (-150, -40, 0, 10, 95):
        angle = np.radians(degrees)
        rotation = np.asarray([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        # Counted from the centre of the first pixel, as both libraries do.
        points = 1.7 * (TEMPLATE - 56) @ rotation.T + [200, 150] + rng.normal(0, 4, (5, 2))
        estimated = transform.SimilarityTransform.from_estimate(points, TEMPLATE)
        np.testing.assert_allclose(similarity_to_template(points[None])[0], estimated.params[:2], atol=1e-9)
        expected = cv2.warpAffine(picture, estimated.params[:2], (112, 112), borderValue=0.0)
        np.testing.assert_array_equal(crop_face(picture, points + 0.5), expected)
