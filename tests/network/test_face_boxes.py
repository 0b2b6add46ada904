"""Boxes from the detector's maps: anchors, thresholds and suppression, on cases done by hand."""

import numpy as np

from flowface_jax.network.face_boxes import candidate_boxes, decode_boxes, suppress_overlapping


def _maps(size=(2, 3)):
    return [np.zeros(size, np.float32) for _ in range(6)], [np.zeros((*size, 4), np.float32) for _ in range(6)]


def test_an_anchor_without_offsets_is_four_strides_around_its_cell():
    probabilities, offsets = _maps()
    probabilities[1][1, 2] = 0.75
    boxes, scores = candidate_boxes(probabilities, offsets, 0.05)
    # Stride 8: the cell's centre is at (2.5, 1.5) x 8 and the anchor 32 px wide.
    np.testing.assert_array_equal(boxes, [[4, -4, 36, 28]])
    np.testing.assert_array_equal(scores, [0.75])


def test_offsets_move_the_centre_and_scale_the_sides():
    offsets = np.asarray([[1.0, -2.0, 5 * np.log(2.0), 5 * np.log(0.5)]])
    boxes = decode_boxes(np.asarray([[100.0, 50.0]]), 40.0, offsets)
    np.testing.assert_allclose(boxes, [[104 - 40, 42 - 10, 104 + 40, 42 + 10]])


def test_only_scores_above_the_threshold_are_candidates():
    probabilities, offsets = _maps()
    probabilities[0][0, 0], probabilities[5][1, 1] = 0.05, 0.06
    # A threshold given as a number of the same precision: 0.05 itself is not above it.
    boxes, scores = candidate_boxes(probabilities, offsets, float(np.float32(0.05)))
    assert len(boxes) == 1 and scores[0] == np.float32(0.06)


def test_boxes_without_finite_corners_are_left_out():
    probabilities, offsets = _maps()
    probabilities[0][0, :] = 0.9
    offsets[0][0, 0, 2], offsets[0][0, 1, 0] = 1e6, np.nan
    boxes, scores = candidate_boxes(probabilities, offsets, 0.05)
    assert len(boxes) == len(scores) == 1


def test_no_candidates_give_empty_arrays():
    boxes, scores = candidate_boxes(*_maps(), 0.05)
    assert boxes.shape == (0, 4) and scores.shape == (0,)
    assert suppress_overlapping(boxes, scores, 0.3).size == 0


def test_the_better_of_two_overlapping_boxes_stays():
    boxes = np.asarray([[0.0, 0, 9, 9], [1, 1, 10, 10], [100, 100, 120, 120]])
    np.testing.assert_array_equal(suppress_overlapping(boxes, np.asarray([0.6, 0.9, 0.7]), 0.3), [1, 2])


def test_sides_count_their_last_pixel():
    # Ten and ten pixels wide with four shared: 4 / 16. Without the last pixel it would be 3 / 15.
    boxes = np.asarray([[0.0, 0, 9, 9], [6, 0, 15, 9]])
    scores = np.asarray([0.9, 0.8])
    np.testing.assert_array_equal(suppress_overlapping(boxes, scores, 0.25), [0, 1])
    np.testing.assert_array_equal(suppress_overlapping(boxes, scores, 0.249), [0])


def test_a_suppressed_box_suppresses_none():
    boxes = np.asarray([[0.0, 0, 9, 9], [4, 0, 13, 9], [8, 0, 17, 9]])
    # The second overlaps both neighbours by 6 / 14; the first and third share 2 / 18 only.
    np.testing.assert_array_equal(suppress_overlapping(boxes, np.asarray([0.9, 0.8, 0.7]), 0.3), [0, 2])
