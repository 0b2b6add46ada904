"""Frames in, alignment out, with a network whose right answer is known from the picture."""

import logging
import random
import time
import weakref

import cv2
import numpy as np
import pytest

from flowface_jax.aligners.following import FaceFollower
from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.network import LARGEST_SHIFT, align_network
from flowface_jax.aligners.video import open_frames
from flowface_jax.errors import InputError
from tests.aligners.dots import STD, DotsDetector, DotsNetwork, Film, dots_head, draw_faces


@pytest.fixture(scope="module")
def head():
    return dots_head()


def _align(films, head, network=None, detector=None, **arguments):
    network, detector = network or DotsNetwork(), detector or DotsDetector()
    return align_network(films, network, head, detector, **arguments)


def _errors(found, film, camera=0, frames=None):
    """Largest distance px of a dot from the truth in each frame."""
    frames = range(len(film.faces)) if frames is None else frames
    return np.asarray([np.abs(found.mean[camera, f] - film.truth(f)).max() for f in frames])


def test_a_moving_face_is_followed_from_one_detection(head):
    film = Film([[(60 + f, 60 - 0.3 * f, 40 + 0.5 * f)] for f in range(30)])
    detector, network, calls = DotsDetector(), DotsNetwork(), []
    found = _align([film], head, network, detector, progress=lambda *c: calls.append(c))
    assert found.point_set == "vertices" and found.mean.shape == (1, 30, 3, 2) and found.valid.all()
    assert found.source == "dots" and found.camera_names == ("film",)
    assert _errors(found, film).max() < 0.2
    sides = np.asarray([1.2 * (40 + 0.5 * f) for f in range(30)])
    assert np.abs(found.std[0, :, 0] / (STD * sides) - 1).max() < 0.25
    assert detector.calls == 1
    assert calls == [(k + 1, 30) for k in range(30)]


def test_frames_whose_crop_was_off_are_predicted_again(head):
    """No answer that is kept comes from a crop that was off by more than those of training."""

    class Centred(DotsNetwork):
        """As sure as the face is near the crop's centre."""

        def start(self, crops):
            answer = super().start(crops)

            def told():
                found = answer()
                centre = (found.mean.min(1) + found.mean.max(1)) / 2
                return found._replace(std=found.std + np.abs(centre - self.image_size / 2).max(1)[:, None] / 10)

            return told

    film = Film([[(40 + 1.5 * f, 60, 40)] for f in range(30)])
    network, detector = Centred(), DotsDetector()
    found = _align([film], head, network, detector)
    assert found.valid.all() and _errors(found, film).max() < 0.2
    off = 10 * (found.std[0, :, 0] / 48 - STD)
    # The limit, and as much again as whole pixels of so small a face round.
    assert off.max() < LARGEST_SHIFT + 2 / 48
    assert 40 < network.crops <= 60 and detector.calls == 1
    still = DotsNetwork()
    _align([Film([[(60, 60, 40)]] * 24)], head, still)
    assert still.crops == 24


def test_a_face_too_fast_to_follow_is_detected_again(head):
    film = Film([[(30 + 4 * f, 60, 40)] for f in range(24)])
    found = _align([film], head)
    assert found.valid.all() and _errors(found, film).max() < 0.2


def test_a_late_answer_does_not_displace_a_newer_one(head):
    follower = FaceFollower(DotsDetector(), 1, static=False, name="film")
    old, new = np.asarray([0.0, 0, 9, 9]), np.asarray([5.0, 5, 14, 14])
    assert follower.expected_box(0) is None
    follower.learn(7, new)
    follower.learn(3, old)
    assert follower.detect(4, np.zeros((20, 20, 3), np.uint8)) is None
    assert (follower.expected_box(8) == new).all()
    assert follower.detect(8, np.zeros((20, 20, 3), np.uint8)) is None
    assert follower.expected_box(9) is None


