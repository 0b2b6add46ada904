"""Frames spread over several devices give the answer of one device."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import jax
import pytest

from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.problem import padded_length
from tests.fitting.small import small_alignment, small_head

PROGRAM = """
import json, sys
import jax
import numpy as np
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from tests.fitting.small import small_alignment, small_head

head = small_head()
alignment = small_alignment(head, cameras=2, frames=30)
config = FitConfig(temporal_vertices=0, max_iterations=3, error_bars=False)
tracks = [fit(alignment, head, config=config, devices=devices) for devices in ((), jax.devices())]
energies = [[float(e) for e in track.energy_history] for track in tracks]
moved = float(np.abs(tracks[0].head_translation - tracks[1].head_translation).max())
print(json.dumps({"devices": len(jax.devices()), "energies": energies, "moved": moved}))
"""


@pytest.mark.minutes
def test_one_device_and_eight_give_the_same_track():
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": "8", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, timeout=400)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    one, eight = result["energies"]
    assert result["devices"] == 8
    assert len(one) == 3 and one[-1] < one[0]
    assert one == pytest.approx(eight, rel=2e-5)
    assert result["moved"] < 1e-4


def test_frames_are_padded_to_equal_stretches_of_at_least_four():
    for count in (1, 5, 30, 300):
        for devices in (2, 3, 8):
            length = padded_length(count, devices)
            assert length >= count and length % devices == 0 and length // devices >= 4


def test_the_first_order_solver_says_that_it_runs_on_one_device():
    head = small_head()
    with pytest.raises(InputError, match="runs on one device"):
        fit(small_alignment(head), head, config=FitConfig(solver="adamw"), devices=[jax.devices()[0]] * 2)
