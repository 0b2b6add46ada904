"""The viewer without a browser: what controls ask for is what is drawn, and a server without visitors serves."""

import dataclasses
import threading
import urllib.request

import cv2
import numpy as np
import pytest

from flowface_jax.viewing.browser.serving import start_server, stop_server
from flowface_jax.viewing.browser.session import Viewer, png_of, video_size
from flowface_jax.viewing.browser.shown import make_show, open_show
from flowface_jax.viewing.browser.values import RESIDUAL, UNCERTAINTY
from flowface_jax.viewing.browser.vertices import NO_EDITS
from flowface_jax.viewing.browser.viewing import view
from tests.viewing.browser.shows import frame_of, shaped_head, write_show

pytest.importorskip("viser")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_show(tmp_path_factory.mktemp("show"))


@pytest.fixture
def viewer(folder):
    track, _, clip = folder
    server = start_server("127.0.0.1", 0, "track")
    viewer = Viewer(server, open_show([track], [shaped_head()], [clip]), components=2)
    yield viewer
    viewer.close()
    stop_server(server)


def _node(viewer):
    return viewer._nodes[0]


def test_a_chosen_frame_is_drawn_with_its_picture(viewer):
    for frame in (3, 1):
        viewer.change(frame=frame)
        viewer.step(0.0)
        assert np.allclose(_node(viewer)._plain.vertices, viewer.show.tracks[0].store.world(frame))
        assert frame_of(_node(viewer)._cameras[0]._picture.image) == frame


def test_playing_goes_on_and_stepping_stops_it(viewer):
    viewer.change(rate=10.0, toggle_playing=True)
    begun = viewer._clock.since
    viewer.step(begun + 0.25)
    assert viewer.state.playing and viewer.state.frame == 2
    viewer.change(step=-1)
    assert not viewer.state.playing and viewer.state.frame == 1
    viewer.change(step=-5)
    assert viewer.state.frame == 0


def test_sliders_of_the_shape_hold_until_reset(viewer):
    viewer.step(0.0)
    before = np.array(_node(viewer)._plain.vertices)
    viewer.edit(0, "expression", 0, 1.0)
    viewer.step(0.0)
    assert np.allclose(np.linalg.norm(_node(viewer)._plain.vertices - before, axis=-1), 0.01, atol=1e-6)
    sliders = dict((at, slider) for slider, at in viewer._panel._sliders[0])
    assert sliders[1, 0].value == 1.0 and len(sliders) == 4
    viewer.reset(0)
    viewer.step(0.0)
    assert viewer.state.edits_of(0) == NO_EDITS and np.allclose(_node(viewer)._plain.vertices, before)


def test_colours_come_in_place_of_the_plain_mesh_once_they_have_settled(viewer, monkeypatch):
    viewer.step(0.0)
    viewer.change(colour=UNCERTAINTY)
    viewer.step(0.0)
    assert _node(viewer)._plain.visible, "nothing blinks while the browser takes up the colours"
    monkeypatch.setattr("flowface_jax.viewing.browser.nodes._SETTLING", 0.0)
    viewer.step(0.0)
    front = lambda: [handle is not None and handle.visible for handle in _node(viewer)._coloured._both]
    assert not _node(viewer)._plain.visible and front().count(True) == 1
    shown = front()
    viewer.change(frame=2, colour=RESIDUAL)
    viewer.step(0.0)
    assert front() == shown[::-1], "the two meshes take turns"
    viewer.change(colour="plain")
    viewer.step(0.0)
    assert _node(viewer)._plain.visible and not any(front())


def test_a_frame_that_a_track_lacks_hides_its_mesh(viewer):
    short = viewer.show.tracks[0]
    places = {number: place for number, place in short.places.items() if number != 2}
    viewer.renew(make_show([dataclasses.replace(short, places=places)]))
    viewer.change(frame=2)
    viewer.step(0.0)
    assert not _node(viewer)._plain.visible
    viewer.change(frame=1)
    viewer.step(0.0)
    assert _node(viewer)._plain.visible


def test_a_newer_track_takes_the_place_of_the_last_and_the_view_stays(viewer, folder):
    viewer.change(frame=3)
    viewer.step(0.0)
    old = viewer.show.tracks[0]
    track = dataclasses.replace(old.track, head_translation=old.track.head_translation + np.float32([0.01, 0, 0]))
    track.save(folder[0].parent / "newer")
    nodes = _node(viewer)
    viewer.renew(open_show([folder[0].parent / "newer"], [shaped_head()], [folder[2]], beside=[folder[0]]))
    viewer.step(0.0)
    assert viewer.state.frame == 3 and _node(viewer) is nodes
    assert np.allclose(nodes._plain.vertices - old.store.world(3), [0.01, 0, 0], atol=1e-6)


def test_a_newer_track_with_other_frames_is_shown_as_well(viewer, folder):
    viewer.change(frame=4)
    twice = open_show([folder[0], folder[0]], [shaped_head()])
    viewer.renew(dataclasses.replace(twice, frame_ids=twice.frame_ids[:3]))
    viewer.step(0.0)
    assert viewer.state.frame == 2 and len(viewer._nodes) == 2


def test_it_serves_until_it_is_told_to_stop(folder):
    stop, pages = threading.Event(), []

    def started(server):
        def visit():
            with urllib.request.urlopen(f"http://127.0.0.1:{server.get_port()}", timeout=10) as page:
                pages.append(page.read())
            stop.set()

        threading.Thread(target=visit, daemon=True).start()

    view([folder[0]], [shaped_head()], videos=[folder[2]], port=0, started=started, stop=stop)
    assert b"<html" in pages[0].lower()


def test_waiting_for_a_track_it_serves_and_takes_it_up_when_it_comes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("flowface_jax.viewing.browser.viewing.POLL", 0.05)
    stop, seen = threading.Event(), []
    renewed = Viewer.tell
    monkeypatch.setattr(Viewer, "tell", lambda self, news: (seen.append(news), renewed(self, news), stop.set()))
    timer = threading.Timer(20, stop.set)
    timer.start()

    def started(server):
        open_show([folder[0]], [shaped_head()]).tracks[0].track.save(tmp_path / "new" / "live")

    view([tmp_path / "new"], [shaped_head()], port=0, live=True, started=started, stop=stop)
    timer.cancel()
    assert seen == ["new: the fit goes on, 3 steps, energy 10"] or "the fit goes on, 3 steps, energy 10" in seen[0]


def test_pictures_are_sent_as_they_are_with_white_behind():
    picture = np.zeros((2, 2, 4), np.uint8)
    picture[0, 0] = [200, 10, 30, 255]
    back = cv2.imdecode(np.frombuffer(png_of(picture), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back[0, 0].tolist() == [200, 10, 30] and back[1, 1].tolist() == [255] * 3


def test_films_have_the_windows_shape_in_even_numbers():
    assert video_size(16 / 9) == (960, 540)
    width, height = video_size(1.2345)
    assert width % 2 == height % 2 == 0 and width / height == pytest.approx(1.2345, abs=0.01)
    assert video_size(40.0)[0] < 1400 and video_size(0.01)[0] > 200