def test_frames_without_the_face_are_invalid_and_it_is_found_again(head, caplog):
    here, there = [(40, 60, 40)], [(120, 50, 36)]
    film = Film([here] * 6 + [[]] * 5 + [there] * 7)
    with caplog.at_level(logging.WARNING):
        found = _align([film], head)
    assert found.valid[0].tolist() == [True] * 6 + [False] * 5 + [True] * 7
    assert _errors(found, film, frames=[*range(6), *range(11, 18)]).max() < 0.2
    assert np.isinf(found.std[0, 6:11]).all() and (found.mean[0, 6:11] == 0).all()
    assert caplog.text.count("elsewhere from one moment to the next") == 1


def test_a_face_that_leaves_the_image_and_returns(head):
    places = [*range(100, 220, 6), *range(220, 100, -6)]
    film = Film([[(x, 60, 40)] for x in places])
    found = _align([film], head)
    whole = [f for f, x in enumerate(places) if x < 130]
    gone = [f for f, x in enumerate(places) if x > 200]
    assert found.valid[0, whole].all() and not found.valid[0, gone].any()
    assert _errors(found, film, frames=whole).max() < 0.3


def test_cameras_share_batches_and_are_paired_by_frame_number(head, caplog):
    left = Film([[(60 + f, 60, 44)] for f in range(11)], name="left.mp4")
    right = Film([[(150 - 2 * f, 90, 70)] for f in range(7)], 240, 200, name="right.mp4")
    network = DotsNetwork(batch_size=5)
    with caplog.at_level(logging.WARNING):
        found = _align([left, right], head, network, undistort=[None, lambda pixels: pixels + [5, 0]])
    assert found.valid.tolist() == [[True] * 11, [True] * 7 + [False] * 4]
    assert found.image_size.tolist() == [[160, 120], [240, 200]] and found.camera_names == ("left", "right")
    assert "right.mp4 has 7 frames" in caplog.text
    assert _errors(found, left).max() < 0.2
    assert np.abs(found.mean[1, :7] - [5, 0] - [right.truth(f) for f in range(7)]).max() < 0.2
    assert np.allclose(found.frame_times, np.arange(11) / 25)


def test_timing_of_threads_changes_no_byte(head, tmp_path):
    random.seed(1)
    wait = lambda: time.sleep(random.choice([0, 0, 0.004]))
    moves = [[[(30 + 3 * f, 60, 40)] if f % 11 else [] for f in range(26)], [[(80, 60, 50 + f)] for f in range(26)]]
    written = []
    for trial, (pause, overlapped) in enumerate([(None, True), (wait, True), (wait, False)]):
        films = [Film(move, name=f"{c}.mp4", wait=pause) for c, move in enumerate(moves)]
        path = tmp_path / f"{trial}.npz"
        _align(films, head, DotsNetwork(3, wait=pause), overlapped=overlapped).save(path)
        written.append(path.read_bytes())
    assert written[0] == written[1] == written[2]


def test_memory_does_not_grow_with_the_film(head):
    alive, most = [], []

    class Watched:
        info = SourceInfo("watched", (160, 120), None, 25.0, is_video=True)

        def __iter__(self):
            for k in range(80):
                image = draw_faces([(60, 60, 40)])
                alive.append(weakref.ref(image))
                most.append(sum(one() is not None for one in alive))
                yield Frame(k, k / 25, image)
                del image

    assert _align([Watched()], head).valid.all()
    assert len(alive) == 80 and max(most) <= 20


def test_rank_two_is_the_smaller_face_wherever_it_goes(head):
    film = Film([[(45, 60, 44), (125, 60, 26 + 2 * f)] for f in range(10)])
    first, second = (_align([film], head, face=n) for n in (1, 2))
    assert _errors(first, film).max() < 0.2
    assert max(np.abs(second.mean[0, f] - film.truth(f, 1)).max() for f in range(10)) < 0.2
    with pytest.raises(InputError, match="face 3 was asked for, but film.mp4 shows only 2; choose 1 to 2"):
        _align([film], head, face=3)
    with pytest.raises(InputError, match="rank of 1"):
        _align([film], head, face=0)


