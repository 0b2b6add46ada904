"""Several people in view: who is who, and which is number one."""

import numpy as np
import pytest

from flowface_jax.aligners.faces import boxes_of_points, choose_face, link_faces, overlap
from flowface_jax.errors import InputError


def _box(x, y, side):
    return np.asarray([x, y, x + side, y + side], float)


def test_overlap_is_intersection_over_union():
    boxes = np.asarray([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]], float)
    assert np.allclose(overlap(boxes[:1], boxes), [[1, 1 / 3, 0]])


def test_two_people_stay_apart_when_their_order_changes():
    left, right = _box(0, 0, 50), _box(200, 0, 80)
    boxes = [np.stack([left, right] if f % 2 else [right, left]) for f in range(10)]
    first, second = link_faces(boxes)
    assert first.frames.tolist() == second.frames.tolist() == list(range(10))
    assert first.detections.tolist() == [f % 2 for f in range(10)]
    assert second.detections.tolist() == [1 - f % 2 for f in range(10)]


def test_the_largest_over_time_comes_first():
    big_but_brief, small_but_constant = _box(0, 0, 100), _box(300, 0, 60)
    boxes = [np.stack([big_but_brief, small_but_constant])] * 2 + [small_but_constant[None]] * 10
    ranked = link_faces(boxes)
    assert [len(track.frames) for track in ranked] == [12, 2]
    assert ranked[0].total_area == pytest.approx(12 * 3600)


def test_a_face_that_returns_after_a_gap_is_the_same():
    boxes = [_box(10 + f, 20, 50)[None] for f in range(5)] + [np.zeros((0, 4))] * 8 + [_box(50, 25, 52)[None]] * 4
    (track,) = link_faces(boxes)
    assert track.frames.tolist() == [0, 1, 2, 3, 4, 13, 14, 15, 16]


def test_a_face_elsewhere_is_another_person():
    boxes = [_box(0, 0, 50)[None]] * 5 + [np.zeros((0, 4))] * 3 + [_box(400, 0, 50)[None]] * 2
    assert [track.frames.tolist() for track in link_faces(boxes)] == [[0, 1, 2, 3, 4], [8, 9]]


def test_someone_who_enters_does_not_take_over():
    boxes = [_box(0, 0, 50)[None]] * 3 + [np.stack([_box(30, 0, 90), _box(0, 0, 50)])] * 3
    tracks = link_faces(boxes)
    assert {tuple(track.frames) for track in tracks} == {(0, 1, 2, 3, 4, 5), (3, 4, 5)}


def test_no_faces_at_all_gives_no_tracks_and_a_clear_line():
    tracks = link_faces([np.zeros((0, 4))] * 3)
    assert tracks == []
    with pytest.raises(InputError, match=r"no face was found in any frame of clip\.mp4"):
        choose_face(tracks, 1, "clip.mp4")


def test_asking_for_more_faces_than_there_are_is_refused():
    tracks = link_faces([_box(0, 0, 9)[None]])
    assert choose_face(tracks, 1, "clip.mp4") is tracks[0]
    with pytest.raises(InputError, match="shows only 1"):
        choose_face(tracks, 2, "clip.mp4")
    with pytest.raises(InputError, match="rank of 1"):
        choose_face(tracks, 0, "clip.mp4")


def test_boxes_enclose_points():
    points = np.asarray([[[3, 4, 9], [1, 8, 0], [2, 5, 0]]], float)
    assert boxes_of_points(points).tolist() == [[1, 4, 3, 8]]
