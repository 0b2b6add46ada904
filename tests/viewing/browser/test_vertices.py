"""Vertices on demand are the track's own, in any order, with what a user holds in place of the track's numbers."""

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.viewing.browser.vertices import NO_EDITS, Edits, VertexStore
from tests.fitting.small import small_head
from tests.viewing.browser.shows import FRAMES, shaped_head, shown_track


def test_each_frame_is_the_tracks_in_any_order_and_in_little_memory():
    head, track = shaped_head(), shown_track()
    store = VertexStore(track, head, memory=1)
    for frame in (4, 0, 2, 3, 1, 4):
        assert np.allclose(store.world(frame), track.world_vertices(head, frame), atol=1e-6)


def test_held_coefficients_replace_the_tracks_until_they_are_let_go():
    head, track = shaped_head(), shown_track()
    store = VertexStore(track, head)
    raised = NO_EDITS.holding("expression", 0, 2.0)
    held = store.world(1, raised.holding("identity", 0, 1.0))
    moved = np.linalg.norm(store.world(1, raised) - store.world(1), axis=-1)
    assert np.allclose(moved, 0.02, atol=1e-6)
    longer = np.linalg.norm(held - store.world(1, raised), axis=-1)
    assert np.allclose(longer, 0.1 * np.abs(np.asarray(head.template)[:, 2]), atol=1e-6)
    identity, expression = store.coefficients(1, raised)
    assert expression[0] == 2.0 and identity[0] == track.identity[0]
    assert np.allclose(store.world(1), track.world_vertices(head, 1), atol=1e-6)


def test_holding_a_coefficient_again_replaces_its_value():
    edits = NO_EDITS.holding("identity", 3, 1.0).holding("identity", 1, 2.0).holding("identity", 3, -1.0)
    assert edits == Edits(identity=((1, 2.0), (3, -1.0))) and edits and not NO_EDITS


def test_another_head_is_refused():
    with pytest.raises(InputError, match="load the same head"):
        VertexStore(shown_track(), small_head())


def test_frames_of_a_track_have_their_places():
    assert VertexStore(shown_track(), shaped_head()).world(FRAMES - 1).shape == shown_track().offsets.shape
