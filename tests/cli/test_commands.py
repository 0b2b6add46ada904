"""The command line: what it writes, and one line with exit code 2 for every input that cannot be used."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest

from flowface_jax.cli.main import main
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.sequences import make_performance, observe
from tests.shared_data import clip_path

QUICK = ["--set", "fit.solver=adamw", "--set", "fit.error_bars=false", "--set", "fit.max_steps=40", "--quiet"]


@pytest.fixture(scope="module")
def alignment_file(tmp_path_factory):
    head = generic_head()
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::8]
    path = tmp_path_factory.mktemp("alignment") / "alignment.npz"
    performance = make_performance(head, 1, 4, 1)
    observe(performance, head, 2, points=points).save(path)
    performance.cameras.save(path.with_name("cameras.json"))
    make_performance(head, 1, 2, 3).cameras.save(path.with_name("three.json"))
    return path


def _film(path, frames, size=(64, 48)):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def _refused(capsys, *arguments, code=2):
    """The single line that the command says when it exits with `code`."""
    try:
        found = main([str(argument) for argument in arguments])
    except SystemExit as exit_:
        found = exit_.code
    error = capsys.readouterr().err
    assert found == code, error
    assert error.startswith("flowface: ") and error.count("\n") == 1, error
    return error


def test_fit_writes_a_track_that_loads(alignment_file, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["fit", str(alignment_file), "--out", str(out), *QUICK[:-1]]) == 0
    printed = capsys.readouterr().out
    assert "residual: median" in printed and str(out) in printed
    assert Track.load(out).frame_count == 4
    record = json.loads((out / "track.json").read_text())
    assert {"settings", "versions", "timings", "solver", "flags", "residual", "notes", "conventions"} <= set(record)
    assert {path.name for path in out.iterdir()} == {"track.npz", "track.json", "cameras.json", "request.json"}


def test_a_folder_in_use_is_refused_and_left_alone(alignment_file, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("precious")
    message = _refused(capsys, "fit", alignment_file, "--out", tmp_path, *QUICK)
    assert "is in use" in message and "--overwrite" in message
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert main(["fit", str(alignment_file), "--out", str(tmp_path), "--overwrite", *QUICK]) == 0
    assert (tmp_path / "mine.txt").read_text() == "precious"
    assert "is a file" in _refused(capsys, "fit", alignment_file, "--out", tmp_path / "mine.txt", *QUICK)


def test_another_job_is_not_resumed(alignment_file, tmp_path, capsys):
    assert main(["fit", str(alignment_file), "--out", str(tmp_path), *QUICK]) == 0
    message = _refused(capsys, "fit", alignment_file, "--out", tmp_path, "--resume", "--set", "fit.max_steps=41")
    assert "was started with other settings" in message


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b""), "empty"),
        (lambda path: path.write_text("no film at all"), "film|video"),
        (lambda path: _film(path, [np.full((48, 64, 3), 90, np.uint8)] * 3), "face"),
    ],
    ids=["absent", "empty", "text", "faceless"],
)
def test_unusable_videos_are_refused(make, expected, tmp_path, capsys):
    pytest.importorskip("mediapipe", reason="the MediaPipe aligner is optional")
    film = tmp_path / "film.mp4"
    make(film)
    message = _refused(capsys, "track", film, "--out", tmp_path / "out", "--quiet")
    assert any(word in message for word in expected.split("|")), message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("head.npz", b"PK\x03\x04 cut off", "head.npz"),
        ("head.pkl", b"\x80\x02}q\x00(X\x07\x00", "head.pkl"),
        ("head.obj", b"v 1 2\n", "head.obj"),
        ("absent.pkl", None, "no head at"),
    ],
)
def test_unusable_heads_are_refused(name, content, expected, alignment_file, tmp_path, capsys):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    message = _refused(capsys, "fit", alignment_file, "--head", path, "--out", tmp_path / "out", *QUICK)
    assert expected in message
    assert not (tmp_path / "out").exists()


def test_a_pickle_that_runs_code_is_refused_by_name(alignment_file, tmp_path, capsys):
    import os
    import pickle

    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harmed"),)

    path = tmp_path / "head.pkl"
    path.write_bytes(pickle.dumps({"v_template": Harmful()}))
    message = _refused(capsys, "fit", alignment_file, "--head", path, "--out", tmp_path / "out", *QUICK)
    assert "mkdir" in message
    assert not (tmp_path / "harmed").exists()


def test_unusable_alignments_are_refused(alignment_file, tmp_path, capsys):
    cut = tmp_path / "cut.npz"
    cut.write_bytes(alignment_file.read_bytes()[:500])
    assert "cut.npz" in _refused(capsys, "fit", cut, "--out", tmp_path / "out", *QUICK)
    with np.load(alignment_file) as archive:
        arrays = dict(archive)
    for name, value in (("negative", -1.0), ("nan", np.nan)):
        std = arrays["std_px"].copy()
        std[0, 0, 0] = value
        path = tmp_path / f"{name}.npz"
        np.savez(path, **{**arrays, "std_px": std})
        assert "standard deviations" in _refused(capsys, "fit", path, "--out", tmp_path / "out", *QUICK)


def test_cameras_that_do_not_fit_are_refused(alignment_file, tmp_path, capsys):
    three = alignment_file.with_name("three.json")
    common = ["fit", alignment_file, "--out", tmp_path / "out", *QUICK]
    assert "1 camera(s), the calibration 3" in _refused(capsys, *common, "--cameras", three)
    broken = tmp_path / "cameras.json"
    broken.write_text("{")
    assert "not valid JSON" in _refused(capsys, *common, "--cameras", broken)
    assert "exclude each other" in _refused(capsys, *common, "--cameras", three, "--focal", "900")
    assert "above 0" in _refused(capsys, *common, "--focal", "-1")
    assert not (tmp_path / "out").exists()
    assert main([str(a) for a in (*common, "--cameras", three, "--camera-names", "camera_01")]) == 0


def test_one_focal_length_for_several_views_is_refused_before_the_work(tmp_path, capsys):
    films = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for film in films:
        _film(film, [np.full((48, 64, 3), 90, np.uint8)] * 3)
    message = _refused(capsys, "track", *films, "--focal", "900", "--out", tmp_path / "out", "--quiet")
    assert "a single focal length serves one view, found 2" in message
    assert not (tmp_path / "out").exists()


def test_unknown_words_are_one_line_too(capsys, tmp_path, alignment_file):
    assert "unknown setting fit.speed" in _refused(
        capsys, "fit", alignment_file, "--out", tmp_path / "out", "--set", "fit.speed=1"
    )
    assert "--set: expected fit.NAME=VALUE" in _refused(
        capsys, "fit", alignment_file, "--out", tmp_path / "out", "--set", "speed=1"
    )
    assert "invalid choice" in _refused(capsys, "trakc")
    assert "required" in _refused(capsys, "fit", alignment_file)


def test_doctor_reports_everything_and_succeeds(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWFACE_HOME", str(tmp_path))
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    for topic in (
        "jax",
        "devices",
        "mediapipe",
        "--aligner auto is",
        "head generic",
        "head gnm",
        "head ict-facekit",
        "H.264",
    ):
        assert topic in printed
    assert "flowface download gnm" in printed


def test_convert_writes_own_files_and_never_over_others(alignment_file, tmp_path, capsys):
    target = tmp_path / "head.npz"
    assert main(["convert", "head", "generic", str(target)]) == 0
    assert "is there already" in _refused(capsys, "convert", "head", "generic", target)
    assert main(["fit", str(alignment_file), "--head", str(target), "--out", str(tmp_path / "out"), *QUICK]) == 0


def test_a_named_head_that_was_not_downloaded_says_how_to_get_it(alignment_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("FLOWFACE_HOME", str(tmp_path / "assets"))
    message = _refused(capsys, "fit", alignment_file, "--head", "ict-facekit", "--out", tmp_path / "out", *QUICK)
    assert "flowface download ict-facekit" in message


def test_a_real_clip_is_tracked_resumed_and_the_same(tmp_path, capsys):
    """A clip with black frames in the middle: those are flagged; a killed job resumes to the same bytes."""
    pytest.importorskip("mediapipe", reason="the MediaPipe aligner is optional")
    with av.open(str(clip_path("d18"))) as container:
        frames = [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(16), container.decode(video=0), strict=False)
        ]
    frames[6:9] = [np.zeros_like(frames[0])] * 3
    film = tmp_path / "film.mp4"
    _film(film, frames, size=frames[0].shape[1::-1])
    out = tmp_path / "out"
    arguments = ["track", str(film), "--out", str(out), "--quiet"]
    assert main(arguments) == 0
    track = Track.load(out)
    flagged = {flag["frame"] for flag in track.summary["flags"] if "no face" in flag["reasons"]}
    assert flagged == {6, 7, 8}
    assert track.summary["residual"]["median_percent_of_face_width"] < 1.5
    with av.open(str(out / "overlay.mp4")) as overlay:
        assert overlay.streams.video[0].codec_context.name == "h264"
        assert sum(1 for _ in overlay.decode(video=0)) == 16
    written = (out / "track.npz").read_bytes()
    for name in ("track.npz", "track.json", "overlay.mp4"):
        (out / name).unlink()
    assert main([*arguments, "--resume"]) == 0
    assert (out / "track.npz").read_bytes() == written
