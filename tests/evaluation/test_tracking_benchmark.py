"""Scores of sequences become the paper's rows and curves; what is lost or not covered is said, not averaged."""

import dataclasses

import numpy as np
import pytest

from flowface_jax.cameras.model import make_cameras
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import MeshSequence
from flowface_jax.evaluation.published import MULTIFACE_COLUMNS
from flowface_jax.evaluation.reconstruction.key_points import head_key_points
from flowface_jax.evaluation.ssme import SsmeConfig
from flowface_jax.evaluation.tracking_benchmark import (
    LOST,
    ScoreConfig,
    SequenceScores,
    benchmark_row,
    face_numbers,
    interval,
    lost_sequence,
    mean_curve,
    score_filtered,
    score_sequence,
)
from flowface_jax.heads.generic import generic_head

FRAMES = 4


def _scores(name, ssme, chamfer=1.0, lost=0):
    curve = np.asarray(ssme, np.float64)
    counted = np.arange(len(curve), 0, -1)
    return SequenceScores(
        name, 10, lost, {"face": chamfer}, {"face": curve}, {"face": counted}, {"face": 0.9, "ears": 0.0}
    )


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def truth(head):
    """The mean head moving aside by 4 mm a frame before a camera 0.7 m away."""
    moved = np.asarray(head.template) * [1, -1, -1] + [0, 0, 0.7]
    vertices = np.stack([moved + [0.004 * f, 0, 0] for f in range(FRAMES)]).astype(np.float32)
    camera = make_cameras([160.0], [[48.0, 48.0]], np.eye(3)[None], np.zeros((1, 3)), [[96, 96]])
    regions = {name: np.asarray(mask) for name, mask in head.regions.items()}
    return MeshSequence(vertices, np.asarray(head.triangles), np.ones(FRAMES, bool), regions, camera, None, 30.0, "t")


CONFIG = ScoreConfig(SsmeConfig(longest_window=3))


def test_the_truth_scores_zero_and_survives_its_file(head, truth, tmp_path):
    points = head_key_points(head)
    scores = score_sequence(truth, truth, points, points, CONFIG)
    assert scores.lost == 0 and scores.coverage["face"] == 1
    assert scores.mean_ssme("face") == pytest.approx(0, abs=1e-3)
    assert scores.chamfer_mm["face"] == pytest.approx(0, abs=1e-2)
    scores.save(tmp_path / "scores.json")
    again = SequenceScores.load(tmp_path / "scores.json")
    assert again.sequence == "t" and again.chamfer_mm == scores.chamfer_mm
    np.testing.assert_array_equal(again.ssme_px["mouth"], scores.ssme_px["mouth"])


def test_a_still_prediction_errs_by_the_motion_and_lost_frames_are_counted(head, truth):
    still = dataclasses.replace(truth, vertices=np.repeat(truth.vertices[:1], FRAMES, 0), valid=np.arange(FRAMES) != 3)
    points = head_key_points(head)
    scores = score_sequence(still, truth, points, points, CONFIG)
    # 4 mm at about 0.63 m (the face's front) and 160 px: one pixel a frame.
    assert scores.ssme_px["face"][0] == pytest.approx(1.0, rel=0.1)
    assert scores.lost == 1
    smoothed = score_filtered(scores, still, truth, CONFIG)
    assert smoothed.chamfer_mm == scores.chamfer_mm
    assert smoothed.ssme_px["face"][0] == pytest.approx(scores.ssme_px["face"][0], rel=1e-3)


def test_rows_have_the_columns_of_table_2_and_the_lost_share():
    row = benchmark_row("ours", [_scores("a", [1, 3], 1.0), _scores("b", [4], 2.0, lost=5)])
    values = dict(zip([c.name for c in (*MULTIFACE_COLUMNS, LOST)], row.values, strict=True))
    assert values["CD face"] == 1.5 and values["SSME face"] == 3.0 and values["SSME ears"] is None
    assert values["lost frames"] == 25.0
    assert face_numbers([_scores("a", [1, 3])]) == (1.0, 2.0, 0.0)


def test_a_lost_sequence_counts_as_lost_and_nowhere_else(truth):
    lost = lost_sequence(truth)
    assert lost.lost == FRAMES
    both = [_scores("a", [2.0]), lost]
    assert face_numbers(both) == (1.0, 2.0, pytest.approx(100 * FRAMES / (10 + FRAMES)))
    assert mean_curve(both).of("face") == 2.0
    with pytest.raises(InputError, match="at least one sequence with a result"):
        mean_curve([lost])


def test_the_curve_averages_sequences_of_different_lengths():
    curve = mean_curve([_scores("a", [1, 3, 5]), _scores("b", [3])])
    np.testing.assert_array_equal(curve.ssme[curve.regions.index("face")], [2, 3, 5])


def test_the_interval_needs_two_sequences():
    assert interval([_scores("a", [1.0])]) is None
    found = interval([_scores("a", [1.0]), _scores("b", [3.0])])
    assert found.estimate == 2.0 and found.low < 2.0 < found.high and found.unit == "sequences"


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(InputError, match="no scores of a sequence"):
        SequenceScores.load(tmp_path / "x.json")