def test_who_remains_is_not_taken_for_who_left(head):
    """Two people are seen; the larger leaves: their frames are invalid, not the other's."""
    both, one = [(45, 60, 44), (130, 60, 30)], [(130, 60, 30)]
    found = _align([Film([both] * 5 + [one] * 5 + [both] * 5)], head)
    assert found.valid[0].tolist() == [True] * 5 + [False] * 5 + [True] * 5


def test_a_predicted_presence_decides(head):
    film = Film([[(60, 60, 40)]] * 5 + [[]] * 4)
    assert _align([film], head, DotsNetwork(presence=True)).valid[0].tolist() == [True] * 5 + [False] * 4

    class Absent(DotsNetwork):
        def start(self, crops):
            answer = super().start(crops)
            return lambda: answer()._replace(presence=np.full(len(crops), 0.4))

    with pytest.raises(InputError, match=r"sure of the face in no frame of film\.mp4"):
        _align([film], head, Absent())


def test_an_answer_that_shrinks_the_detected_face_away_is_none(head):
    """A network that is sure of something small draws its crops smaller and smaller; the detector knows better."""

    class Shrinking(DotsNetwork):
        def start(self, crops):
            answer = super().start(crops)

            def shrunk():
                prediction = answer()
                centre = prediction.mean.mean(1, keepdims=True)
                return prediction._replace(mean=centre + 0.5 * (prediction.mean - centre))

            return shrunk

    with pytest.raises(InputError, match=r"sure of the face in no frame of film\.mp4"):
        _align([Film([[(60, 60, 60)]] * 3)], head, Shrinking())


def test_an_answer_of_nan_is_no_face(head):
    class Broken(DotsNetwork):
        def start(self, crops):
            answer = super().start(crops)

            def spoilt():
                prediction = answer()
                lit = crops.max(axis=(1, 2, 3)) > 150
                prediction.std[~lit] = np.nan
                return prediction

            return spoilt

    film = Film([[(60, 60, 40)]] * 3 + [[(60, 60, 40)]] * 3)
    dim = lambda frame: frame._replace(image=frame.image // 2) if frame.frame_id == 4 else frame

    class Dimmed:
        info = film.info

        def __iter__(self):
            return map(dim, iter(film))

    assert _align([Dimmed()], head, Broken()).valid[0].tolist() == [True] * 4 + [False, True]


def test_photographs_are_detected_each_and_may_be_grey_or_deep(head, tmp_path):
    faces = [(40, 60, 40), (110, 40, 30), (80, 70, 60)]
    for k, face in enumerate(faces):
        deep = draw_faces([face])[..., ::-1].astype(np.uint16) * 257
        cv2.imwrite(str(tmp_path / f"{k}.png"), deep)
    cv2.imwrite(str(tmp_path / "9.png"), draw_faces([faces[0]]).max(2))
    detector = DotsDetector()
    found = _align([tmp_path], head, detector=detector)
    # A grey picture's dots are all of one colour: it shows no such face, and is read without complaint.
    assert found.valid[0, :3].all() and len(found.valid[0]) == 4 and detector.calls == 4
    for k, face in enumerate(faces):
        assert np.abs(found.mean[0, k] - Film([[face]]).truth(0)).max() < 0.2
    assert (found.frame_times == 0).all()


def test_unusable_sources_are_refused_in_one_line(head, tmp_path):
    with pytest.raises(InputError, match=r"no face was found in any frame of film\.mp4"):
        _align([Film([[]] * 5)], head)
    with pytest.raises(InputError, match="at least one video"):
        _align([], head)
    cv2.imwrite(str(tmp_path / "0.png"), draw_faces([(60, 60, 40)]))
    (tmp_path / "1.png").write_bytes(b"damaged")
    with pytest.raises(InputError, match=r"1\.png is not a readable image"):
        _align([open_frames(tmp_path)], head)

    class OfAnotherHead(DotsNetwork):
        point_count = 4

    with pytest.raises(InputError, match="ready for a head of 4 vertices"):
        _align([Film([[]])], head, OfAnotherHead())
