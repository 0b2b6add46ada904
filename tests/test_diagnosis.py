"""What the doctor says of the bundled networks."""

from __future__ import annotations

from flowface_jax.diagnosis import diagnose
from flowface_jax.network import bundled


def _networks():
    return next(finding for finding in diagnose() if finding.topic == "networks")


def test_bundled_networks_are_listed_with_the_one_that_is_used_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    assert _networks().detail == "none bundled; --aligner auto is mediapipe"
    (tmp_path / "flowface-nano.safetensors").write_bytes(b"")
    (tmp_path / "another.safetensors").write_bytes(b"")
    assert _networks().detail == "another, flowface-nano; --aligner auto is flowface-nano"
