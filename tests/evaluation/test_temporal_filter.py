"""The temporal Gaussian filter."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected
from flowface_jax.evaluation.temporal_filter import filter_sequence, gaussian_filtered


def test_far_from_the_ends_it_is_the_common_gaussian_filter():
    values = np.random.default_rng(0).normal(size=(40, 5, 3))
    found = gaussian_filtered(values, np.ones(40, bool), 1.5)
    expected = gaussian_filter1d(values, 1.5, axis=0, truncate=4.0)
    np.testing.assert_allclose(found[6:-6], expected[6:-6], atol=1e-12)


def test_what_rests_stays_and_frames_without_a_result_take_no_part():
    values = np.full((9, 2), 3.0, np.float32)
    valid = np.ones(9, bool)
    valid[[2, 5]] = False
    values[2], values[5] = np.nan, 1e9
    found = gaussian_filtered(values, valid, 2.0)
    np.testing.assert_allclose(found[valid], 3.0, rtol=1e-6)
    assert np.isnan(found[2]).all() and (found[5] == 1e9).all()
    assert found.dtype == np.float32


def test_a_sequence_is_filtered_in_space_and_in_the_image():
    random = np.random.default_rng(1)
    pixels, depth = random.normal(size=(12, 4, 2)), random.normal(size=(12, 4))
    vertices, valid = random.normal(size=(12, 4, 3)), np.ones(12, bool)
    sequence = MeshSequence(vertices, np.asarray([[0, 1, 2]]), valid, seen=Projected(pixels, depth, (8, 8)))
    found = filter_sequence(sequence, 1.0)
    np.testing.assert_array_equal(found.vertices, gaussian_filtered(vertices, valid, 1.0))
    np.testing.assert_array_equal(found.seen.pixels, gaussian_filtered(pixels, valid, 1.0))
    assert np.abs(np.diff(found.seen.pixels, axis=0)).mean() < np.abs(np.diff(pixels, axis=0)).mean()
    np.testing.assert_array_equal(filter_sequence(sequence, 0).vertices, vertices)


@pytest.mark.parametrize(
    ("values", "valid", "std", "message"),
    [
        (np.zeros((3, 2)), np.ones(2, bool), 1, "valid"),
        (np.zeros((3, 2)), np.ones(3, bool), -1, "standard deviation"),
        (np.full((3, 2), np.nan), np.ones(3, bool), 1, "not finite"),
    ],
)
def test_wrong_inputs_are_named(values, valid, std, message):
    with pytest.raises(InputError, match=message):
        gaussian_filtered(values, valid, std)
