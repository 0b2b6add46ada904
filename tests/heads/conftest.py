"""Shared by the tests of the head readers."""

from __future__ import annotations

import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from flowface_jax.heads.model import REGION_NAMES, SurfacePoints


@pytest.fixture
def stand_in_binding(monkeypatch):
    """A binding that is quick and recognisable: every MediaPipe point at vertex 0, face = first ten vertices."""
    record = types.SimpleNamespace(calls=0, face=None)

    def bind(template, triangles, landmarks):
        record.calls += 1
        count = len(template)
        regions = {name: np.zeros(count, bool) for name in REGION_NAMES}
        regions["face"] = np.arange(count) < 10 if record.face is None else record.face
        return types.SimpleNamespace(
            uv=np.full((count, 2), 0.25, np.float32),
            mediapipe=SurfacePoints(jnp.zeros((478, 3), jnp.int32), jnp.tile(jnp.array([[1.0, 0, 0]]), (478, 1))),
            regions=regions,
            vertex_weights=np.full(count, 0.5, np.float32),
            distance=np.zeros(count),
        )

    module = types.ModuleType("flowface_jax.heads.binding")
    module.bind = bind
    monkeypatch.setitem(sys.modules, "flowface_jax.heads.binding", module)
    return record
