"""The chamfer distance of a mesh in motion."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.reconstruction import ChamferConfig, chamfer
from tests.evaluation.reconstruction.faces import head, moved


def _sequence(frames, valid=None, regions=None):
    vertices = np.stack(frames).astype(np.float32)
    valid = np.ones(len(frames), bool) if valid is None else np.asarray(valid)
    _, triangles, _, known, _ = head()
    return MeshSequence(vertices, triangles, valid, known if regions is None else regions)


def _truth(count=2):
    vertices, *_ = head()
    return _sequence([vertices / 1000 + 0.01 * f for f in range(count)])


def test_a_head_elsewhere_is_no_error_and_another_size_is_one():
    vertices, _, _, _, points = head()
    same = _sequence([moved(vertices / 1000, 1, (10, 40, -5), (0.3, 0.1 * f, 2)) for f in range(2)])
    found = chamfer(same, _truth(), points, points)
    assert found.regions == ("face", "eyes", "nose", "mouth", "ears")
    assert found.mean_mm.max() < 0.01
    larger = dataclasses.replace(same, vertices=1.05 * same.vertices)
    assert chamfer(larger, _truth(), points, points).of("ears") > 1
    scaled = chamfer(larger, _truth(), points, points, ChamferConfig(with_scale=True))
    assert scaled.mean_mm.max() < 0.01
    np.testing.assert_allclose(scaled.scale, 1 / 1.05, rtol=1e-4)


def test_a_dent_is_measured_in_its_region_alone():
    vertices, _, _, regions, points = head()
    dented = vertices / 1000
    tip = regions["nose"] & (vertices[:, 2] > vertices[regions["nose"], 2].max() - 8)
    dented = dented + np.where(tip[:, None], [0, 0, 0.004], 0)
    found = chamfer(_sequence([dented] * 2), _truth(), points, points)
    assert found.of("nose") > 0.1
    assert found.of("nose") > 5 * max(found.of("ears"), found.of("mouth"))


def test_iterating_forgives_key_points_that_are_off():
    vertices, _, places, _, points = head()
    off = places / 1000 + np.random.default_rng(0).normal(0, 0.004, (7, 3))
    one = _sequence([vertices / 1000])
    rough = chamfer(one, _truth(1), off, points, ChamferConfig(iterate=False))
    assert rough.of("face") > 0.4
    assert chamfer(one, _truth(1), off, points).of("face") < 0.01


def test_frames_without_a_result_do_not_count():
    vertices, *_, points = head()
    prediction = _sequence([vertices / 1000, np.full_like(vertices, np.nan), vertices / 900], [True, False, True])
    found = chamfer(prediction, _truth(3), points, points, ChamferConfig(stride=2))
    np.testing.assert_array_equal(found.frames, [True, False, True])
    assert np.isnan(found.per_frame_mm[1]).all()
    np.testing.assert_allclose(found.mean_mm, found.per_frame_mm[[0, 2]].mean(0))


def test_wrong_inputs_are_named():
    vertices, *_, points = head()
    good = _sequence([vertices / 1000] * 2)
    cases = [
        (_sequence([vertices] * 2), _truth(), "unit"),
        (_sequence([np.where(np.arange(3) == 0, np.nan, vertices / 1000)] * 2), _truth(), "finite"),
        (good, _truth(3), "3 frames"),
        (
            _sequence([vertices / 1000] * 2, [False, True]),
            dataclasses.replace(_truth(), valid=np.array([True, False])),
            "valid in both",
        ),
        (good, dataclasses.replace(_truth(), regions={"face": np.zeros(len(vertices), bool)}), "empty"),
        (good, dataclasses.replace(_truth(), regions={"face": np.ones(7, bool)}), "each of the truth's"),
        (good, dataclasses.replace(_truth(), regions={}), "found none"),
    ]
    for prediction, truth, message in cases:
        with pytest.raises(InputError, match=message):
            chamfer(prediction, truth, points, points)
    with pytest.raises(InputError, match="stride"):
        ChamferConfig(stride=0)
