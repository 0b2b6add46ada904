"""The Multiface benchmark: the same sequences, cameras and masks for everybody who has the data."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import ConvexHull

from flowface_jax.errors import InputError
from flowface_jax.evaluation import multiface
from flowface_jax.evaluation.multiface import (
    BenchmarkConfig,
    benchmark_topology,
    load_selection,
    save_selection,
    select_sequences,
    truth_sequence,
    truth_sequences,
)
from flowface_jax.evaluation.redrawn_regions import redraw_regions
from flowface_jax.evaluation.ssme import REGIONS, SsmeConfig, sequence_motion_error
from flowface_jax.heads.source import load_head
from tests.evaluation import multiface_replica as replica
from tests.shared_data import ict_path
from tests.training.replicas import multiface_head

CONFIG = BenchmarkConfig(
    sequence_count=7, shortest=0.2, longest=0.4, subjects=tuple(replica.SUBJECTS), image_size=(167, 256)
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return replica.write(tmp_path_factory.mktemp("multiface"))


@pytest.fixture(scope="module")
def topology(root):
    return benchmark_topology(root, CONFIG)


@pytest.fixture(scope="module")
def chosen(root, topology):
    return select_sequences(root, topology, CONFIG)


def test_masks_are_found_whatever_the_axes_of_the_mesh(topology):
    own = multiface_head().regions
    # What lies behind the skin takes the region of the skin before it.
    behind = ("eyeballs", "teeth", "tongue", "mouth_interior", "nostrils")
    skin = ~np.any([np.asarray(own[name]) for name in behind], axis=0)
    for name in REGIONS:
        expected, found = np.asarray(own[name]) & skin, topology.regions[name] & skin
        shared = (expected & found).sum() / (expected | found).sum()
        assert shared > 0.95, f"{name}: {shared}"
    np.testing.assert_allclose(topology.axes, replica.AXES, atol=0.02)


def test_sequences_are_shared_out_evenly_and_taken_of_each_kind(chosen):
    by_subject = {subject: [s for s in chosen if f"--{subject}--" in s.capture] for subject in replica.SUBJECTS}
    assert sorted(len(own) for own in by_subject.values()) == [3, 4]
    for own in by_subject.values():
        kinds = [sequence.segment[:3] for sequence in own]
        assert sum(kind == "SEN" for kind in kinds) in (1, 2)
        assert "EXP_short" not in [sequence.segment for sequence in own]
    for sequence in chosen:
        assert len(sequence.frames) == min(replica.SEGMENTS[sequence.segment], 12) - (
            sequence.segment == replica.FILMED[1] and "--111--" in sequence.capture
        )
    scream = next(sequence for sequence in chosen if sequence.segment == "E002_Scream")
    assert scream.frames[0] == f"{102 + 3 * 4:06d}"


def test_cameras_see_the_face_within_the_limits(chosen):
    for sequence in chosen:
        beside, above = replica.VIEWS[sequence.camera]
        turned = replica.SUBJECTS["222" if "--222--" in sequence.capture else "111"]
        assert abs(beside - turned) <= 61 and abs(above) <= 36, sequence
    assert not {"400003", "400004"} & {s.camera for s in chosen if "--111--" in s.capture}


def test_the_choice_is_the_same_again_and_another_one_with_another_seed(root, topology, chosen, tmp_path):
    assert select_sequences(root, topology, CONFIG) == chosen
    others = [select_sequences(root, topology, dataclasses.replace(CONFIG, seed=seed)) for seed in (1, 2)]
    assert any(other != chosen for other in others)
    save_selection(tmp_path / "chosen.json", chosen)
    assert load_selection(tmp_path / "chosen.json") == chosen


def test_the_lot_never_changes():
    # A benchmark whose choice changed would be another one.
    assert multiface._drawn(list("abcdef"), 0, "segment") == list(DRAWN)


DRAWN = "acdfeb"


def test_the_published_benchmark_is_eighty_six_sequences_of_ten_subjects():
    config = BenchmarkConfig()
    share, left = divmod(config.sequence_count, len(config.subjects))
    assert (share, left, len(set(config.subjects))) == (8, 6, 10)
    assert (config.horizontal_limit, config.vertical_limit) == (60, 35)


def test_the_truth_is_the_posed_mesh_with_gaps_marked(root, topology, chosen):
    filmed = next(s for s in chosen if s.segment == replica.FILMED[1] and "--111--" in s.capture)
    truth = next(truth_sequences(root, [filmed], topology, CONFIG))
    assert truth.valid.tolist() == [k != replica.SKIPPED for k in range(12)]
    for k in np.flatnonzero(truth.valid):
        np.testing.assert_allclose(truth.vertices[k], replica.world("111", k), atol=1e-5)
    assert truth.cameras.count == 1 and truth.cameras.names == (filmed.camera,)
    assert truth.projected().size == CONFIG.image_size
    assert truth.frames_per_second == 30 and set(truth.regions) == set(REGIONS)
    still = dataclasses.replace(truth, vertices=np.repeat(truth.vertices[:1], 12, 0), valid=np.ones(12, bool))
    config = SsmeConfig(longest_window=3)
    assert (sequence_motion_error(truth, truth, config).mean == 0).all()
    # One millimetre a frame at one metre and 6000 px of focal length, in an eighth of the size.
    found = sequence_motion_error(still, truth, config).ssme[0]
    np.testing.assert_allclose(found, 0.75 * np.arange(1, 4), rtol=0.15)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(subjects=("111", "333")), "of each of 2 subjects, found none of 333"),
        (dict(sequence_count=20), "expected 10 segments of 0.2 s or more, found 4"),
        (dict(horizontal_limit=1.0, vertical_limit=1.0, subjects=("222",), sequence_count=1), "no camera sees"),
    ],
)
def test_what_is_missing_is_named(root, topology, change, message):
    with pytest.raises(InputError, match=message):
        select_sequences(root, topology, dataclasses.replace(CONFIG, **change))


def test_a_missing_mesh_is_named(root, topology, chosen):
    lost = next(s for s in chosen if "--222--" in s.capture)
    with pytest.raises(InputError, match=lost.segment):
        truth_sequence(root, lost, topology, CONFIG)


def test_another_file_is_no_selection(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="no selection"):
        load_selection(tmp_path / "x.json")


def test_a_mesh_in_millimetres_is_no_head():
    ball = np.random.default_rng(0).normal(size=(300, 3))
    ball = 100 * ball / np.linalg.norm(ball, axis=1, keepdims=True)
    with pytest.raises(InputError, match="expected a head in metres, found a mesh 199 m"):
        redraw_regions(ball, ConvexHull(ball).simplices, ["face"])
    with pytest.raises(InputError, match="'moustache'"):
        redraw_regions(ball, ConvexHull(ball).simplices, ["moustache"])


@pytest.mark.minutes
def test_masks_on_a_head_of_another_topology_lie_where_its_landmarks_say():
    head = load_head(ict_path())
    template = np.asarray(head.template, np.float64)
    drawn = redraw_regions(template @ np.diag([1.0, -1, -1]) + 0.05, np.asarray(head.triangles), REGIONS)
    ids = np.asarray(head.landmarks.vertex_ids)
    for name, which in {"nose": slice(27, 31), "eyes": slice(36, 48), "mouth": slice(48, 68)}.items():
        assert drawn.masks[name][ids[which]].any(1).all(), name
    assert drawn.masks["face"][ids[17:]].any(1).mean() > 0.95
    for name in REGIONS:
        expected, found = template[np.asarray(head.regions[name])], template[drawn.masks[name]]
        np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.008)
