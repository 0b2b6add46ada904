"""The page: it holds the track's numbers, nothing from elsewhere, and says what is missing."""

from __future__ import annotations

import base64
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import sequence_of_track
from flowface_jax.viewing.report import page_html, report_contents, write_report
from flowface_jax.viewing.report.video import overlay_video
from flowface_jax.viewing.video_writer import write_video
from tests.fitting.small import small_head
from tests.synthesis.domes import IMAGE_SIDE
from tests.viewing.report.reported import FLAGS, RESIDUAL, YAW, observations, reported_head, reported_track

HEAD = reported_head()


def _film(path):
    tones = np.linspace(40, 200, len(YAW)).astype(np.uint8)
    write_video(path, [np.full((IMAGE_SIDE, IMAGE_SIDE, 3), tone, np.uint8) for tone in tones], 25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tracks") / "a <track> & more"
    track = reported_track()
    track.save(place)
    observations(track, HEAD).save(place / "alignment.npz")
    _film(place / "overlay.mp4")
    (place / "request.json").write_text(json.dumps({"inputs": [{"name": "<script>alert(1)</script>.mp4"}]}))
    return place


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    truth = sequence_of_track(reported_track(), HEAD, "the <truth>")
    return write_report(folder, tmp_path_factory.mktemp("page") / "page.html", HEAD, truth).read_text("utf-8")


class _Outline(HTMLParser):
    """Elements with their attributes; complains where one is not closed."""

    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "path", "rect"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _outline(page):
    outline = _Outline()
    outline.feed(page)
    assert not outline.open
    return outline.found


def _data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def test_nothing_is_loaded_from_elsewhere(page):
    # A colon is no letter of base64, so the bytes of the video cannot look like an address.
    assert "://" not in page
    for tag, attributes in _outline(page):
        assert tag not in ("link", "iframe", "object", "embed", "base")
        for name in ("src", "href", "poster", "data"):
            assert attributes.get(name, "#").startswith(("data:", "#")), (tag, name)
    assert "default-src 'none'" in page


def test_texts_of_the_track_are_escaped(page):
    assert "a &lt;track&gt; &amp; more" in page and "a note &amp; more" in page
    assert "look at &lt;b&gt;two&lt;/b&gt; frames" in page and "not followed: &lt;lips&gt;" in page
    assert "alert(1)" in page and "<script>alert" not in page and "the &lt;truth&gt;" in page
    assert _data(page)["reasons"] == ["", "not followed: <lips>", "no face"]


def test_curves_hold_the_tracks_numbers(page):
    data = _data(page)
    expected = [None if np.isnan(v) else float(v) for v in RESIDUAL[0]]
    assert data["charts"]["residual-0"][0] == expected
    yaw = data["charts"]["motion-0"][0]
    np.testing.assert_allclose(yaw[:4], YAW[:4], atol=1e-2)
    assert data["ids"] == list(range(len(YAW))) and data["flags"] == [0, 1, 1, 0, 2]


def test_every_curve_over_frames_has_its_numbers_and_a_cursor(page):
    charts = [a["id"] for tag, a in _outline(page) if tag == "figure" and "frames" in a.get("class", "")]
    assert set(charts) == set(_data(page)["charts"]) and len(charts) >= 7
    assert page.count('class="cursor"') == len(charts)


def test_flags_lead_to_their_first_frame(page):
    flags = page[page.index('<section id="flags">') : page.index('<section id="residual">')]
    assert re.findall(r'data-frame="(\d+)">([^<]+)<', flags) == [("1", "1–2"), ("4", "4")]
    assert html.escape(FLAGS[2]["reasons"][0]) in flags


def test_the_video_is_the_overlay_itself(page, folder):
    held = re.search(r'<video [^>]*src="data:video/mp4;base64,([^"]+)"', page).group(1)
    assert base64.b64decode(held) == (folder / "overlay.mp4").read_bytes()
    assert _data(page)["rate"] == 25


def test_tables_and_facts_hold_the_record(page):
    for text in ("usable", "1.25", "0.875", "1089", "temporal_weight", "200", "3 steps, converged", "12.5", "made up"):
        assert f">{text}<" in page, text


def test_truth_shows_errors_per_vertex_and_of_motion(page):
    truth = page[page.index('<section id="truth">') : page.index('<section id="regions">')]
    assert "Screen space motion error over the window" in truth and truth.count('class="map"') == 2
    assert "SSME, px" in truth


def test_the_same_track_makes_the_same_bytes(folder, tmp_path):
    first, second = (write_report(folder, tmp_path / f"{n}.html", HEAD).read_bytes() for n in (1, 2))
    assert first == second


def test_what_is_missing_leaves_its_part_out_with_a_sentence(tmp_path):
    reported_track(energy_history=np.zeros(0, np.float32), record='{"head": {"name": "dome"}}').save(tmp_path / "t")
    page = write_report(tmp_path / "t", None, HEAD).read_text("utf-8")
    assert "<video" not in page and "<img" not in page
    for sentence in (
        "no overlay.mp4",
        "no alignment lies beside",
        "no energy history",
        "No truth was given",
        "No frame is flagged",
        "holds no regions",
        "holds no verdict",
    ):
        assert sentence in page
    _outline(page)


def test_a_track_in_which_nothing_was_seen_has_a_report():
    nothing = np.full((1, len(YAW)), np.nan, np.float32)
    track = reported_track(observed=np.zeros((1, len(YAW)), bool), residual_px=nothing, residual_p90_px=nothing)
    _outline(page_html(report_contents(track, HEAD, observations(track, HEAD))))


def test_clips_are_drawn_over_and_must_be_those_that_were_tracked(folder, tmp_path):
    reported_track().save(tmp_path / "t")
    _film(tmp_path / "clip.mp4")
    made = write_report(tmp_path / "t", None, HEAD, alignment=folder / "alignment.npz", videos=[tmp_path / "clip.mp4"])
    assert "data:video/mp4" in made.read_text("utf-8")
    write_video(tmp_path / "small.mp4", [np.zeros((64, 64, 3), np.uint8)] * 5, 25)
    with pytest.raises(InputError, match="the clip that was tracked"):
        write_report(tmp_path / "t", tmp_path / "b.html", HEAD, videos=[tmp_path / "small.mp4"])
    with pytest.raises(InputError, match=r"expected 1 clip\(s\)"):
        write_report(tmp_path / "t", tmp_path / "b.html", HEAD, videos=[tmp_path / "clip.mp4"] * 2)
    assert not (tmp_path / "b.html").exists()


def test_a_video_that_is_too_large_is_made_smaller_or_left_out(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (5, IMAGE_SIDE, IMAGE_SIDE, 3)).astype(np.uint8)
    write_video(tmp_path / "noise.mp4", noise, 25, quality=10)
    size = (tmp_path / "noise.mp4").stat().st_size
    smaller = overlay_video(tmp_path / "noise.mp4", [0, 3], largest=size // 2)
    assert len(smaller.payload) <= size // 2 and sorted(smaller.pictures) == [0, 3]
    assert overlay_video(tmp_path / "noise.mp4", [0], largest=100) is None


def test_a_page_that_is_there_is_kept_unless_told_and_whatever_fails(folder, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("mine")
    with pytest.raises(InputError, match="--overwrite"):
        write_report(folder, file, HEAD)
    with pytest.raises(InputError):
        write_report(folder, file, HEAD, tmp_path / "no truth", overwrite=True)
    assert file.read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["page.html"]
    write_report(folder, file, HEAD, overwrite=True)
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>")


def test_another_head_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="load the same head"):
        write_report(folder, tmp_path / "page.html", small_head())
