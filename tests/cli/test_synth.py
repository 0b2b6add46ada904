"""`flowface synth`: a small capture, and one line for what cannot be done."""

from __future__ import annotations

import pytest

from flowface_jax.cli.main import main
from flowface_jax.fitting.track import Track

SMALL = ["synth", "--cameras", "1", "--frames", "2", "--size", "64", "--no-accessories"]


@pytest.mark.minutes
def test_synth_writes_a_capture_that_other_commands_read(tmp_path, capsys, quick_compilation):
    out = tmp_path / "out"
    assert main([*SMALL, "--moving", "orbit", "--out", str(out), "--quiet"]) == 0
    assert {"camera_00.mp4", "cameras.json", "track.npz", "track.json", "alignment.npz", "capture.json"} <= {
        path.name for path in out.iterdir()
    }
    assert Track.load(out).frame_count == 2
    assert main([*SMALL, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("flowface: ") and error.count("\n") == 1 and "--overwrite" in error


def test_synth_says_in_one_line_what_is_wrong(tmp_path, capsys):
    for options, said in ((["--maps", "colour"], "colour"), (["--frame-rate", "0"], "frame rate")):
        assert main([*SMALL, *options, "--out", str(tmp_path / "out")]) == 2
        error = capsys.readouterr().err
        assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()
