"""Films of a view, drawn without a browser: the mesh is where the picture shows it."""

import dataclasses

import numpy as np
import pytest

from flowface_jax.viewing.browser.drawing import draw_views, track_angles, whole_view
from flowface_jax.viewing.browser.placing import Pose, fitting_view
from flowface_jax.viewing.browser.shown import open_show
from flowface_jax.viewing.browser.state import ViewState
from flowface_jax.viewing.browser.values import RESIDUAL, SIGMA_LIMIT
from tests.synthesis.domes import IMAGE_SIDE
from tests.viewing.browser.shows import shaped_head, shown_track, write_show

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")

HERE = Pose(np.eye(3), np.zeros(3))
SIZE = (IMAGE_SIDE, IMAGE_SIDE)


@pytest.fixture(scope="module")
def show(tmp_path_factory):
    track, _, clip = write_show(tmp_path_factory.mktemp("show"))
    return open_show([track], [shaped_head()], [clip])


def _drawn(show, state, frames=(0,), size=SIZE, eye=HERE):
    view = fitting_view(*whole_view(show, state.camera, state.side_by_side), size[0] / size[1])
    return list(draw_views(show, state, frames, eye, view, size))


def test_through_the_camera_the_picture_fills_the_view_and_the_mesh_covers_its_pixels(show):
    without, with_mesh = (_drawn(show, ViewState(mesh=mesh))[0].astype(int) for mesh in (False, True))
    # The caption is in the bottom left corner.
    assert np.abs(without[:200] - 40).max() <= 3
    changed = np.abs(with_mesh - without).sum(-1) > 30
    pixels = np.asarray(shown_track().image_vertices(shaped_head(), 0))[0]
    rows, columns = np.nonzero(changed)
    low, high = pixels.min(0), pixels.max(0)
    assert np.abs(np.asarray([columns.min(), rows.min()]) - low).max() < 2.5
    assert np.abs(np.asarray([columns.max() + 1, rows.max() + 1]) - high).max() < 2.5


def test_each_frame_shows_its_own_picture(show):
    frames = _drawn(show, ViewState(mesh=False), (0, 2, 4))
    assert [round((float(f[50, 50].mean()) - 40) / 30) for f in frames] == [0, 2, 4]


def test_half_transparent_meshes_lie_between(show):
    middle = (IMAGE_SIDE // 2, IMAGE_SIDE // 2)
    solid, half, none = (
        _drawn(show, state)[0][middle].astype(int)
        for state in (ViewState(), ViewState(opacity=0.5), ViewState(mesh=False))
    )
    assert np.abs(half - (solid + none) / 2).max() <= 2


def test_values_colour_the_mesh_and_a_scale_is_there(show):
    state = ViewState(colour=RESIDUAL)
    plain, coloured = (_drawn(show, s, (1,))[0].astype(int) for s in (ViewState(), state))
    assert np.abs(coloured[128, 128] - plain[128, 128]).max() > 60
    assert (coloured[1, 1] == 255).all() and SIGMA_LIMIT > 0


def test_wires_leave_most_of_the_picture(show):
    drawn, bare = (_drawn(show, s)[0].astype(int) for s in (ViewState(wireframe=True), ViewState(mesh=False)))
    changed = np.abs(drawn - bare).sum(-1) > 12
    assert 0 < changed[60:196, 60:196].mean()


def test_two_tracks_stand_side_by_side_each_on_its_picture(show):
    both = dataclasses.replace(show, tracks=show.tracks * 2)
    wide = (2 * IMAGE_SIDE, IMAGE_SIDE)
    drawn = _drawn(both, ViewState(), (0,), wide)[0].astype(int)
    angles = track_angles(both, 0, True)
    assert angles[0] == pytest.approx(-angles[1]) and angles[0] < 0
    assert track_angles(both, 0, False) == [0.0, 0.0]
    for column in (IMAGE_SIDE // 2, 3 * IMAGE_SIDE // 2):
        assert (drawn[IMAGE_SIDE // 2, column] > 80).all(), "a mesh before the middle of each picture"
    assert np.abs(drawn[8, IMAGE_SIDE // 2] - 40).max() <= 3, "with its picture around it"


def test_from_behind_nothing_is_drawn_and_nothing_fails(show):
    away = Pose(np.diag([-1.0, 1.0, -1.0]), np.zeros(3))
    drawn = _drawn(show, ViewState(), (0,), eye=away)[0]
    assert (drawn[:200] == 255).all()


def test_coefficients_that_are_held_show(show):
    state = ViewState()
    held = state.with_edits(0, state.edits_of(0).holding("expression", 0, 1.0))
    rows = [
        np.nonzero((np.abs(_drawn(show, s)[0].astype(int) - 40).sum(-1) > 60)[:200])[0].min() for s in (state, held)
    ]
    # 1 cm up before a camera of 700 px at 60 cm.
    assert rows[0] - rows[1] == pytest.approx(11.7, abs=2)
