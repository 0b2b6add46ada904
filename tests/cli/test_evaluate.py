"""`flowface evaluate`: what each measure prints and writes, and one line for what cannot be scored."""

from __future__ import annotations

import builtins
import csv
import json

import cv2
import numpy as np
import pytest

from flowface_jax.cli.main import main
from flowface_jax.evaluation.tables import from_json
from tests.evaluation.plain_faces import FRAMES, KEY_POINTS, face, write_cameras, write_face
from tests.evaluation.readers import replicas

TABLES = {"table.txt", "table.csv", "table.tex", "table.json"}
MEASURES = ("ssme", "chamfer", "now", "facescape", "nme", "avatar", "lips", "jitter")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """truth.npz, drifting.npz (half a pixel a frame) and cameras.json."""
    folder = tmp_path_factory.mktemp("evaluate")
    write_face(folder / "truth.npz")
    write_face(folder / "drifting.npz", drift=0.5)
    write_cameras(folder / "cameras.json")
    return folder


def _run(*arguments):
    try:
        return main(["evaluate", *(str(argument) for argument in arguments)])
    except SystemExit as exit_:
        return exit_.code


def _ssme(place, *options, predictions=("drifting.npz",)):
    paths = [place / name for name in predictions]
    return _run("ssme", *paths, place / "truth.npz", "--cameras", place / "cameras.json", "--windows", 5, *options)


def _refused(capsys, *expected):
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("flowface: ")]
    assert len(lines) == 1 and error.endswith(f"{lines[0]}\n"), error
    assert all(one in lines[0] for one in expected), error


def test_the_table_has_a_row_for_each_prediction(place, capsys):
    named = f"Ours={place / 'truth.npz'}"
    paths = (place / "drifting.npz", named, place / "truth.npz")
    assert _run("ssme", *paths, "--cameras", place / "cameras.json", "--windows", 5, "--quiet") == 0
    said = capsys.readouterr()
    assert "SSME face (px)" in said.out and said.err == ""
    rows = {line.split()[0]: line.split()[1] for line in said.out.splitlines() if line.startswith(("drifting", "Ours"))}
    assert rows == {"drifting": "1.50", "Ours": "*0.00*"}


def test_every_form_is_printed_and_all_are_written(place, tmp_path, capsys):
    assert _ssme(place, "--format", "json", "--bootstrap", 30, "--seed", 3, "--quiet") == 0
    table = from_json(capsys.readouterr().out)
    assert [column.name for column in table.columns][:3] == ["SSME face", "SSME face low", "SSME face high"]
    assert any("seed 3" in note for note in table.notes)
    assert _ssme(place, "--format", "csv", "-q") == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert float(rows[0]["SSME face (px)"]) == pytest.approx(1.5, rel=1e-3)
    assert _ssme(place, "--format", "latex", "-q") == 0
    assert r"\begin{tabular}" in capsys.readouterr().out
    out = tmp_path / "out"
    assert _ssme(place, "--out", out) == 0
    assert f"written to {out}" in capsys.readouterr().err
    assert TABLES <= {file.name for file in out.iterdir()}
    assert json.loads((out / "table.json").read_text())["rows"][0]["name"] == "drifting"


