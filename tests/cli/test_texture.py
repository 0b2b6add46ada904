"""`flowface texture`: what it writes, and one line for what it cannot use."""

from __future__ import annotations

import pytest

from flowface_jax.cli.main import main
from flowface_jax.heads.store import save_head
from flowface_jax.synthesis.textures import load_texture
from tests.synthesis.domes import dome_head, head_rotation, picture, skin_pattern, track_of, write_pictures

ROTATIONS = [head_rotation(yaw) for yaw in (-20, 20)]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory):
    """Folders of the track and of its pictures, and the file of its head."""
    place = tmp_path_factory.mktemp("film")
    head = dome_head()
    save_head(head, place / "head.npz")
    track_of(ROTATIONS).save(place / "track")
    pictures = [picture(head, rotation, skin_pattern(256)) for rotation in ROTATIONS]
    return place / "track", write_pictures(place / "frames", pictures), place / "head.npz"


def _run(*arguments):
    try:
        return main(["texture", *(str(argument) for argument in arguments)])
    except SystemExit as exit_:
        return exit_.code


def test_the_command_writes_a_texture_and_says_where(filmed, tmp_path, capsys):
    track, frames, head = filmed
    arguments = (track, frames, "--head", head, "--out", tmp_path / "made", "--side", 64)
    assert _run(*arguments) == 0
    said = capsys.readouterr().out
    assert "texture.npz" in said and "2 frames" in said
    assert load_texture(tmp_path / "made").side == 64
    assert {"texture.npz", "texture.png", "confidence.png"} == {file.name for file in (tmp_path / "made").iterdir()}
    assert _run(*arguments) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert _run(*arguments, "--overwrite", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_wrong_inputs_get_one_line(filmed, tmp_path, capsys):
    track, frames, head = filmed
    for arguments, expected in (
        ((tmp_path, frames, "--head", head), "holds no track.npz"),
        ((track, tmp_path / "no.mp4", "--head", head), "no such file"),
        ((track, frames, "--head", head, "--side", 63), "multiple of 8"),
        ((track, frames, "--head", head, "--max-frames", 0), "at least one frame"),
        ((track, frames, "--head", tmp_path / "no.npz"), "no.npz"),
    ):
        assert _run(*arguments, "--out", tmp_path / "out") == 2
        error = capsys.readouterr().err
        assert error.startswith("flowface: ") and error.count("\n") == 1 and expected in error
    assert not (tmp_path / "out").exists()
