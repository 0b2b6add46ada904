"""A face followed along a known path, by the network and by MediaPipe's rule, and scenes found with a detector."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flowface_jax.aligners import find_scenes
from flowface_jax.aligners.face_paths import FacePath, PathFollower, along_path
from flowface_jax.aligners.network import align_network
from flowface_jax.errors import InputError
from tests.aligners.dots import DotsDetector, DotsNetwork, Film, dots_head


@pytest.fixture(scope="module")
def head():
    return dots_head()


def _boxes(faces, k):
    """The boxes [F,4] of the k-th face of a film."""
    x, y, size = np.asarray([frame[k] for frame in faces], float).T
    return np.stack([x - size / 2, y - size / 2, x + size / 2, y + size / 2], axis=1)


def test_each_of_two_faces_is_followed_along_its_own_path(head):
    faces = [[(40 + k, 40, 40), (120 - k, 80, 40)] for k in range(40)]
    film = Film(faces)
    for k in range(2):
        found = align_network([film], DotsNetwork(), head, None, paths=[FacePath(_boxes(faces, k))])
        truth = np.stack([film.truth(frame, k) for frame in range(40)])
        assert found.valid.all() and np.abs(found.mean[0] - truth).max() < 0.6


def test_frames_off_the_path_are_invalid_though_another_face_is_there(head):
    faces = [[(80, 60, 40)]] * 30
    boxes = _boxes(faces, 0)
    boxes[10:20] = np.nan
    found = align_network([Film(faces)], DotsNetwork(), head, None, paths=[FacePath(boxes)])
    assert found.valid[0].tolist() == [True] * 10 + [False] * 10 + [True] * 10


def test_an_alignment_that_leaves_the_path_is_not_followed():
    path = FacePath(np.tile([10.0, 10, 50, 50], (5, 1)))
    follower = PathFollower(path)
    follower.learn(0, np.asarray([12.0, 12, 50, 50]))
    assert follower.expected_box(1).tolist() == [12, 12, 50, 50]
    follower.learn(1, np.asarray([45.0, 45, 90, 90]))
    assert follower.expected_box(2).tolist() == [12, 12, 50, 50]
    assert follower.detect(3, None).tolist() == [10, 10, 50, 50]
    assert follower.expected_box(7) is None and follower.detect(7, None) is None


def test_of_the_faces_found_those_on_the_path_are_taken():
    path = FacePath(np.asarray([[0.0, 0, 10, 10], [np.nan] * 4, [20, 0, 30, 10]]))
    near, far = np.asarray([1.0, 1, 10, 10]), np.asarray([50.0, 50, 60, 60])
    track = along_path(path, [np.stack([far, near]), np.stack([near]), np.zeros((0, 4))], "film")
    assert track.frames.tolist() == [0] and track.detections.tolist() == [1]
    with pytest.raises(InputError, match="no face was found in film where"):
        along_path(path, [np.stack([far])] * 3, "film")


def test_paths_that_fit_nothing_are_refused(head):
    with pytest.raises(InputError, match="expected boxes"):
        FacePath(np.zeros((3, 2)))
    with pytest.raises(InputError, match="expected boxes"):
        FacePath(np.full((3, 4), np.nan))
    film = Film([[(80, 60, 40)]] * 3)
    path = FacePath(_boxes(film.faces, 0))
    with pytest.raises(InputError, match="for each of the 1 camera"):
        align_network([film], DotsNetwork(), head, None, paths=[path, path])
    with pytest.raises(InputError, match="has to be detected"):
        align_network([film], DotsNetwork(), head, None)


def test_scenes_and_the_people_in_them_are_found_in_one_pass():
    class Cut(Film):
        """Two scenes of different background; two people in the first, one in the second."""

        def __iter__(self):
            for frame in super().__iter__():
                grey = (30, 10, 10) if frame.frame_id < 40 else (50, 55, 40)
                stripes = np.zeros_like(frame.image)
                stripes[:, ::1] = grey
                stripes[60:] = stripes[60:] // 2 if frame.frame_id < 40 else 0
                yield frame._replace(image=cv2.max(frame.image, stripes))

    faces = [[(40, 40, 50), (120, 70, 40)]] * 40 + [[(80, 60, 50)]] * 40
    film = Cut(faces)
    scenes = find_scenes(film, DotsDetector())
    assert [(scene.first, scene.end, len(scene.people)) for scene in scenes] == [(0, 40, 2), (40, 80, 1)]
    assert np.abs(scenes[0].people[0].path.boxes - _boxes(faces[:40], 0)).max() < 2
    whole = find_scenes(film, DotsDetector(), cuts=None)
    assert [(scene.first, scene.end) for scene in whole] == [(0, 80)]
