"""Dense alignments with fewer points: which are kept, what stays untouched, and that a fit says so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig, config_from_mapping
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.thinning import OTHERS_SHARE, thinned
from flowface_jax.heads.generic import generic_head


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def dense(head):
    """Two frames of the template seen from straight ahead; each point's σ tells its number."""
    points = 500 + 1500 * np.asarray(head.template)[:, :2] * [1, -1]
    std = 1 + np.arange(head.vertex_count) / 1000
    return make_alignment(
        np.tile(points, (1, 2, 1, 1)), np.tile(std, (1, 2, 1)), [[True, True]], [[1000, 1000]], "vertices"
    )


def test_few_points_are_kept_those_that_count_before_all_others(head, dense):
    found = thinned(dense, head, 1000)
    kept = found.vertex_ids[:, 0]
    assert found.point_count == 1000 and found.point_set == "surface" and (np.diff(kept) > 0).all()
    assert np.array_equal(found.mean, dense.mean[:, :, kept]) and np.array_equal(found.std, dense.std[:, :, kept])
    assert np.allclose(found.points_on(head).of(np.asarray(head.template)), np.asarray(head.template)[kept])
    weight = np.asarray(head.vertex_weights)
    assert (weight[kept] < 0.5).mean() == OTHERS_SHARE


def test_each_part_of_the_face_keeps_its_share_of_points(head, dense):
    kept = thinned(dense, head, 1000).vertex_ids[:, 0]
    all_counting = (np.asarray(head.vertex_weights) >= 0.5).sum()
    for name in ("lips", "eyelids", "brows", "nose", "cheeks", "forehead", "left_ear", "right_ear"):
        inside = np.asarray(head.regions[name])
        assert inside[kept].sum() / 900 == pytest.approx(inside.sum() / all_counting, rel=0.15), name
    # No point of the face is far from one that is kept.
    template, face = np.asarray(head.template), np.asarray(head.regions["face"])
    gaps = np.linalg.norm(template[face][:, None] - template[kept][None], axis=-1).min(1)
    assert gaps.max() < 0.016 and np.median(gaps) < 0.003


def test_nothing_is_copied_where_nothing_is_left_out(head, dense):
    assert thinned(dense, head, 0) is dense and thinned(dense, head, head.vertex_count) is dense
    landmarks = dataclasses.replace(dense, mean=dense.mean[:, :, :68], std=dense.std[:, :, :68], point_set="landmarks")
    assert thinned(landmarks, head, 60) is landmarks


def test_points_between_vertices_are_thinned_as_vertices_are(head, dense):
    once = thinned(dense, head, 1000)
    twice = thinned(once, head, 100)
    assert twice.point_count == 100 and set(twice.vertex_ids[:, 0]) <= set(once.vertex_ids[:, 0])


def test_a_fit_takes_and_records_as_many_points_as_it_is_told(head, dense):
    config = FitConfig(solver="adamw", max_steps=2, error_bars=False, maximum_points=300)
    record = fit(dense, head, config=config).summary
    assert record["alignment"]["points"] == 300 and record["settings"]["maximum_points"] == 300


def test_too_few_points_for_a_fit_are_refused():
    assert config_from_mapping({"maximum_points": "500"}).maximum_points == 500
    with pytest.raises(InputError, match=r"fit.maximum_points: expected 0 \(all\) or at least 60, found 10"):
        FitConfig(maximum_points=10)
