"""Faces found in pictures of any size come back in the picture's own pixels; what is no picture is refused."""

import numpy as np
import pytest

from flowface_jax.aligners import face_detector
from flowface_jax.aligners.face_detector import FaceDetector
from flowface_jax.aligners.images import read_image
from flowface_jax.aligners.mediapipe import mediapipe_detector
from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from flowface_jax.network.s3fd import S3FD, STRIDES
from tests.network.random_weights import random_variables
from tests.shared_data import clip_path


@pytest.fixture(scope="module")
def variables():
    """Weights that see a face in about every cell of the coarser levels."""
    made = random_variables(S3FD(), (1, 64, 64, 3))
    for prefix in ("fc7", "conv6_2", "conv7_2"):
        made["params"][f"{prefix}_conf"]["bias"] = np.asarray([0.0, 3.0], np.float32)
        made["params"][f"{prefix}_loc"]["kernel"] *= np.float32(0.01)
    return made


@pytest.fixture
def found(monkeypatch):
    """A detector that claims faces: a list of (level, row, column, score), and the size of the picture it searched."""
    faces, searched = [], []

    def claimed(_, images):
        height, width = images.shape[1:3]
        searched.append((width, height))
        maps = [
            (np.zeros((height // s + 5, width // s + 5)), np.zeros((height // s + 5, width // s + 5, 4)))
            for s in STRIDES
        ]
        for level, row, column, score in faces:
            maps[level][0][row, column] = score
        return maps

    monkeypatch.setattr(face_detector, "_probabilities", claimed)
    return faces, searched


def test_boxes_are_in_pixels_of_the_picture_whatever_size_was_searched(found):
    faces, searched = found
    faces.append((3, 1, 2, 0.9))
    # Stride 32: centre (80, 48), 128 px wide.
    full, _ = FaceDetector(None, longest_side=None)(np.zeros((400, 800, 3), np.uint8))
    np.testing.assert_allclose(full, [[16, -16, 144, 112]])
    half, scores = FaceDetector(None, longest_side=400)(np.zeros((400, 800, 3), np.uint8))
    assert searched == [(800, 400), (400, 200)]
    np.testing.assert_allclose(half, 2 * full)
    np.testing.assert_allclose(scores, [0.9])
    small, _ = FaceDetector(None, longest_side=640)(np.zeros((200, 300, 3), np.uint8))
    assert searched[-1] == (300, 200)
    np.testing.assert_allclose(small, full)


def test_boxes_outside_the_picture_and_weak_ones_never_come_out(found):
    faces, _ = found
    # The published padding makes cells that lie beyond the picture.
    faces += [(3, 5, 6, 0.9), (0, 1, 1, 0.5), (1, 2, 2, 0.8)]
    boxes, scores = FaceDetector(None)(np.zeros((64, 64, 3), np.uint8))
    np.testing.assert_allclose(scores, [0.8])
    np.testing.assert_allclose(boxes, [[4, 4, 36, 36]])


def test_the_same_picture_gives_the_same_boxes_best_first(variables):
    picture = np.random.default_rng(0).integers(0, 256, (32, 160, 3), np.uint8)
    boxes, scores = FaceDetector(variables)(picture)
    assert len(boxes) > 0 and (np.diff(scores) <= 0).all() and scores.min() > 0.5
    again, _ = FaceDetector(variables)(picture)
    np.testing.assert_array_equal(boxes, again)


def test_a_picture_too_thin_for_the_network_is_searched(variables):
    boxes, scores = FaceDetector(variables)(np.full((5, 160, 3), 128, np.uint8))
    assert boxes.shape == (len(scores), 4)
    assert (boxes[:, 1] < 5).all() and np.isfinite(boxes).all()


def test_a_single_pixel_is_searched(found):
    faces, searched = found
    faces.append((0, 0, 0, 0.9))
    boxes, _ = FaceDetector(None)(np.zeros((1, 1, 3), np.uint8))
    assert searched == [(32, 32)]
    np.testing.assert_allclose(boxes, [[-6, -6, 10, 10]])


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3)),
        np.zeros((0, 8, 3), np.uint8),
        [1],
    ],
)
def test_what_is_no_picture_is_refused(picture):
    with pytest.raises(InputError, match=r"expected a picture \[height, width, 3\] RGB uint8"):
        FaceDetector(None)(picture)


def test_settings_out_of_range_are_refused():
    with pytest.raises(InputError, match="longest_side"):
        FaceDetector(None, longest_side=20)
    with pytest.raises(InputError, match="maximum_overlap"):
        FaceDetector(None, maximum_overlap=1.5)


def test_grey_transparent_and_deep_files_are_pictures(found, tmp_path):
    import cv2

    faces, _ = found
    faces.append((0, 3, 3, 0.9))
    for name, pixels in {
        "grey.png": np.full((40, 40), 99, np.uint8),
        "transparent.png": np.full((40, 40, 4), 99, np.uint8),
        "deep.png": np.full((40, 40, 3), 40_000, np.uint16),
    }.items():
        cv2.imwrite(str(tmp_path / name), pixels)
        boxes, _ = FaceDetector(None)(read_image(tmp_path / name))
        assert len(boxes) == 1


def test_mediapipe_is_a_detector_too():
    pytest.importorskip("mediapipe")
    detect = mediapipe_detector()
    frame = next(iter(open_frames(clip_path("d18")))).image
    boxes, scores = detect(frame)
    assert len(boxes) == len(scores) == 1
    left, top, right, bottom = boxes[0]
    assert 0 < left < right < frame.shape[1] and 0 < top < bottom < frame.shape[0]
    # Each picture stands alone: an empty one between changes nothing.
    assert len(detect(np.zeros_like(frame))[0]) == 0
    np.testing.assert_allclose(detect(frame)[0], boxes, atol=1e-3)
    with pytest.raises(InputError, match="RGB uint8"):
        detect(frame[..., 0])
