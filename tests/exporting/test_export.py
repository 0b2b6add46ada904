"""What holds for every export: complete or not at all, nothing overwritten, one clear line where something is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.exporting import TARGETS, Target, export
from tests.exporting.performances import performance


@dataclasses.dataclass(frozen=True)
class _Settings:
    amount: float = 1.0


def _target(write, suffix=""):
    return Target("made-up", "made up", _Settings, write, suffix)


@pytest.fixture
def registered(monkeypatch):
    def register(write, suffix=""):
        monkeypatch.setitem(TARGETS, "made-up", _target(write, suffix))

    return register


def test_an_unknown_target_lists_what_there_is(tmp_path):
    with pytest.raises(InputError, match="expected one of .*glb.*obj.*usd.*, found 'fbx'"):
        export(performance(), "fbx", tmp_path / "x")


def test_what_fails_half_way_leaves_nothing_and_what_was_there_stays(tmp_path, registered):
    def write(_, path, __, ___):
        path.mkdir()
        (path / "half").write_text("half")
        raise InputError("the rest is missing")

    registered(write)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    (tmp_path / "out" / "export.json").write_text("{}")
    with pytest.raises(InputError, match="the rest is missing"):
        export(performance(), "made-up", tmp_path / "out", overwrite=True)
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == [
        "out",
        "out/export.json",
        "out/mine",
    ]


def test_what_is_there_is_replaced_only_if_told(tmp_path, registered):
    registered(lambda _, path, settings, __: path.write_text(str(settings.amount)), ".txt")
    file = export(performance(), "made-up", tmp_path / "a.txt")
    with pytest.raises(InputError, match="exists already; name another, or pass --overwrite"):
        export(performance(), "made-up", file)
    export(performance(), "made-up", file, {"amount": "2"}, overwrite=True)
    assert file.read_text() == "2.0"


def test_a_folder_that_no_export_wrote_is_never_replaced(tmp_path):
    performance().track.save(tmp_path / "track")
    with pytest.raises(InputError, match="not a folder that an export wrote"):
        export(performance(), "ply", tmp_path / "track", overwrite=True)
    assert (tmp_path / "track" / "track.npz").is_file()
    folder = export(performance(), "ply", tmp_path / "out")
    assert export(performance(), "ply", folder, {"unseen": True}, overwrite=True) == folder
    assert (folder / "000009.ply").is_file()


@pytest.mark.parametrize("name", ["a.bin", "a"])
def test_a_file_has_to_have_the_formats_suffix(tmp_path, name):
    with pytest.raises(InputError, match=r"expected a name that ends in .glb"):
        export(performance(), "glb", tmp_path / name)


def test_a_file_where_a_folder_has_to_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; obj is a folder of files"):
        export(performance(), "obj", tmp_path / "file")


def test_a_place_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write .*name a folder that can be written to"):
        export(performance(), "glb", tmp_path / "file" / "inside" / "a.glb")


def test_unknown_settings_and_values(tmp_path):
    with pytest.raises(InputError, match=r"unknown setting glb\.blend; known: cameras"):
        export(performance(), "glb", tmp_path / "a.glb", {"blend": "1"})
    with pytest.raises(InputError, match=r"obj\.space: expected one of world, camera, head, found 'room'"):
        export(performance(), "obj", tmp_path / "out", {"space": "room"})
    assert list(tmp_path.iterdir()) == []


def test_pictures_are_those_of_the_tracks_frames():
    frames = [(n, np.full((2, 2, 3), n, np.uint8)) for n in range(20)]

    class Source:
        info = None

        def __iter__(self):
            from flowface_jax.aligners.frames import Frame

            return (Frame(n, n / 30, image) for n, image in frames)

    subject = dataclasses.replace(performance(), sources=(Source(), Source()))
    assert [int(image[0, 0, 0]) for image in subject.pictures(1)] == [7, 8, 9, 10]
    with pytest.raises(InputError, match="name the tracked clip with --video"):
        next(performance().pictures(0))


def test_every_target_is_documented():
    text = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[2].glob("docs/*.md"))
    missing = [name for name in TARGETS if f"| `{name}`" not in text]
    assert not missing, missing
