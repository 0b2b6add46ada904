"""Aligners by name: what "auto" stands for, which names there are, and which weights are behind them."""

from __future__ import annotations

import dataclasses

import jax
import pytest

from flowface_jax.aligners import align, aligner_names, check_aligner, registry, resolve_aligner, weights_file
from flowface_jax.errors import InputError
from flowface_jax.network import bundled
from flowface_jax.network.alignment_network import AlignmentNetwork, initial_variables
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.weights.store import save_weights
from tests.aligners.dots import DotsDetector, DotsNetwork, Film, dots_head

TINY = NetworkConfig("mit_b0", 64, 16, 1, feature_size=16, hidden_size=16, texture_size=4)

pytestmark = pytest.mark.usefixtures("quick_compilation_of_module")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package folder of the test's own."""
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    return tmp_path


@pytest.mark.parametrize(("backend", "expected"), [("cpu", "flowface-nano"), ("gpu", "flowface-b1")])
def test_auto_is_the_bundled_network_that_suits_the_device(folder, monkeypatch, backend, expected):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert resolve_aligner("auto") == "mediapipe" and weights_file("auto") is None
    for name in ("flowface-b1", "flowface-nano"):
        (folder / f"{name}.safetensors").write_bytes(b"")
    assert resolve_aligner("auto") == expected
    assert weights_file("auto") == weights_file(expected) == folder / f"{expected}.safetensors"


def test_names_are_taken_as_they_are_and_paths_too(folder):
    (folder / "flowface-nano.safetensors").write_bytes(b"")
    assert aligner_names() == ("auto", "flowface-nano", "mediapipe")
    for name in ("mediapipe", "flowface-nano", "own.safetensors"):
        assert resolve_aligner(name) == name
        check_aligner(name)
    assert weights_file("mediapipe") is None and str(weights_file("own.safetensors")) == "own.safetensors"
    with pytest.raises(InputError, match="unknown aligner 'flowface-b1'; choose one of: auto, flowface-nano, mediapip"):
        align("flowface-b1", [Film([[]])])


def test_a_detector_is_for_networks(folder):
    with pytest.raises(InputError, match="'mediapipe' detects faces by itself"):
        check_aligner("auto", "s3fd.safetensors")
    (folder / "flowface-nano.safetensors").write_bytes(b"")
    check_aligner("auto", "s3fd.safetensors")


def test_a_bundled_network_is_loaded_under_its_own_name(folder, monkeypatch):
    """Loaded from the package's weights, and named in the alignment's source."""
    config = dataclasses.replace(TINY, std_scale=2.0)
    save_weights(
        folder / "flowface-nano.safetensors",
        "network",
        initial_variables(AlignmentNetwork(config), 0),
        dataclasses.asdict(config),
    )
    loaded = []

    def predictor(*arguments, **options):
        loaded.append(load(*arguments, **options))
        network = DotsNetwork()
        network.name = loaded[0].name
        return network

    load = registry.load_predictor
    monkeypatch.setattr(registry, "load_predictor", predictor)
    monkeypatch.setattr(registry, "mediapipe_detector", DotsDetector)
    found = align("auto", [Film([[(60, 60, 40)]] * 3)], head=dots_head())
    assert found.valid.all() and found.source == "flowface-nano" and loaded[0].config == config
