"""Masks, key points, photographs' focal lengths and patterns, from the command line to the track's record."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from PIL import Image

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cli import common, track
from flowface_jax.cli.main import main
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.synthesis.sequences import make_performance, observe
from tests.aligners.films import write_film
from tests.aligners.photos import write_photo
from tests.shared_data import clip_path

QUICK = ["--set", "fit.solver=adamw", "--set", "fit.error_bars=false", "--set", "fit.max_steps=60", "--quiet"]
FRAMES = 4


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def alignment_file(head, tmp_path_factory):
    points = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)[::8]
    path = tmp_path_factory.mktemp("alignment") / "alignment.npz"
    performance = make_performance(head, 1, FRAMES, 1)
    observe(performance, head, 2, points=points).save(path)
    performance.cameras.save(path.with_name("cameras.json"))
    make_performance(head, 1, 2, 12).cameras.save(path.with_name("rig.json"))
    return path


def _refused(capsys, *arguments):
    """The single line that the command says when it exits with code 2."""
    found = main([str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert found == 2 and error.startswith("flowface: ") and error.count("\n") == 1, error
    return error


def _record(folder):
    return json.loads((folder / "track.json").read_text())


def test_fit_leaves_out_masked_points_holds_on_to_key_points_and_records_both(head, alignment_file, tmp_path):
    alignment = Alignment.load(alignment_file)
    width, height = alignment.image_size[0]
    middle = np.median(alignment.mean[0][np.isfinite(alignment.std[0])], axis=0)
    mask = np.full((height, width), 255, np.uint8)
    mask[:, : int(middle[0])] = 0
    Image.fromarray(mask).save(tmp_path / "mask.png")
    place = middle + [40, 0]
    (tmp_path / "points.csv").write_text(f"frame,point,x,y,sigma\n2,nose tip,{place[0]},{place[1]},0.05\n")
    cameras = alignment_file.with_name("cameras.json")
    common_ = ["fit", alignment_file, "--cameras", cameras, *QUICK]
    assert main([str(a) for a in (*common_, "--out", tmp_path / "plain")]) == 0
    given = ["--masks", tmp_path / "mask.png", "--key-points", tmp_path / "points.csv"]
    assert main([str(a) for a in (*common_, "--out", tmp_path / "guided", *given)]) == 0
    record = _record(tmp_path / "guided")
    assert record["masks"] == [
        {"camera": alignment.camera_names[0], "masks": "mask.png", "excluded_share_of_pixels": pytest.approx(
            int(middle[0]) / width, abs=1e-3)}
    ]  # fmt: skip
    (told,) = record["key_points"]
    assert told["frame"] == 2 and told["point"] == "nose tip" and told["std_px"] == 0.05
    ids, weights = np.asarray(head.landmarks.vertex_ids[30]), np.asarray(head.landmarks.barycentric[30])
    fitted = {
        name: weights @ np.asarray(Track.load(tmp_path / name).image_vertices(head, 2))[0, ids]
        for name in ("plain", "guided")
    }
    off = {name: float(np.linalg.norm(value - place)) for name, value in fitted.items()}
    assert told["distance_px"] == pytest.approx(off["guided"], abs=0.05)
    assert off["guided"] < 0.5 * off["plain"]
    plain = _record(tmp_path / "plain")
    assert "masks" not in plain and "key_points" not in plain


def test_a_job_with_other_guidance_is_not_resumed(alignment_file, tmp_path, capsys):
    (tmp_path / "points.csv").write_text("frame,point,x,y\n2,nose tip,100,100\n")
    out = tmp_path / "out"
    assert main([str(a) for a in ("fit", alignment_file, "--out", out, *QUICK)]) == 0
    message = _refused(
        capsys, "fit", alignment_file, "--out", out, "--resume", "--key-points", tmp_path / "points.csv", *QUICK
    )
    assert "started with other guidance" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key-points", "unknown.csv"], "line 2: unknown point 'nosetip'"),
        (["--key-points", "late.csv"], "line 2: no frame 99"),
        (["--key-points", "camera.csv"], "line 2: no camera 'left'"),
        (["--key-points", "absent.csv"], "no such file"),
        (["--masks", "small"], "are 32 x 48 px"),
        (["--masks", "few"], "are 7, but film.mp4 has 12 frames"),
        (["--masks", "absent*"], "matches nothing"),
        (["--masks", "few", "--masks", "few"], "for each of 1 camera(s), found 2"),
    ],
)
def test_guidance_that_does_not_fit_is_refused_before_the_work(tmp_path, capsys, options, message):
    write_film(tmp_path / "film.mp4", [np.full((48, 64, 3), 90, np.uint8)] * 12)
    for name, row in (("unknown", ",5,nosetip,1,2"), ("late", ",99,chin,1,2"), ("camera", "left,5,chin,1,2")):
        (tmp_path / f"{name}.csv").write_text(f"camera,frame,point,x,y\n{row}\n")
    for name, count, width in (("small", 12, 32), ("few", 7, 64)):
        (tmp_path / name).mkdir()
        for k in range(count):
            Image.fromarray(np.full((48, width), 255, np.uint8)).save(tmp_path / name / f"{k}.png")
    options = [str(tmp_path / word) if not word.startswith("--") else word for word in options]
    error = _refused(capsys, "track", tmp_path / "film.mp4", "--out", tmp_path / "out", "--quiet", *options)
    assert message in error and not (tmp_path / "out").exists()


def test_a_pattern_that_matches_nothing_is_refused(tmp_path, capsys):
    assert "matches nothing" in _refused(capsys, "track", f"{tmp_path}/cam*/", "--out", tmp_path / "out", "--quiet")


def test_the_cameras_of_a_rig_are_found_by_their_names(alignment_file, tmp_path):
    """Files in natural order, which is not that of the calibration, each with its own camera."""
    calibration = alignment_file.with_name("rig.json")
    names = [f"camera_{number:02d}" for number in (0, 3, 11)]
    for name in reversed(names):
        (tmp_path / f"{name}.mp4").write_bytes(b"film")
    parser = __import__("argparse").ArgumentParser()
    track.add_arguments(parser)
    options = parser.parse_args([f"{tmp_path}/camera_*.mp4", "--cameras", str(calibration), "--out", "out"])
    inputs = track.expand_inputs(options.inputs)
    choice = common.matched_cameras(common.camera_choice(options), inputs, options)
    assert list(choice.calibration.names) == names
    given = [str(tmp_path / f"{name}.mp4") for name in reversed(names)]
    options = parser.parse_args([*given, "--cameras", str(calibration), "--out", "out"])
    choice = common.matched_cameras(common.camera_choice(options), options.inputs, options)
    assert list(choice.calibration.names) == names[::-1]


def test_photographs_focal_length_is_a_prior_unless_it_is_not_wanted(tmp_path):
    pytest.importorskip("mediapipe", reason="the MediaPipe aligner is optional")
    with av.open(str(clip_path("d19"))) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    diagonal = float(np.hypot(*frame.shape[:2]))
    write_photo(tmp_path / "photo.jpg", frame, focal_35=70)
    write_photo(tmp_path / "odd.jpg", frame, focal_35=0)
    stated = 70 / float(np.hypot(36, 24)) * diagonal
    found = {}
    for name, photo, options in (("told", "photo", []), ("not", "photo", ["--no-exif"]), ("odd", "odd", [])):
        arguments = ["track", tmp_path / f"{photo}.jpg", "--aligner", "mediapipe", "--no-overlay", *options]
        assert main([str(a) for a in (*arguments, "--out", tmp_path / name, *QUICK)]) == 0
        found[name] = _record(tmp_path / name)
    (prior,) = found["told"]["focal_prior"]
    assert prior["focal_px"] == pytest.approx(stated) and prior["fitted_px"] == pytest.approx(stated, rel=0.15)
    assert "focal_prior" not in found["not"] and "focal_prior" not in found["odd"]
    assert any("focal length of 0" in note for note in found["odd"]["notes"])
    assert not any("EXIF" in note for note in found["not"]["notes"] + found["told"]["notes"])
