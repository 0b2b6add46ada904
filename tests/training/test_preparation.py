"""`flowface prepare`: from a data set's layout to samples that training reads; interrupted, gone on with, refused."""

import json

import numpy as np
import pytest

from flowface_jax.cli.main import main
from flowface_jax.errors import InputError
from flowface_jax.training import preparation
from flowface_jax.training.archive import open_archive
from flowface_jax.training.datasets import ReaderSettings, open_dataset
from flowface_jax.training.labelling import label
from flowface_jax.training.mixture import FileBatches
from flowface_jax.training.preparation import prepare
from flowface_jax.training.samples import SampleConfig
from tests.training import replicas
from tests.training.replicas import head

CONFIG = SampleConfig(side=96)


@pytest.fixture
def facescape(tmp_path, monkeypatch):
    """Four units, each in a shard of its own."""
    monkeypatch.setattr(preparation, "UNITS_PER_SHARD", 1)
    return replicas.facescape(tmp_path, subjects=("7", "8"))


def reader_of(replica, **settings):
    return open_dataset("facescape", replica.root, head(), ReaderSettings(**settings), replica.registrations)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_samples_are_those_of_the_reader_in_its_order(facescape, tmp_path):
    reader = reader_of(facescape)
    about = prepare(reader, head(), tmp_path / "out", CONFIG)
    archive = open_archive(tmp_path / "out")
    views = [view for unit in reader.units() for view in reader.views(unit, _problems())]
    assert len(archive) == len(views) == 12 and about["refused"]["photograph missing"] == 4
    for sample, view in zip(archive, views, strict=True):
        expected = label(view, head(), CONFIG)
        assert sample.source == expected.source
        np.testing.assert_array_equal(sample.points, expected.points)
        np.testing.assert_array_equal(sample.foreground, expected.foreground)
    batch = FileBatches([archive], None, 4, 0).batch(0)
    assert batch.image.shape == (4, 96, 96, 3)


def _problems():
    from flowface_jax.training.datasets import Problems

    return Problems("test")


class Interrupted:
    """A reader that fails at one unit, as at a power cut."""

    def __init__(self, reader, at, error):
        self._reader, self._at, self._error = reader, at, error
        self.dataset, self.settings, self.units = reader.dataset, reader.settings, reader.units
        self.read = []

    def views(self, unit, problems):
        self.read.append(str(unit))
        for number, view in enumerate(self._reader.views(unit, problems)):
            if str(unit) == self._at and number == 1:
                raise self._error
            yield view


def test_an_interrupted_preparation_goes_on_and_ends_with_the_same_bytes(facescape, tmp_path):
    prepare(reader_of(facescape), head(), tmp_path / "unbroken", CONFIG)
    broken = Interrupted(reader_of(facescape), "8/1_neutral", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        prepare(broken, head(), tmp_path / "broken", CONFIG)
    with pytest.raises(InputError, match="not finished"):
        open_archive(tmp_path / "broken")
    again = Interrupted(reader_of(facescape), "", None)
    prepare(again, head(), tmp_path / "broken", CONFIG, jobs=2)
    assert sorted(again.read) == ["8/10_dimpler", "8/1_neutral"]
    assert content(tmp_path / "broken") == content(tmp_path / "unbroken")


def test_other_settings_do_not_go_on_with_an_unfinished_folder(facescape, tmp_path):
    broken = Interrupted(reader_of(facescape), "8/1_neutral", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        prepare(broken, head(), tmp_path / "out", CONFIG)
    for other, config in (
        (reader_of(facescape), SampleConfig(side=64)),
        (reader_of(facescape, subjects=("7",)), CONFIG),
    ):
        with pytest.raises(InputError, match="another job"):
            prepare(other, head(), tmp_path / "out", config)


def test_an_error_in_one_thread_ends_the_job(facescape, tmp_path):
    broken = Interrupted(reader_of(facescape), "7/10_dimpler", InputError("this cannot be read"))
    with pytest.raises(InputError, match="cannot be read"):
        prepare(broken, head(), tmp_path / "out", CONFIG, jobs=3)


def test_the_command_prepares_says_what_it_left_out_and_overwrites_only_when_asked(facescape, tmp_path, capsys, caplog):
    command = ["prepare", "facescape", str(facescape.root), "--registrations", str(facescape.registrations)]
    command += ["--out", str(tmp_path / "out"), "--side", "64", "--subjects", "8", "--jobs", "2"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "6 samples of 64 px" in captured.out and "left out: 2 x photograph missing" in captured.out
    assert "facescape 8/1_neutral: photograph missing: 6.jpg" in caplog.text
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert (about["head"], about["vertices"], about["dataset"]) == ("generic", head().vertex_count, "facescape")
    assert main(command) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite", "--quiet"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["facescape", "nowhere"], "no folder nowhere"),
        (["facescape", "ROOT"], "--registrations"),
        (["multiface", "ROOT"], "7306"),
        (["stirling", "ROOT", "--registrations", "ROOT"], "no scan"),
        (["facescape", "ROOT", "--registrations", "ROOT", "--subjects", "99"], "no subject 99"),
        (["facescape", "ROOT", "--registrations", "ROOT", "--side", "1"], "data.side"),
        (["facescape", "ROOT", "--registrations", "ROOT", "--jobs", "0"], "jobs"),
        (["facescape", "ROOT", "--registrations", "ROOT", "--seed", "-1"], "--seed"),
        (["famos", "ROOT"], "images_4"),
    ],
)
def test_inputs_that_cannot_work_get_one_line(tmp_path, capsys, arguments, message):
    folder = tmp_path / "root" / "IMGS" / "7" / "1_neutral"
    folder.mkdir(parents=True)
    (folder / "params.json").touch()
    arguments = [str(tmp_path / "root") if word == "ROOT" else word for word in arguments]
    assert main(["prepare", *arguments, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_data_set_without_one_usable_photograph_is_an_error_that_says_why(facescape, tmp_path):
    for path in facescape.root.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(InputError, match="photograph missing: 16"):
        prepare(reader_of(facescape), head(), tmp_path / "out", CONFIG)
    assert content(tmp_path / "out") == {}
