"""`flowface report`: what it writes, and one line for what it cannot use."""

from __future__ import annotations

import pytest

from flowface_jax.cli.main import main
from flowface_jax.heads.store import save_head
from tests.viewing.report.reported import observations, reported_head, reported_track


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A track's folder and the file of its head."""
    place = tmp_path_factory.mktemp("tracked")
    head, track = reported_head(), reported_track()
    save_head(head, place / "head.npz")
    track.save(place / "track")
    observations(track, head).save(place / "track" / "alignment.npz")
    return place / "track", place / "head.npz"


def _run(*arguments):
    try:
        return main(["report", *(str(argument) for argument in arguments)])
    except SystemExit as exit_:
        return exit_.code


def test_the_command_writes_a_page_beside_the_track_and_says_where(tracked, capsys):
    track, head = tracked
    assert _run(track, "--head", head) == 0
    assert f"{track / 'report.html'}: " in capsys.readouterr().out
    assert (track / "report.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert _run(track, "--head", head) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _run(track, "--head", head, "--overwrite", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_the_truth_may_be_anything_that_evaluate_reads(tracked, tmp_path):
    track, head = tracked
    assert _run(track, track, "--head", head, "--out", tmp_path / "page.html", "--quiet") == 0
    assert "Screen space motion error over time" in (tmp_path / "page.html").read_text("utf-8")


def test_wrong_inputs_get_one_line(tracked, tmp_path, capsys):
    track, head = tracked
    out = tmp_path / "out.html"
    for arguments, expected in (
        ((tmp_path, "--head", head), "holds no track.npz"),
        ((tmp_path / "no", "--head", head), "holds no track.npz"),
        ((track, tmp_path / "no", "--head", head), "no such file or folder"),
        ((track, "--head", tmp_path / "no.npz"), "no.npz"),
        ((track,), "load the same head"),
        ((track, "--head", head, "--video", tmp_path / "no.mp4"), "no such file"),
        ((track, "--head", head, "--alignment", tmp_path / "no.npz"), "no such file"),
        ((track, "--head", head, "--out", tmp_path), "is a folder"),
        ((track, "--head", head, "--out", tmp_path / "page.pdf"), "ends in .html"),
    ):
        assert _run("--out", out, *arguments) == 2, arguments
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith("flowface: ") and expected in error, error
    assert not out.exists() and not list(tmp_path.iterdir())
