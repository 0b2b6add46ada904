"""The commands that judge a bundled network run to their end and write what they promise."""

import json

import numpy as np
import pytest

from experiments.bundled import evaluate, hard_cases
from flowface_jax.aligners.faces import boxes_of_points
from flowface_jax.aligners.network import align_network
from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import box_side, on_surface
from flowface_jax.evaluation.labelled_crops import turn_degrees
from flowface_jax.evaluation.real_clips import align_in_boxes, clips_report, compare
from flowface_jax.heads.generic import generic_head
from flowface_jax.viewing.video_writer import write_video
from tests.evaluation.mean_face import MeanFaceNetwork, mean_face
from tests.training.painted import painted_archive

FRAMES, SIZE = 8, 96
LOST = 5


@pytest.fixture(scope="module")
def head():
    return generic_head()


@pytest.fixture(scope="module")
def network(head):
    return MeanFaceNetwork(head)


def _detector(head):
    """Finds the mean face in the middle of bright pictures."""
    box = boxes_of_points(mean_face(head, SIZE)[np.asarray(head.regions["face"])])

    def detect(image):
        return (box[None], np.ones(1)) if image.mean() > 20 else (np.zeros((0, 4)), np.zeros(0))

    return detect


def _reference(head, shift=0.0):
    """MediaPipe's points of a mean face whose mouth opens more and more."""
    points = np.tile(on_surface(mean_face(head, SIZE), head.mediapipe), (FRAMES, 1, 1)) + shift
    points[:, 14, 1] += np.linspace(0, 8, FRAMES)
    size = np.asarray([[SIZE, SIZE]])
    return make_alignment(points[None], np.ones((1, FRAMES, 478)), np.ones((1, FRAMES), bool), size, "mediapipe")


@pytest.fixture(scope="module")
def clips(tmp_path_factory, head):
    """Two clips of grey frames, one of them dark, and MediaPipe's alignments."""
    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(("one", "two")):
        frames = [np.full((SIZE, SIZE, 3), 0 if f == LOST else 128, np.uint8) for f in range(FRAMES)]
        write_video(folder / f"{name}.mp4", frames, 25.0)
        (folder / name).mkdir()
        _reference(head, shift=2.0 + number).save(folder / name / "alignment.npz")
    return folder


def test_clips_get_a_table_and_pictures(clips, head, network, tmp_path):
    align = lambda source, reference: align_network([source], network, head, _detector(head))
    text = evaluate.evaluate_clips(align, head, clips, ["one", "two"], clips, tmp_path, fits="none")
    report = json.loads((tmp_path / "table.json").read_text())
    assert (tmp_path / "table.md").read_text() == text and text.count("| one |") == 3
    pooled = report["pooled"]
    assert pooled["frames"] == 2 * FRAMES and pooled["lost_frames"] == 2 and pooled["bad_frames"] == 0
    # The clips are 2 and 3 px off in x and y; what both have in common is an offset.
    side = box_side(_reference(head).mean[0, 0, :468])
    assert report["clips"]["two"]["raw"]["median"] == pytest.approx(100 * np.hypot(3, 3) / side, rel=0.03)
    assert report["clips"]["two"]["debiased"]["median"] == pytest.approx(100 * np.hypot(1, 1) / side, rel=0.1)
    assert pooled["openings"]["mouth"]["within_clips"]["slope"] == pytest.approx(0, abs=0.05)
    for name in ("one_points.png", "one_openings.png", "two_points.png", "one/alignment.npz"):
        assert (tmp_path / name).stat().st_size > 1000


def test_a_clip_that_the_network_refuses_is_lost_and_no_more(clips, head, tmp_path):
    unsure = MeanFaceNetwork(head, std=0.5)
    align = lambda source, reference: align_network([source], unsure, head, _detector(head))
    evaluate.evaluate_clips(align, head, clips, ["one"], clips, tmp_path, fits="none")
    report = json.loads((tmp_path / "table.json").read_text())
    assert report["pooled"]["lost_frames"] == FRAMES and report["pooled"]["raw"]["median"] is None
    assert report["std_factor"] == {"raw": None, "debiased": None}


def test_crops_can_be_put_where_mediapipe_sees_the_face(clips, head, network):
    """With a reference in another place, the network's mean face follows it."""
    source = evaluate.open_frames(clips / "one.mp4")
    reference = _reference(head, shift=7.0)
    found = align_in_boxes(source, network, head, reference)
    assert found.valid[0].tolist() == [f != LOST for f in range(FRAMES)]
    report = clips_report([compare("one", found, reference, head)])
    assert report["pooled"]["raw"]["median"] < 6 and not report["debiased_with_other_clips"]


def test_alignments_of_other_frames_are_refused(head):
    reference = _reference(head)
    with pytest.raises(InputError, match="expected vertices and MediaPipe's points"):
        compare("one", reference, reference, head)


def test_samples_get_a_table_and_a_sheet(head, network, tmp_path):
    archive = painted_archive(tmp_path / "archive", 10)
    text = evaluate.evaluate_samples(network, head, archive, 9, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "table.json").read_text())
    assert report["crops"] == 9 and "turn 0 to 15" in text
    # Painted heads are frontal and only rolled: the mean face is some per cent off, worst where the roll moves most.
    assert 1 < report["nme"]["mean"] < 15 and report["regions"]["forehead"]["mean"] > report["regions"]["nose"]["mean"]
    assert report["yaw"]["0 to 15"]["crops"] == 9
    assert (tmp_path / "out" / "best_median_worst.png").stat().st_size > 10_000


@pytest.mark.parametrize("degrees", [-70, 0, 40])
def test_the_turn_is_told_from_the_points(head, degrees):
    angle, roll = np.radians(degrees), np.radians(20)
    turn = np.asarray([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    tilt = np.asarray([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    points = (on_surface(np.asarray(head.template) @ turn.T, head.mediapipe)[:, :2] * [1, -1]) @ tilt.T
    assert turn_degrees(points, head) == pytest.approx(degrees, abs=2)


def test_hard_pictures_are_answered_or_flagged(head, network, tmp_path):
    bright = hard_cases.Case("bright (1)", np.full((SIZE, SIZE, 3), 128, np.uint8), np.asarray([8.0, 8, 88, 88]))
    dark = hard_cases.Case("dark", np.zeros((SIZE, SIZE, 3), np.uint8), bright.box)
    found = [hard_cases.ask(case, network, head, _detector(head), tmp_path, fit=False) for case in (bright, dark)]
    assert found[0].says.startswith("followed, median σ 2.") and "shown directly: sure" in found[0].direct
    assert found[1].says.startswith("flagged: no face") and "not sure" in found[1].direct
    hard_cases.write_sheet(found, head, tmp_path)
    assert (tmp_path / "bright_1.png").is_file() and (tmp_path / "hard_cases.png").stat().st_size > 5000
