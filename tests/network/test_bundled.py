"""The networks that come with the package: found by name, chosen by device, and part of what is installed."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from flowface_jax.errors import InputError
from flowface_jax.network import bundled
from flowface_jax.network.bundled import bundled_file, bundled_names, default_network


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A package folder of the test's own."""
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    return tmp_path


def _put(folder, *names):
    for name in names:
        (folder / f"{name}.safetensors").write_bytes(b"")


def test_names_are_those_of_the_files_that_are_there(folder):
    assert bundled_names() == ()
    _put(folder, "flowface-nano", "flowface-b1")
    (folder / "MODEL_CARD.md").write_text("…")
    assert bundled_names() == ("flowface-b1", "flowface-nano")
    assert bundled_file("flowface-nano") == folder / "flowface-nano.safetensors"


@pytest.mark.parametrize("name", ["flowface-b1", "../flowface-nano", "", "flowface-nano.safetensors"])
def test_an_absent_network_is_refused_with_those_that_there_are(folder, name):
    with pytest.raises(InputError, match=r"comes with this package; expected one of: none$"):
        bundled_file(name)
    _put(folder, "flowface-nano")
    with pytest.raises(InputError, match=r"comes with this package; expected one of: flowface-nano$") as caught:
        bundled_file(name)
    assert "\n" not in str(caught.value)


def test_the_largest_network_is_for_accelerators_and_the_small_one_for_processors(folder):
    assert default_network(True) is None and default_network(False) is None
    _put(folder, "flowface-nano")
    assert default_network(True) == default_network(False) == "flowface-nano"
    _put(folder, "flowface-b1", "another")
    assert default_network(True) == "flowface-b1" and default_network(False) == "flowface-nano"
    (folder / "flowface-nano.safetensors").unlink()
    assert default_network(False) is None


def test_weights_and_model_card_are_part_of_what_is_installed():
    root = Path(__file__).resolve().parents[2]
    patterns = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "flowface_jax"
    ]
    inside = bundled.FOLDER.relative_to(root / "flowface_jax")
    for name in ("flowface-nano.safetensors", "MODEL_CARD.md"):
        assert any((inside / name).match(pattern) for pattern in patterns), name
