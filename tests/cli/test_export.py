"""`flowface export` as a user runs it."""

from __future__ import annotations

import pytest

from flowface_jax.cli.main import main
from tests.exporting.performances import performance


@pytest.fixture(scope="module")
def track(tmp_path_factory):
    folder = tmp_path_factory.mktemp("track")
    performance().track.save(folder)
    return folder


def test_without_out_it_lies_beside_the_track(track, capsys):
    assert main(["export", str(track), "--to", "glb", "--set", "glb.cameras=false"]) == 0
    assert capsys.readouterr().out == f"{track / 'glb.glb'}\n"
    assert (track / "glb.glb").read_bytes()[:4] == b"glTF"


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--to", "fbx"], "--to: expected one of"),
        (["--to", "glb", "--set", "obj.unit=mm"], "--set: expected glb.NAME=VALUE"),
        (["--to", "glb", "--video", "a.mp4"], "the track has 2 camera(s), found 1 --video clip(s)"),
        (["--to", "glb", "--out", "there.txt"], "expected a name that ends in .glb"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(track, capsys, arguments, complaint):
    assert main(["export", str(track), *arguments]) == 2
    said = capsys.readouterr().err
    assert complaint in said and said.count("\n") == 1


def test_a_folder_without_a_track(tmp_path, capsys):
    assert main(["export", str(tmp_path), "--to", "glb"]) == 2
    assert "holds no track.npz" in capsys.readouterr().err


def test_help_lists_the_targets(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    said = capsys.readouterr().out
    assert "targets:" in said and "  glb" in said
