"""`flowface convert weights`: a converted file, a table of what became of every tensor, one line for what cannot be."""

from __future__ import annotations

import pytest

from flowface_jax.cli.main import main
from flowface_jax.network.weights import load_weights
from tests.foreign.torch_files import Raw, write_stream
from tests.network.weights.checkpoints import filled, raft_shapes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_stream(tmp_path_factory.mktemp("checkpoint") / "raft-things.pth", filled(raft_shapes()))


def _refused(capsys, *arguments):
    assert main(["convert", "weights", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("flowface: ") and error.count("\n") == 1, error
    return error


def test_it_writes_the_weights_and_tells_what_became_of_every_tensor(checkpoint, tmp_path, capsys):
    out = tmp_path / "raft.safetensors"
    assert main(["convert", "weights", str(checkpoint), str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{out}: raft, 26 of 34 tensors loaded, 8 left out")
    assert len(printed) == 1 + 34
    weights = load_weights(out, "raft")
    assert weights.source.startswith("raft-things.pth sha256:") and len(weights.report.entries) == 34
    first = out.read_bytes()
    arguments = ["convert", "weights", str(checkpoint), str(out), "--overwrite", "--quiet", "--option", "kind=raft"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == "" and out.read_bytes() == first


def test_what_cannot_be_is_one_line_and_nothing_is_written(checkpoint, tmp_path, capsys):
    out = tmp_path / "out.safetensors"
    assert "ends in .safetensors" in _refused(capsys, checkpoint, tmp_path / "out.npz")
    assert "of kind mit_b2, found raft" in _refused(capsys, checkpoint, out, "--option", "kind=mit_b2")
    assert "without the option size" in _refused(capsys, checkpoint, out, "--option", "size=2")
    evil = write_stream(tmp_path / "evil.pth", {"a": Raw(b"cos\nsystem\n(X\x04\x00\x00\x00truetR")})
    assert "refuses to load os.system" in _refused(capsys, evil, out)
    assert not out.exists()
    out.write_text("mine")
    assert "is there already" in _refused(capsys, checkpoint, out)
    assert out.read_text() == "mine"
