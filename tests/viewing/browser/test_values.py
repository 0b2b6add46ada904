"""Colours say what they claim: residuals in px and σ, error bars in mm, on one scale for all frames."""

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.viewing.browser.legend import legend_picture
from flowface_jax.viewing.browser.values import (
    ALIGNMENT_SIGMA,
    PLAIN,
    RESIDUAL,
    RESIDUAL_SIGMAS,
    SHAPE_UNCERTAINTY,
    UNCERTAINTY,
    UNITS,
    SurfaceValues,
)
from flowface_jax.viewing.browser.vertices import VertexStore
from tests.viewing.browser.shows import shaped_head, shown_track
from tests.viewing.report.reported import observations


@pytest.fixture(scope="module")
def values():
    head, track = shaped_head(), shown_track()
    return SurfaceValues(track, head, VertexStore(track, head), observations(track, head))


def test_residuals_are_those_of_the_alignment(values):
    # Observed 3 and 4 px beside the fit, with σ 2.
    assert np.allclose(values.of(RESIDUAL, 1, 0), 5, atol=1e-3)
    assert np.allclose(values.of(RESIDUAL_SIGMAS, 1, 0), 2.5, atol=1e-3)
    assert np.allclose(values.of(ALIGNMENT_SIGMA, 1, 0), 2)


def test_a_frame_without_a_face_has_no_residuals(values):
    assert np.isnan(values.of(RESIDUAL, 4, 0)).all()


def test_error_bars_are_the_tracks_and_infinite_ones_are_unknown():
    head, track = shaped_head(), shown_track()
    spread = np.array(track.uncertainty.vertices_mm)
    spread[2, 7] = np.inf
    track = dataclasses.replace(track, uncertainty=dataclasses.replace(track.uncertainty, vertices_mm=spread))
    values = SurfaceValues(track, head, VertexStore(track, head), None)
    found = values.of(UNCERTAINTY, 2, 0)
    assert np.isnan(found[7]) and np.allclose(np.delete(found, 7), np.delete(spread[2], 7))
    assert np.allclose(values.of(SHAPE_UNCERTAINTY, 2, 0), track.uncertainty.neutral_mm)


def test_scales_are_one_for_all_frames_and_hold_the_values(values):
    assert values.span(RESIDUAL) == pytest.approx((0, 5), abs=1e-3)
    assert values.span(RESIDUAL_SIGMAS) == (0, 3)
    low, high = values.span(UNCERTAINTY)
    assert 1 <= low < high <= 2


def test_only_what_is_known_is_offered(values):
    head, track = shaped_head(), shown_track(uncertainty=None)
    assert SurfaceValues(track, head, VertexStore(track, head), None).available == (PLAIN,)
    assert values.available == (PLAIN, *UNITS)


def test_an_alignment_of_other_frames_is_refused(values):
    head, track = shaped_head(), shown_track()
    other = dataclasses.replace(observations(track, head), frame_ids=np.arange(5) + 1)
    with pytest.raises(InputError, match="give the alignment that the track was fitted to"):
        SurfaceValues(track, head, VertexStore(track, head), other)


@pytest.mark.parametrize("name", UNITS)
def test_every_scale_can_be_drawn_and_begins_dark(name):
    picture = legend_picture(name, (0.0, 4.0))
    bar = picture[36]
    assert bar[12].sum() < 250 < bar[-13].sum()
