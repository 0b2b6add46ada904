"""Our S3FD is face-alignment's: same maps and same faces from the same weights file (needs the `peers` extra)."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowface_jax.aligners.face_detector import load_face_detector
from flowface_jax.network.face_boxes import suppress_overlapping
from flowface_jax.network.s3fd import S3FD
from flowface_jax.network.weights import convert, save_weights

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install flowface-jax[peers]")
sfd = pytest.importorskip("face_alignment.detection.sfd", reason="pip install flowface-jax[peers]")

SIZES = ((64, 64), (97, 131), (33, 240))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Random weights that keep signals at their size and see faces of any score, saved as the published ones are."""
    from face_alignment.detection.sfd.net_s3fd import s3fd

    torch.manual_seed(0)
    state = s3fd().state_dict()
    for name, value in state.items():
        if value.ndim == 4:
            gain = 0.3 if "loc" in name else 0.5 if "conf" in name else 4e-4 if "conv1_1" in name else 2.0
            value.normal_(0, (gain / value[0].numel()) ** 0.5)
        elif "norm.weight" not in name:
            value.normal_(0, 0.1)
    path = tmp_path_factory.mktemp("s3fd") / "s3fd-random.pth"
    torch.save(state, path)
    return path


@pytest.fixture(scope="module")
def theirs(file):
    return sfd.FaceDetector("cpu", path_to_detector=str(file))


@pytest.fixture(scope="module")
def ours(file, tmp_path_factory):
    converted, path = convert(file), tmp_path_factory.mktemp("converted") / "s3fd.safetensors"
    save_weights(path, converted.kind, converted.variables, converted.config, converted.source, converted.report)
    return load_face_detector(path, longest_side=None)


def _picture(height, width):
    """Soft blobs of colour."""
    rng = np.random.default_rng(height)
    coarse = rng.uniform(0, 255, (height // 8 + 2, width // 8 + 2, 3)).repeat(8, 0).repeat(8, 1)
    return coarse[:height, :width].astype(np.uint8)


@pytest.mark.parametrize("height, width", SIZES)
def test_every_map_of_every_level_is_the_same(ours, theirs, height, width):
    picture = _picture(height, width)
    batch = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float().flip(1)
    with torch.no_grad():
        expected = theirs.face_detector(batch - torch.tensor([104.0, 117.0, 123.0])[None, :, None, None])
    found = jax.jit(S3FD().apply)(ours.variables, picture[None])
    flat = [part for level in found for part in level]
    assert len(flat) == len(expected) == 12
    for mine, other in zip(flat, expected, strict=True):
        other = other.numpy().transpose(0, 2, 3, 1)
        assert mine.shape == other.shape
        assert np.abs(mine - other).max() <= 1e-5 * np.abs(other).max()


@pytest.mark.parametrize("height, width", SIZES)
def test_the_faces_are_the_same(ours, theirs, height, width):
    picture = _picture(height, width)
    expected = np.asarray(theirs.detect_from_image(picture)).reshape(-1, 5)
    # Theirs come out even where they lie beyond the picture.
    inside = np.clip(expected[:, :4], 0, [width, height, width, height])
    expected = expected[(inside[:, 2:] > inside[:, :2]).all(1)]
    boxes, scores = ours(picture)
    assert len(expected) >= 3
    np.testing.assert_allclose(boxes, expected[:, :4], atol=1e-3)
    np.testing.assert_allclose(scores, expected[:, 4], atol=1e-5)


def test_suppression_is_the_same_for_crowds_of_random_boxes():
    from face_alignment.detection.sfd.bbox import nms

    rng = np.random.default_rng(0)
    for _ in range(20):
        corner, scores = rng.uniform(0, 100, (200, 2)), rng.uniform(0, 1, 200)
        boxes = np.concatenate([corner, corner + rng.uniform(0, 60, (200, 2))], axis=1)
        expected = nms(np.concatenate([boxes, scores[:, None]], axis=1), 0.3)
        np.testing.assert_array_equal(suppress_overlapping(boxes, scores, 0.3), expected)
