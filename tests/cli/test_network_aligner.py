"""`flowface track` with a network of one's own, from the weights file to the track."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import cv2
import jax
import numpy as np
import pytest

from flowface_jax.aligners import registry
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cli.main import main
from flowface_jax.fitting.track import Track
from flowface_jax.heads.store import save_head
from flowface_jax.network import bundled
from flowface_jax.network.alignment_network import FIRST_STD_SHARE, AlignmentNetwork, initial_variables
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.weights.store import save_weights
from tests.fitting.small import small_head

# So small a network starts with σ of half a cell, so that it counts as sure before it has been trained.
TINY = NetworkConfig("mit_b0", 64, 16, 1, feature_size=16, hidden_size=16, texture_size=4, initial_std=0.1)
QUICK = [
    "--set",
    "fit.solver=adamw",
    "--set",
    "fit.error_bars=false",
    "--set",
    "fit.max_steps=5",
    "--no-overlay",
    "--quiet",
]

SURE = 0.5
"""Cells of the map: σ of its answers."""

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")


@pytest.fixture(scope="module")
def variables():
    """Fresh variables of the tiny network, its heads set to a sure answer in the middle of the crop."""
    variables = initial_variables(AlignmentNetwork(TINY), 0)
    update = variables["params"]["update"]
    for output in (update["flow_head"]["output"], update["uncertainty_head"]["output"]):
        output["kernel"] = np.zeros_like(output["kernel"])
    output["bias"] = np.full_like(output["bias"], np.log(SURE) - np.log(TINY.uv_size / FIRST_STD_SHARE))
    return variables


@pytest.fixture(scope="module")
def head_file(tmp_path_factory):
    """A small head whose face fills the atlas as it does a crop."""
    head = small_head()
    front = head.template[:, :2]
    uv = np.clip(0.5 + 0.42 * front / np.abs(front[head.regions["face"]]).max(0), 0.01, 0.99)
    path = tmp_path_factory.mktemp("head") / "small.npz"
    save_head(dataclasses.replace(head, uv=uv), path)
    return path


def _weights(path, variables):
    save_weights(path, "network", variables, dataclasses.asdict(TINY))
    return path


@pytest.fixture
def frames(tmp_path, monkeypatch):
    """A folder of three pictures in which a face is where the detector says."""

    def detect(image):
        height, width = image.shape[:2]
        return np.asarray([[0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height]]), np.ones(1)

    monkeypatch.setattr(registry, "mediapipe_detector", lambda: detect)
    folder = tmp_path / "frames"
    folder.mkdir()
    random = np.random.default_rng(0)
    for k in range(3):
        cv2.imwrite(str(folder / f"{k}.png"), random.integers(0, 255, (96, 120, 3), np.uint8))
    return folder


@pytest.fixture
def package(tmp_path, monkeypatch, variables):
    """The folder of a package that carries the tiny network as "flowface-nano"."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    monkeypatch.setattr(bundled, "FOLDER", folder)
    _weights(folder / "flowface-nano.safetensors", variables)
    return folder


@pytest.fixture
def lost_in_the_dark(monkeypatch):
    """The network is a hundred times less sure of black crops."""
    load = registry.load_predictor

    def loaded(*arguments, **options):
        predictor = load(*arguments, **options)
        start = predictor.start

        def unsure(crops):
            wait, dark = start(crops), crops.max((1, 2, 3)) == 0

            def told():
                answer = wait()
                return answer._replace(std=np.where(dark[:, None], 100 * answer.std, answer.std))

            return told

        predictor.start = unsure
        return predictor

    monkeypatch.setattr(registry, "load_predictor", loaded)