def test_pictures_are_written_beside_the_tables(place, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert _ssme(place, "--out", out, "-q", "--frame", 2, "--window", 3, "--pixel", 30, 24) == 0
    pictures = {"curve_face.png", "curve_mouth.png", "error_drifting.png", "trajectories.png"}
    assert {file.name for file in out.iterdir()} == TABLES | pictures
    assert cv2.imread(str(out / "error_drifting.png")).shape == (48, 64, 3)


def test_results_are_replaced_only_when_told_to(place, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "table.txt").write_text("mine")
    (out / "error_old.png").write_text("mine")
    (out / "notes.txt").write_text("mine")
    assert _ssme(place, "--out", out) == 2
    _refused(capsys, "--overwrite")
    assert (out / "table.txt").read_text() == (out / "error_old.png").read_text() == "mine"
    assert _ssme(place, "--out", out, "--overwrite", "-q") == 0
    assert "SSME" in (out / "table.txt").read_text()
    assert not (out / "error_old.png").exists() and (out / "notes.txt").read_text() == "mine"
    assert _ssme(place, "--out", out / "notes.txt") == 2
    _refused(capsys, "is a file")


def test_without_matplotlib_the_tables_are_written_and_what_is_missing_said(
    place, tmp_path, capsys, caplog, monkeypatch
):
    really = builtins.__import__

    def without(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    assert _ssme(place, "--out", tmp_path / "out") == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == TABLES
    assert "pip install matplotlib" in capsys.readouterr().err + caplog.text


def test_other_measures_run_on_the_same_files(place, tmp_path, capsys):
    files = (place / "drifting.npz", place / "truth.npz")
    seen = ("--cameras", place / "cameras.json", "-q")
    cases = [
        (("chamfer", *files, "--key-points", KEY_POINTS, "--truth-key-points", KEY_POINTS, "-q"), "CD face", "0.00"),
        (("nme", *files, *seen, "--region", "mouth"), "NME", "6.87"),
        (("lips", *files, "-q"), "LVE", "26.35"),
        (("jitter", *files, *seen), "jitter in space", "0.000"),
    ]
    for arguments, heading, value in cases:
        assert _run(*arguments) == 0, capsys.readouterr().err
        said = capsys.readouterr().out
        assert heading in said and value in said, said
    for name in ("ours", "truth"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full((24, 24, 3), 100 + 10 * (name == "ours"), np.uint8))
    assert _run("avatar", tmp_path / "ours", tmp_path / "truth", "-q") == 0
    assert "28.1" in capsys.readouterr().out


def test_what_other_trackers_wrote_has_a_row(tmp_path, capsys):
    written = {
        "mpt": replicas.metrical_tracker(tmp_path / "mpt", frames=4),
        "pixel3dmm": replicas.pixel3dmm(tmp_path / "pixel3dmm", frames=4),
        "vhap": replicas.vhap_tracker(tmp_path / "vhap", frames=4),
        "cap4d": replicas.cap4d_fit(tmp_path / "cap4d", frames=4),
        "deca": replicas.deca_codes(tmp_path / "deca.npz", frames=4),
    }
    paths = [f"{name}={path}" for name, path in written.items()]
    assert _run("jitter", *paths, "--head", replicas.flame_file(tmp_path / "heads"), "-q", "--format", "json") == 0
    rows = {row.name: row.values for row in from_json(capsys.readouterr().out).rows}
    assert set(rows) == set(written) and all(values[0] is not None for values in rows.values())
    # metrical-tracker's head moves steadily, VHAP's turns after the first frame.
    assert rows["mpt"][1] == pytest.approx(0, abs=1e-3) and rows["vhap"][1] > 10
    assert rows["deca"][1] is None
    assert _run("jitter", *paths) == 2
    _refused(capsys, "mpt", "--head")


def _nan(folder):
    vertices = face().vertices
    vertices[4, 0, 0] = np.nan
    return write_face(folder / "bad.npz", face(vertices=vertices))


def _metres(folder):
    return write_face(folder / "bad.npz", face(vertices=face().vertices * 900))


def _text(folder):
    (folder / "bad.npz").write_text("nothing of the kind")
    return folder / "bad.npz"


def _folder(folder):
    (folder / "bad").mkdir()
    (folder / "bad" / "notes.txt").write_text("nothing known")
    return folder / "bad"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda folder: write_face(folder / "bad.npz", frames=9), ("bad", f"{FRAMES} frames", "found 9")),
        (_nan, ("bad", "frame 4", "not finite")),
        (_metres, ("bad", "mm long", "--unit mm|cm|m")),
        (lambda folder: write_face(folder / "bad.npz", frames=1), ("bad", "found 1")),
        (lambda folder: write_face(folder / "bad.npz", valid=np.zeros(FRAMES, bool)), ("bad", "at least one frame")),
        (_text, ("bad", "is no .npz file", "a flowface track folder")),
        (_folder, ("bad", "none of these", "--kind")),
        (lambda folder: folder / "nothing", ("nothing", "no such file or folder")),
    ],
)
def test_predictions_that_cannot_be_scored_get_one_line(make, expected, place, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    arguments = (make(tmp_path / "in"), place / "truth.npz", "--cameras", place / "cameras.json")
    assert _run("ssme", *arguments, "--out", tmp_path / "out") == 2
    _refused(capsys, *expected)
    assert not (tmp_path / "out").exists()


def test_truths_that_cannot_be_scored_get_one_line(place, tmp_path, capsys):
    cameras = ("--cameras", place / "cameras.json")
    empty = write_face(tmp_path / "empty.npz", regions={"face": np.zeros(36, bool)})
    bare = write_face(tmp_path / "bare.npz", regions={})
    single = write_face(tmp_path / "single.npz", frames=1)
    size = write_face(tmp_path / "large.npz", face(vertices=face().vertices * 1000))
    for truth, options, expected in (
        (place / "truth.npz", (), "expected cameras, found none; give --cameras"),
        (place / "truth.npz", (*cameras, "--camera", 2), "expected a camera of 0 to 0"),
        (empty, cameras, "'face' is empty"),
        (bare, cameras, "--regions"),
        (size, cameras, "--unit"),
    ):
        assert _run("ssme", place / "truth.npz", truth, *options) == 2
        _refused(capsys, expected)
    assert _run("ssme", single, single, *cameras) == 2
    _refused(capsys, "at least two frames")
    assert _run("jitter", single) == 2
    _refused(capsys, "three frames")
    # The same file in its own unit is fine.
    arguments = (place / "truth.npz", size, *cameras, "--truth-unit", "mm", "--windows", 3, "-q")
    assert _run("ssme", *arguments) == 0


def test_options_that_do_not_fit_get_one_line(place, capsys):
    truth = place / "truth.npz"
    for arguments, expected in (
        (("ssme", truth), "TRUTH"),
        (("smse", truth, truth), "invalid choice"),
        (("ssme", f"a={truth}", f"a={truth}", truth), "NAME=PATH"),
        (("ssme", truth, truth, "--image-size", "large"), "WIDTHxHEIGHT"),
        (("ssme", truth, truth, "--fps", 0), "--fps"),
        (("ssme", truth, truth, "--smooth", -1), "--smooth"),
        (("ssme", truth, truth, "--bootstrap", 0), "samples above 0"),
        (("ssme", truth, truth, "--windows", 0, "--cameras", place / "cameras.json"), "longest_window"),
        (("ssme", truth, truth, "--cameras", place / "cameras.json", "--frame", 11), "frame of 0 to 10"),
        (("chamfer", truth, truth), "--key-points"),
        (("chamfer", truth, truth, "--key-points", "other=1,2,3,4,5,6,7"), "found 'other'"),
        (("now", place, place), "imagepathsvalidation.txt"),
        (("now", place, place, "--unit", "mm"), "--metrical"),
        (("facescape", place, place), "none of 660"),
        (("nme", truth, truth, "--cameras", place / "cameras.json", "--region", "chin"), "found 'chin'"),
        (("avatar", place / "no", truth), "no such file"),
        (("avatar", truth, truth, "--lpips-heads", truth), "--lpips"),
        (("lips", truth, truth, "--lips", "chin"), "'chin'"),
        (("jitter", truth, "--region", "chin"), "found 'chin'"),
    ):
        assert _run(*arguments, *([] if arguments[0] == "smse" else ["--quiet"])) == 2, arguments
        _refused(capsys, expected)


def test_every_measure_explains_itself(capsys):
    for measure in MEASURES:
        assert _run(measure, "--help") == 0
        said = capsys.readouterr().out
        assert "--format" in said and "--bootstrap" in said and "PRED" in said
