"""What is asked of the network: which vertices face each other across lids and mouth."""

import dataclasses

import numpy as np

from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import restrict
from flowface_jax.training.supervision import make_supervision


def test_openings_are_pairs_of_vertices_across_closed_lips_and_open_lids():
    head = generic_head()
    openings = np.asarray(make_supervision(head, 8).openings)
    assert openings.shape[1] == 2 and len(np.unique(openings)) == openings.size
    height = np.asarray(head.template)[openings][..., 1]
    gap = height[:, 0] - height[:, 1]
    lips, lids = gap[:7], gap[7:]
    np.testing.assert_allclose(lips, 0, atol=5e-4)
    assert (lids > 4e-3).all() and (lids < 12e-3).all()


def test_openings_at_rest_are_those_of_the_mean_head_in_radii_of_its_points():
    head = generic_head()
    at_rest = np.asarray(make_supervision(head, 8).openings_at_rest)
    np.testing.assert_allclose(at_rest[:7], 0, atol=0.02)
    assert (at_rest[7:] > 0.05).all() and (at_rest[7:] < 0.4).all()


def test_a_head_without_mediapipe_points_has_no_openings():
    head = generic_head()
    bare = dataclasses.replace(head, mediapipe=restrict(head, np.arange(2)).mediapipe)
    assert make_supervision(bare, 8).openings.shape == (0, 2)
