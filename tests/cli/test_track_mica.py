"""`flowface track --mica`: the neutral head comes from the frames, shapes the fit, and is part of what a job is."""

import json

import cv2
import numpy as np
import pytest

from flowface_jax.aligners import identity, open_frames
from flowface_jax.cli.main import main
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.network.mica import Mica
from flowface_jax.network.weights import save_weights
from tests.network.random_weights import random_variables
from tests.shared_data import clip_path

SIZES = {"depths": [1, 1, 1, 1], "widths": [4, 4, 8, 8], "hidden_size": 16, "code_size": 6}


@pytest.fixture
def head(monkeypatch):
    """The built-in head passes for FLAME."""
    head = generic_head()
    monkeypatch.setattr(identity, "FLAME_VERTICES", head.vertex_count)
    monkeypatch.setattr(identity, "FLAME_TRIANGLES", len(head.triangles))
    return head


@pytest.fixture
def weights(tmp_path):
    """Writes a small network whose head is the built-in one, stretched sideways; returns the file."""

    def write(name, head, stretch):
        network = Mica(**{key: tuple(v) if isinstance(v, list) else v for key, v in SIZES.items()})
        variables = random_variables(network, (1, 112, 112, 3))
        template = np.asarray(head.template) * np.asarray([stretch, 1, 1], np.float32)
        flame = {"template": template, "identity_basis": np.zeros((head.vertex_count, 3, 6), np.float32)}
        save_weights(tmp_path / name, "mica", {**variables, "flame": flame}, SIZES)
        return str(tmp_path / name)

    return write


@pytest.fixture
def photograph(tmp_path):
    pytest.importorskip("mediapipe")
    image = next(iter(open_frames(clip_path("d18")))).image
    cv2.imwrite(str(tmp_path / "face.png"), image[..., ::-1])
    return str(tmp_path / "face.png")


def _track(photograph, out, *more):
    options = [
        "--aligner",
        "mediapipe",
        "--set",
        "fit.solver=adamw",
        "--set",
        "fit.error_bars=false",
        "--set",
        "fit.max_steps=30",
        "--set",
        "fit.neutral_weight=1e7",
        "--quiet",
        "--no-overlay",
    ]
    return main(["track", photograph, "--out", str(out), *options, *more])


def test_the_predicted_head_shapes_the_fit_and_belongs_to_the_job(head, weights, photograph, tmp_path, capsys):
    width = lambda out: float(np.ptp(np.asarray(Track.load(out).neutral_vertices(head))[:, 0]))
    files = {name: weights(f"{name}.safetensors", head, stretch) for name, stretch in (("narrow", 0.9), ("wide", 1.1))}
    for name, file in files.items():
        assert _track(photograph, tmp_path / name, "--mica", file) == 0
    assert width(tmp_path / "wide") > 1.03 * width(tmp_path / "narrow")
    assert "neutral_s" in Track.load(tmp_path / "wide").summary["timings"]

    assert len(json.loads((tmp_path / "wide" / "request.json").read_text())["mica"]) == 64
    before = (tmp_path / "wide" / "track.npz").read_bytes()
    assert _track(photograph, tmp_path / "wide", "--mica", files["narrow"], "--resume") == 2
    assert "was started with other mica" in capsys.readouterr().err
    assert _track(photograph, tmp_path / "wide", "--mica", files["wide"], "--resume") == 0
    assert (tmp_path / "wide" / "track.npz").read_bytes() == before


def test_what_cannot_be_is_refused_before_the_work(head, weights, tmp_path, capsys, monkeypatch):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((64, 64), 90, np.uint8))
    picture, file = str(tmp_path / "grey.png"), weights("a.safetensors", head, 1.0)
    np.savez(tmp_path / "neutral.npz", vertices=np.asarray(head.template))
    (tmp_path / "text.safetensors").write_text("not weights")
    for more, expected in (
        (["--mica", file, "--neutral", str(tmp_path / "neutral.npz")], "use either --neutral or --mica"),
        (["--mica", str(tmp_path / "absent.safetensors")], "no such file"),
        (["--mica", str(tmp_path / "text.safetensors")], "is not a flowface weights file"),
    ):
        assert _track(picture, tmp_path / "out", *more) == 2
        error = capsys.readouterr().err
        assert expected in error and error.count("\n") == 1
    monkeypatch.undo()
    assert _track(picture, tmp_path / "out", "--mica", file) == 2
    assert "MICA predicts FLAME's 5023 vertices" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
