"""Jitter of meshes in motion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.jitter import jitter
from flowface_jax.evaluation.mesh_sequence import MeshSequence, Projected


def _sequence(frames=40, noise=0.0):
    """A steady motion through space and image, with noise of known size in both."""
    draw = np.random.default_rng(0)
    steady = np.arange(frames)[:, None, None] * np.asarray([0.001, 0.002, 0]) + np.zeros((frames, 30, 3))
    vertices = (steady + noise * draw.normal(size=steady.shape)).astype(np.float64)
    pixels = 1000 * vertices[..., :2]
    region = np.arange(30) < 20
    seen = Projected(pixels, vertices[..., 2], (64, 64))
    return MeshSequence(vertices, np.asarray([[0, 1, 2]]), np.ones(frames, bool), {"face": region}, seen=seen)


def test_steady_motion_has_none():
    assert jitter(_sequence(), "face") == pytest.approx(0, abs=1e-9)
    assert jitter(_sequence(), camera=None) == pytest.approx(0, abs=1e-9)


def test_noise_counts_by_the_root_of_its_weights():
    # 1, -2 and 1 times independent noise: variance 6 for each axis.
    sequence = _sequence(400, 1e-4)
    assert jitter(sequence, camera=None) == pytest.approx(0.1 * np.sqrt(6 * 3), rel=0.03)
    assert jitter(sequence, "face") == pytest.approx(0.1 * np.sqrt(6 * 2), rel=0.03)


def test_times_beside_missing_frames_do_not_count():
    sequence = _sequence()
    valid = sequence.valid.copy()
    valid[10] = False
    broken = sequence.seen.pixels.copy()
    broken[10] = np.nan
    gap = dataclasses.replace(sequence, valid=valid, seen=dataclasses.replace(sequence.seen, pixels=broken))
    assert jitter(gap) == pytest.approx(0, abs=1e-9)
    assert np.isnan(jitter(dataclasses.replace(sequence, valid=np.arange(40) % 3 != 0)))


def test_wrong_regions_are_named():
    with pytest.raises(InputError, match="face"):
        jitter(_sequence(), "beard")
    empty = dataclasses.replace(_sequence(), regions={"face": np.zeros(30, bool)})
    with pytest.raises(InputError, match="empty"):
        jitter(empty, "face")
