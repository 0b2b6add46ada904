"""Our own weights file: what goes in comes back, with the same bytes, and other files are told apart."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from flowface_jax.errors import InputError
from flowface_jax.network.weights import load_weights, save_weights
from flowface_jax.network.weights.report import Entry, Report

VARIABLES = {
    "params": {
        "encoder": {"norm": {"scale": np.arange(3, dtype=np.float32)}},
        "output": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3).T, "bias": np.float32(2)},
    },
    "batch_stats": {"norm": {"mean": np.ones(2, np.float32)}},
}
REPORT = Report.of([Entry("b", (2,), ("params/b",)), Entry("a", (), (), "a counter")])


@pytest.fixture
def path(tmp_path):
    save_weights(tmp_path / "w.safetensors", "raft", VARIABLES, {"levels": 4}, "a.pth sha256:00", REPORT)
    return tmp_path / "w.safetensors"


def test_everything_comes_back(path):
    weights = load_weights(path, "raft")
    assert (weights.kind, weights.config, weights.source) == ("raft", {"levels": 4}, "a.pth sha256:00")
    assert weights.report == REPORT
    assert weights.variables.keys() == VARIABLES.keys()
    kernel = weights.variables["params"]["output"]["kernel"]
    np.testing.assert_array_equal(kernel, VARIABLES["params"]["output"]["kernel"])
    assert weights.variables["params"]["output"]["bias"].shape == ()


def test_the_order_of_entries_does_not_change_the_bytes(path, tmp_path):
    turned = {"batch_stats": VARIABLES["batch_stats"], "params": dict(reversed(VARIABLES["params"].items()))}
    again = tmp_path / "again.safetensors"
    save_weights(again, "raft", turned, {"levels": 4}, "a.pth sha256:00", REPORT)
    assert again.read_bytes() == path.read_bytes()


def test_other_programs_read_the_file(path):
    assert set(load_file(path)) == {
        *("params/encoder/norm/scale", "params/output/kernel", "params/output/bias"),
        "batch_stats/norm/mean",
    }
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    assert metadata["format"] == "flowface-weights/1" and metadata["kind"] == "raft"
    assert json.loads(metadata["conventions"])["colour"] == "RGB"


def test_half_precision_is_kept(tmp_path):
    values = {"params": {"x": np.array([1.5], ml_dtypes.bfloat16), "y": np.ones(3, np.float32)}}
    save_weights(tmp_path / "h.safetensors", "network", values)
    loaded = load_weights(tmp_path / "h.safetensors")
    assert loaded.variables["params"]["x"].dtype == ml_dtypes.bfloat16 and loaded.report.entries == ()


def test_another_kind_is_refused(path):
    with pytest.raises(InputError, match="expected weights of kind mica or s3fd, found raft"):
        load_weights(path, ("s3fd", "mica"))
    with pytest.raises(InputError, match="of kind 'vgg' are not known"):
        save_weights(path, "vgg", VARIABLES)


def test_files_of_other_programs_are_refused_with_the_way_on(path, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"x": np.ones(2)}, other)
    with pytest.raises(InputError, match="of another program; convert it once with: flowface convert weights"):
        load_weights(other)
    other.write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(InputError, match="is not a flowface weights file .*flowface convert weights"):
        load_weights(other)
    with pytest.raises(InputError, match="no such file"):
        load_weights(tmp_path / "absent.safetensors")
    with pytest.raises(InputError, match="ends in .safetensors"):
        save_weights(tmp_path / "w.npz", "raft", VARIABLES)


def test_every_truncation_is_one_line(path):
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 31):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError) as caught:
            load_weights(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("report", None, "it lacks report"),
        ("config", "{", "description is not JSON"),
        ("report", "[[1]]", "description is not JSON"),
        ("format", "flowface-weights/9", "expected format flowface-weights/1"),
        ("conventions", "{}", "other conventions"),
    ],
)
def test_damaged_descriptions_are_refused(path, key, value, message):
    with safe_open(path, "np") as file:
        metadata = file.metadata()
    metadata = {name: text for name, text in metadata.items() if name != key} | ({key: value} if value else {})
    save_file(load_file(path), path, metadata)
    with pytest.raises(InputError, match=message):
        load_weights(path)
