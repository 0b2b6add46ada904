"""Video in, alignment out, with MediaPipe's landmarks."""

import logging
import sys
import types
import weakref

import cv2
import numpy as np
import pytest

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.mediapipe import align_mediapipe, detect_faces
from flowface_jax.aligners.registry import align
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import InputError, MissingDependencyError
from tests.aligners.films import write_film
from tests.shared_data import clip_path


@pytest.fixture(scope="module")
def faces():
    """Twelve frames [H,W,3] of a real clip, three apart."""
    pytest.importorskip("mediapipe")
    return [f.image for f in open_frames(clip_path("d18")) if f.frame_id % 3 == 0 and f.frame_id < 36]


def _black(image):
    return np.zeros_like(image)


def test_an_absent_mediapipe_says_what_to_install(monkeypatch, tmp_path):
    film = write_film(tmp_path / "film.mp4", [np.zeros((48, 64, 3), np.uint8)])
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'flowface-jax\[mediapipe\]'"):
        align_mediapipe([film])
    monkeypatch.setitem(sys.modules, "mediapipe", types.ModuleType("mediapipe"))
    with pytest.raises(MissingDependencyError, match="without its face models"):
        align_mediapipe([film])


def test_a_film_without_a_face_gets_one_clear_line(tmp_path):
    pytest.importorskip("mediapipe")
    film = write_film(tmp_path / "black.mp4", [np.zeros((96, 96, 3), np.uint8)] * 3)
    with pytest.raises(InputError, match=r"no face was found in any frame of black\.mp4"):
        align_mediapipe([film])


def test_no_source_and_unknown_aligners_are_refused():
    with pytest.raises(InputError, match="at least one"):
        align_mediapipe([])
    with pytest.raises(InputError, match="unknown aligner 'magic'; choose one of: auto, .*mediapipe"):
        align("magic", ["film.mp4"])


def test_frames_without_a_face_are_invalid_and_the_rest_is_kept(tmp_path, faces):
    film = write_film(tmp_path / "gap.mp4", faces[:6] + [_black(faces[0])] * 4 + faces[6:])
    calls = []
    found = align_mediapipe([film], progress=lambda done, total: calls.append((done, total)))
    assert found.valid[0].tolist() == [True] * 6 + [False] * 4 + [True] * 6
    assert found.mean.shape == (1, 16, 478, 2) and found.point_set == "mediapipe"
    assert np.isinf(found.std[0, 6:10]).all() and (found.std[0, :6] > 0).all() and np.isfinite(found.std[0, :6]).all()
    assert found.image_size.tolist() == [[480, 480]] and found.camera_names == ("gap",)
    assert np.allclose(found.frame_times, 0.04 * np.arange(16)) and found.frame_ids.tolist() == list(range(16))
    assert calls[-1] == (16, 16) and len(calls) == 16
    found.save(tmp_path / "gap.npz")
    assert (Alignment.load(tmp_path / "gap.npz").mean == found.mean).all()


def test_the_same_film_gives_the_same_bytes_and_no_noise_on_standard_error(tmp_path, faces, capfd):
    film = write_film(tmp_path / "film.mp4", faces[:5])
    align_mediapipe([film]).save(tmp_path / "first.npz")
    align_mediapipe([film]).save(tmp_path / "second.npz")
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert capfd.readouterr().err == ""


def test_frames_are_let_go_once_they_are_read(faces):
    """Memory does not grow with the length of the film."""
    alive = []
    most = 0

    class Watched:
        info = SourceInfo("watched", (480, 480), None, 25.0, is_video=True)

        def __iter__(self):
            nonlocal most
            for k in range(10):
                image = faces[k].copy()
                alive.append(weakref.ref(image))
                yield Frame(k, k / 25, image)
                del image
                most = max(most, sum(one() is not None for one in alive))

    assert align_mediapipe([Watched()]).valid.all()
    assert len(alive) == 10 and most <= 2


def test_cameras_are_paired_by_frame_number_and_a_shorter_one_ends_invalid(tmp_path, faces, caplog):
    long = write_film(tmp_path / "left.mp4", faces[:6])
    short = write_film(tmp_path / "right.mp4", [np.ascontiguousarray(i[:400, 40:440]) for i in faces[:4]])
    with caplog.at_level(logging.WARNING):
        found = align_mediapipe([long, short], undistort=[None, lambda pixels: pixels + [40, 0]])
    assert found.valid.tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert found.image_size.tolist() == [[480, 480], [400, 400]] and found.camera_names == ("left", "right")
    assert "right.mp4 has 4 frames" in caplog.text
    both = np.isfinite(found.std[:, :4]).all(0)
    assert both.mean() > 0.9
    assert np.abs(found.mean[0, :4] - found.mean[1, :4])[both].mean() < 1.5


def test_one_photograph_per_camera_is_one_frame(tmp_path, faces):
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(tmp_path / name), faces[0][..., ::-1])
    found = align_mediapipe([tmp_path / "a.png", tmp_path / "b.png"])
    assert found.mean.shape == (2, 1, 478, 2) and found.valid.all()
    assert (found.mean[0] == found.mean[1]).all()


def test_the_second_largest_face_can_be_asked_for(tmp_path, faces):
    small = cv2.resize(faces[0], (360, 360), interpolation=cv2.INTER_AREA)
    both = np.zeros((480, 840, 3), np.uint8)
    both[:, 360:], both[60:420, :360] = faces[0], small
    cv2.imwrite(str(tmp_path / "both.png"), both[..., ::-1])
    first, second = (align_mediapipe([tmp_path / "both.png"], face=n).mean[0, 0] for n in (1, 2))
    assert first[:, 0].min() > 360 and second[:, 0].max() < 360
    with pytest.raises(InputError, match="shows only 2"):
        align_mediapipe([tmp_path / "both.png"], face=3)


def test_landmarks_lie_at_the_same_place_at_every_size(tmp_path, faces):
    """MediaPipe counts from the centre of the first pixel: taken for its corner, this shift would be 1.6 px."""

    def landmarks(images, name):
        folder = tmp_path / name
        folder.mkdir()
        for k, image in enumerate(images):
            cv2.imwrite(str(folder / f"{k}.png"), image[..., ::-1])
        return np.stack([found[0, :, :2] for _, found in detect_faces(open_frames(folder))])

    chosen = faces[::3]
    plain = landmarks(chosen, "plain")
    small = landmarks([cv2.resize(i, (120, 120), interpolation=cv2.INTER_AREA) for i in chosen], "small")
    shift = (4 * small - plain).mean((0, 1))
    assert np.abs(shift).max() < 0.75
