"""`flowface track-all`: its options reach the batch, its exit codes, and one line for what it cannot use."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pytest

from flowface_jax.batches import batch as batch_module
from flowface_jax.batches.settings import BatchSettings
from flowface_jax.cli import track_all
from flowface_jax.cli.main import main
from flowface_jax.pipeline import TRACK_CONFIG
from tests.aligners.films import write_film
from tests.batches.stand_in import count_frames


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("one", "two"):
        write_film(folder / f"{name}.mp4", [np.full((16, 16, 3), 50, np.uint8)] * 3)
    return folder


@pytest.fixture
def jobs(monkeypatch):
    """The command with a stand-in for tracking; the jobs that it was given."""
    given = []

    def stand_in(job):
        given.append(job)
        return count_frames(job)

    run_batch = batch_module.run_batch
    monkeypatch.setattr(track_all, "run_batch", lambda *options: run_batch(*options, function=stand_in))
    return given


def _refused(capsys, *arguments, code=2):
    """The single line that the command says when it exits with `code`."""
    try:
        found = main(["track-all", *map(str, arguments), "--quiet"])
    except SystemExit as exit_:
        found = exit_.code
    error = capsys.readouterr().err
    assert found == code, error
    assert error.startswith("flowface: ") and error.count("\n") == 1, error
    return error


def test_all_done_is_exit_code_0_and_a_paragraph(films, jobs, tmp_path, capsys):
    assert main(["track-all", str(films), "--out", str(tmp_path / "out")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("2 videos: 2 done; 2 tracks: 2 good") and out.count("\n") == 1
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        assert [row["input"] for row in csv.DictReader(file)] == ["one.mp4", "two.mp4"]
    assert len(jobs) == 2
    assert main(["track-all", str(films), "--out", str(tmp_path / "out"), "-q"]) == 0
    assert len(jobs) == 2


def test_failures_are_exit_code_5_and_can_be_tried_again(films, jobs, tmp_path, capsys):
    good = (films / "two.mp4").read_bytes()
    (films / "two.mp4").write_text("no film")
    error = _refused(capsys, films, "--out", tmp_path / "out", code=5)
    assert "1 of 2 rows of the table failed, the first two.mp4: " in error and "--retry-failed" in error
    (films / "two.mp4").write_bytes(good)
    assert _refused(capsys, films, "--out", tmp_path / "out", code=5)
    assert main(["track-all", str(films), "--out", str(tmp_path / "out"), "--retry-failed", "-q"]) == 0


def test_options_reach_every_job(films, jobs, tmp_path):
    options = ["--people", "one", "--no-cuts", "--no-overlay", "--focal", "900", "--aligner", "mediapipe"]
    options += ["--set", "fit.max_iterations=7", "--set", "people.patience_s=1"]
    assert main(["track-all", str(films), "--out", str(tmp_path / "out"), "-q", *options]) == 0
    settings = jobs[0].settings
    assert (settings.people, settings.cuts, settings.overlay, settings.focal) == ("one", None, False, 900.0)
    assert settings.aligner == "mediapipe" and settings.linking.patience_s == 1.0
    assert settings.fit.max_iterations == 7 and settings.fit.maximum_points == TRACK_CONFIG.maximum_points


def test_without_options_a_batch_is_as_from_python(films, jobs, tmp_path):
    assert main(["track-all", str(films), "--out", str(tmp_path / "out"), "-q"]) == 0
    assert jobs[0].settings == BatchSettings().checked()


def test_what_cannot_be_used_is_one_line(films, jobs, tmp_path, capsys):
    out = ["--out", tmp_path / "out"]
    assert "no such file or folder" in _refused(capsys, tmp_path / "nowhere", *out)
    assert "unrecognized arguments: --overwrite" in _refused(capsys, films, *out, "--overwrite")
    assert "--out" in _refused(capsys, films)
    assert "expected fit.NAME=VALUE, cuts.NAME" in _refused(capsys, films, *out, "--set", "speed=9")
    assert "unknown setting cuts.speed" in _refused(capsys, films, *out, "--set", "cuts.speed=9")
    assert "1 or more videos at a time" in _refused(capsys, films, *out, "--jobs", "0")
    assert "focal: expected a number above 0" in _refused(capsys, films, *out, "--focal", "-3")
    assert "unknown aligner 'openface'" in _refused(capsys, films, *out, "--aligner", "openface")
    assert "no head at" in _refused(capsys, films, *out, "--head", tmp_path / "flame.pkl")
    assert not (tmp_path / "out").exists() and not jobs


def test_several_jobs_without_ray_name_the_extra(films, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    error = _refused(capsys, films, "--out", tmp_path / "out", "--jobs", "2", code=3)
    assert "pip install 'flowface-jax[batches]'" in error
