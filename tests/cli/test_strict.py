"""`--strict`: a track that is worse than usable is written, and ends the command with code 4 and one line."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.cli.main import main
from flowface_jax.cli.summary import track_summary
from flowface_jax.errors import InputError
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.sequences import make_performance, observe


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """good.npz, and shuffled.npz, whose points are in random order."""
    head = generic_head()
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::8]
    alignment = observe(make_performance(head, 1, 4, 1), head, 2, points=points)
    order = np.random.default_rng(0).permutation(len(points))
    path = tmp_path_factory.mktemp("strict")
    alignment.save(path / "good.npz")
    dataclasses.replace(alignment, mean=alignment.mean[:, :, order], std=alignment.std[:, :, order]).save(
        path / "shuffled.npz"
    )
    return path


@pytest.fixture(scope="module")
def good(folder):
    """The folder of a good track."""
    assert _fit(folder, "good", "--quiet") == 0
    return folder / "good"


def _fit(folder, name, *options):
    arguments = ["fit", folder / f"{name}.npz", "--out", folder / name, "--overwrite", "--set", "fit.error_bars=false"]
    return main([str(argument) for argument in (*arguments, *options)])


@pytest.mark.minutes
def test_a_good_track_passes(folder, capsys):
    assert _fit(folder, "good", "--strict") == 0
    assert "verdict: good\n" in capsys.readouterr().out
    track = Track.load(folder / "good")
    assert track.verdict == "good"
    assert track.region_names[0] == "all" and {"mouth", "left_eye", "nose"} < set(track.region_names)
    assert track.region_chi_square.shape == (4, len(track.region_names))
    quality = json.loads((folder / "good" / "track.json").read_text())["quality"]
    assert quality["reduced_chi_square"] == pytest.approx(1.0, abs=0.4)
    assert set(quality["regions"]) == set(track.region_names)


def test_a_failed_track_is_written_and_refused(folder, capsys):
    assert _fit(folder, "shuffled", "--strict", "--quiet") == 4
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("flowface: the track is failed: median residual")
    assert str(folder / "shuffled") in captured.err
    assert Track.load(folder / "shuffled").verdict == "failed"
    assert _fit(folder, "shuffled") == 0
    assert "verdict: failed: median residual" in capsys.readouterr().out


def test_tracks_of_older_versions_load_without_regions(good, tmp_path):
    with np.load(good / "track.npz") as archive:
        arrays = dict(archive)
    record = json.loads((good / "track.json").read_text())
    del record["quality"]
    (tmp_path / "track.json").write_text(json.dumps(record))
    np.savez(tmp_path / "track.npz", **{name: a for name, a in arrays.items() if not name.startswith("region")})
    track = Track.load(tmp_path)
    assert track.verdict is None and track.region_names == () and track.region_hidden.shape == (4, 0)
    assert "verdict" not in track_summary(track, tmp_path)
    np.savez(tmp_path / "track.npz", **{**arrays, "region_chi_square": arrays["region_chi_square"][:2]})
    with pytest.raises(InputError, match="region_chi_square has shape"):
        Track.load(tmp_path)


def test_a_summary_without_numbers_is_still_one(good):
    """Unknown figures are null in the file and a dash on the screen."""
    track = Track.load(good)
    record = track.summary
    record["residual"] = dict.fromkeys(record["residual"])
    record["quality"]["reduced_chi_square_median"] = None
    assert "median – %" in track_summary(dataclasses.replace(track, record=json.dumps(record)), good)
