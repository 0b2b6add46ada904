"""Measures of speech-driven animation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.speech import lip_vertex_error, upper_face_dynamics_deviation


def _sequence(vertices, valid=None):
    vertices = np.asarray(vertices, np.float32)
    valid = np.ones(len(vertices), bool) if valid is None else np.asarray(valid)
    return MeshSequence(vertices, np.asarray([[0, 1, 2]]), valid)


def _random(frames=6, seed=0):
    return np.random.default_rng(seed).normal(0, 0.01, (frames, 10, 3))


def test_the_worst_lip_vertex_of_each_frame_counts_squared():
    truth = _random()
    moved = truth.copy()
    moved[:, 3] += [0.003, 0.004, 0]
    moved[:, 4] += [0.001, 0, 0]
    moved[:, 9] += 1
    found = lip_vertex_error(_sequence(moved), _sequence(truth), np.asarray([3, 4, 4, 5]))
    assert found.squared == pytest.approx(25e-6, rel=1e-3)
    assert found.millimetres == pytest.approx(5, rel=1e-3) and found.vertices == 3
    mask = np.zeros(10, bool)
    mask[[4, 5]] = True
    assert lip_vertex_error(_sequence(moved), _sequence(truth), mask).squared == pytest.approx(1e-6, rel=1e-2)


def test_longer_sequences_weigh_more_and_missing_frames_nothing():
    truths = [np.zeros((2, 10, 3)), np.zeros((6, 10, 3))]
    predictions = [_sequence(truths[0] + [0.002, 0, 0]), _sequence(truths[1] + [0.001, 0, 0])]
    found = lip_vertex_error(predictions, [_sequence(t) for t in truths], np.asarray([0]))
    assert found.squared == pytest.approx((2 * 4e-6 + 6 * 1e-6) / 8, rel=1e-4)
    short = _sequence(np.full((2, 10, 3), np.nan), [False, False])
    found = lip_vertex_error([short, predictions[1]], [_sequence(t) for t in truths], np.asarray([0]))
    assert found.squared == pytest.approx(1e-6, rel=1e-4) and np.isnan(found.per_frame[0]).all()


def test_the_deviation_is_that_of_the_spreads_of_squared_motion():
    template, truth = _random(1, 5)[0], _random(50, 6)
    prediction = template + 0.5 * (truth - template)
    chosen = np.asarray([1, 2, 7])
    # Half the motion has a quarter of the spread of its square.
    expected = 0.75 * ((truth - template)[:, chosen] ** 2).sum(-1).std(0).mean()
    found = upper_face_dynamics_deviation(_sequence(prediction), _sequence(truth), template, chosen)
    assert found == pytest.approx(expected, rel=1e-4)
    swapped = upper_face_dynamics_deviation(_sequence(truth), _sequence(prediction), template, chosen)
    assert swapped == pytest.approx(-expected, rel=1e-4)
    both = upper_face_dynamics_deviation(
        [_sequence(prediction), _sequence(truth)], [_sequence(truth), _sequence(prediction)], [template] * 2, chosen
    )
    assert both == pytest.approx(0, abs=1e-9)


def test_wrong_inputs_are_named():
    truth = _sequence(_random())
    cases = [
        ((_sequence(_random()[:, :9]), truth, np.asarray([0])), "one topology"),
        ((_sequence(_random(5)), truth, np.asarray([0])), "one topology"),
        (([truth, truth], truth, np.asarray([0])), "each of 1"),
        ((truth, truth, np.zeros(10, bool)), "at least one"),
        ((truth, truth, np.ones(9, bool)), "mask of 10"),
        ((truth, truth, np.asarray([10])), "0 to 9"),
        ((_sequence(np.full((6, 10, 3), np.nan)), truth, np.asarray([0])), "not finite"),
        ((dataclasses.replace(truth, valid=np.zeros(6, bool)), truth, np.asarray([0])), "found none"),
    ]
    for arguments, message in cases:
        with pytest.raises(InputError, match=message):
            lip_vertex_error(*arguments)
    with pytest.raises(InputError, match="template"):
        upper_face_dynamics_deviation(truth, truth, np.zeros((9, 3)), np.asarray([0]))
