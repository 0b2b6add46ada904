"""The demonstration in small: it beats its stated accuracy and leaves pictures behind."""

from __future__ import annotations

import json

import cv2
import pytest

from flowface_jax.demo import DemoSettings, results_text, run_demo
from flowface_jax.errors import InputError


@pytest.mark.minutes
def test_the_demo_recovers_the_truth_and_draws_it(tmp_path, quick_compilation):
    settings = DemoSettings(frames=12, cameras=3, points=400)
    results = run_demo(tmp_path / "demo", settings)
    assert results["rig"]["vertex_median_mm"] < 1.5
    assert results["single"]["neutral_surface_median_mm"] < 1.5
    assert results["network"]["neutral_surface_median_mm"] < 3.0
    assert json.loads((tmp_path / "demo/results.json").read_text())["rig"]["seconds"] > 0
    picture = cv2.imread(str(tmp_path / "demo/demo.png"))
    assert picture is not None and picture.std() > 20
    assert (tmp_path / "demo/overlay.mp4").stat().st_size > 10_000
    assert "uncalibrated rig" in results_text(results)
    with pytest.raises(InputError, match="in use"):
        run_demo(tmp_path / "demo", settings)