def _refused(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("flowface: ") and error.count("\n") == 1, error
    return error


def test_a_network_tracks_and_another_file_is_noticed(frames, variables, head_file, tmp_path, capsys):
    weights, out = _weights(tmp_path / "tiny.safetensors", variables), tmp_path / "out"
    arguments = ["track", str(frames), "--aligner", str(weights), "--head", str(head_file), "--out", str(out), *QUICK]
    assert main(arguments) == 0
    alignment = Alignment.load(out / "alignment.npz")
    assert alignment.point_set == "vertices" and alignment.mean.shape == (1, 3, 60, 2)
    assert alignment.valid.all() and (alignment.std > 0).all()
    assert alignment.source == "flowface mit_b0 tiny.safetensors"
    assert Track.load(out).frame_count == 3
    request = json.loads((out / "request.json").read_text())
    assert request["aligner"] == "tiny.safetensors" and len(request["aligner_weights"]) == 64
    assert request["detector"] == "mediapipe"
    _weights(weights, jax.tree.map(lambda values: values + 1, variables))
    assert "was started with other aligner_weights" in _refused(capsys, *arguments, "--resume")


def test_a_bundled_network_is_used_by_name_and_by_default(frames, package, variables, head_file, tmp_path, capsys):
    """The request names what "auto" stood for, so that a job goes on with the same network or not at all."""
    out = tmp_path / "out"
    arguments = ["track", str(frames), "--head", str(head_file), "--out", str(out), *QUICK]
    assert main(arguments) == 0
    assert Alignment.load(out / "alignment.npz").source == "flowface-nano"
    assert Track.load(out).summary["alignment"]["source"] == "flowface-nano"
    request = json.loads((out / "request.json").read_text())
    assert request["aligner"] == "flowface-nano" and request["detector"] == "mediapipe"
    assert (
        request["aligner_weights"] == hashlib.sha256((package / "flowface-nano.safetensors").read_bytes()).hexdigest()
    )
    assert main([*arguments, "--aligner", "flowface-nano", "--resume"]) == 0
    refused = _refused(capsys, *arguments, "--aligner", "mediapipe", "--resume")
    assert "was started with other aligner (flowface-nano), aligner_weights" in refused
    _weights(package / "flowface-nano.safetensors", jax.tree.map(lambda values: values + 1, variables))
    assert "was started with other aligner_weights;" in _refused(capsys, *arguments, "--resume")


def test_a_network_that_is_not_bundled_is_one_line(frames, package, head_file, tmp_path, capsys):
    arguments = ["track", frames, "--aligner", "flowface-b1", "--head", head_file, "--out", tmp_path / "out", *QUICK]
    message = _refused(capsys, *arguments)
    assert "unknown aligner 'flowface-b1'; choose one of: auto, flowface-nano, mediapipe, or the path" in message
    assert not (tmp_path / "out").exists()


def test_frames_in_which_the_network_is_lost_are_flagged(frames, package, head_file, tmp_path, lost_in_the_dark):
    cv2.imwrite(str(frames / "1.png"), np.zeros((96, 120, 3), np.uint8))
    out = tmp_path / "out"
    assert main(["track", str(frames), "--head", str(head_file), "--out", str(out), *QUICK]) == 0
    assert Alignment.load(out / "alignment.npz").valid.tolist() == [[True, False, True]]
    flags = {flag["frame"]: flag["reasons"] for flag in Track.load(out).summary["flags"]}
    assert "no face" in flags[1]
    assert not any("no face" in reasons for frame, reasons in flags.items() if frame != 1)


def test_a_film_in_which_the_network_is_lost_throughout_is_one_line(
    frames, package, head_file, tmp_path, lost_in_the_dark, capsys
):
    for k in range(3):
        cv2.imwrite(str(frames / f"{k}.png"), np.zeros((96, 120, 3), np.uint8))
    message = _refused(capsys, "track", frames, "--head", head_file, "--out", tmp_path / "out", *QUICK)
    assert "the network is sure of the face in no frame of frames" in message
    assert not (tmp_path / "out").exists()


def test_unusable_aligners_and_detectors_are_one_line(frames, variables, head_file, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bundled, "FOLDER", tmp_path / "empty")
    out = ["--head", head_file, "--out", tmp_path / "out", *QUICK]
    refused = lambda *chosen: _refused(capsys, "track", frames, *chosen, *out)
    assert "unknown aligner 'magic'; choose one of: auto, mediapipe, or the path of" in refused("--aligner", "magic")
    assert "no such file" in refused("--aligner", "absent.safetensors")
    foreign = tmp_path / "model.pth"
    foreign.write_bytes(b"PK\x03\x04 something")
    assert "flowface convert" in refused("--aligner", foreign)
    piece = tmp_path / "encoder.safetensors"
    save_weights(piece, "mit_b0", {"params": {"kernel": np.zeros(3, np.float32)}})
    assert "train it first" in refused("--aligner", piece)
    assert "detects faces by itself" in refused("--detector", piece)
    weights = _weights(tmp_path / "tiny.safetensors", variables)
    assert "unknown detector 'magic'" in refused("--aligner", weights, "--detector", "magic")
    assert "expected weights of kind s3fd" in refused("--aligner", weights, "--detector", piece)
    regressor = tmp_path / "regressor.safetensors"
    config = NetworkConfig("resnet101", 64, vertex_count=5)
    save_weights(regressor, "network", {"params": {}}, dataclasses.asdict(config))
    assert "the 5 vertices" in refused("--aligner", regressor)
    assert not (tmp_path / "out").exists()
