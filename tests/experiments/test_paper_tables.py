"""Tables have the paper's layout beside its published rows, and say what they are; captures and scores are resumed."""

import dataclasses
import json
import sys

import cv2
import numpy as np
import pytest
import table1
import table2
import table3
import table4
import table5
from paper_tables import avatars, captures, methods, output, tracking
from paper_tables.captures import CaptureSize

from flowface_jax.alignment.alignment import make_alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.tables import Row, from_json
from flowface_jax.evaluation.tracking_benchmark import LOST, ScoreConfig, SequenceScores
from flowface_jax.heads.generic import generic_head
from flowface_jax.reporting import SilentReporter

SIZE = CaptureSize(subjects=2, sequences=1, frames=3, side=64)


@pytest.fixture(scope="module")
def head():
    return generic_head()


def _scores(name, face):
    curve = np.full(2, face)
    regions = dict.fromkeys(("face", "mouth"), curve)
    return SequenceScores(name, 3, 0, {"face": face / 2}, regions, dict.fromkeys(regions, curve), {"face": 1.0})


@pytest.fixture
def benchmark(tmp_path):
    """A folder of two sequences, as far as the tables look at them, with the scores of three methods."""
    folder = captures.prepare(tmp_path / "benchmark", SIZE)
    for k, one in enumerate(captures.planned(folder, SIZE)):
        (one.folder / "truth").mkdir(parents=True)
        (one.folder / "truth" / "track.json").write_text("{}")
        _scores(one.name, 2.0 + k).save(one.folder / "scores" / "flowface-nano_lm_sequence.json")
        for half in ("single", "sequence"):
            _scores(one.name, 4.0).save(one.folder / "scores" / f"mediapipe_{half}.json")
    _scores("x", 1.0).save(one.folder / "scores" / "half_done_sequence.json")
    return folder


def _run(program, monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["program", *map(str, arguments)])
    program.main()
    return capsys.readouterr().out


def test_table_2_from_synthetic_scores(benchmark, tmp_path, monkeypatch, capsys):
    text = _run(table2, monkeypatch, capsys, "--synthetic", benchmark, "--out", tmp_path / "out")
    assert "flowface-nano + LM" in text and "FlowFace †" in text and "half_done" not in text
    assert "measured on other data" in text
    own = from_json((tmp_path / "out" / "table2_sequence.json").read_text())
    assert [row.name for row in own.rows] == ["flowface-nano + LM", "MediaPipe"]
    assert [c.name for c in own.columns] == [*(c.name for c in published.MULTIFACE_COLUMNS), LOST.name]
    assert own.rows[0].values[:2] == (1.25, None) and own.rows[0].values[5] == 2.5
    single = from_json((tmp_path / "out" / "table2_single.json").read_text())
    assert [row.name for row in single.rows] == ["MediaPipe"]
    for ending in ("txt", "csv", "tex"):
        assert (tmp_path / "out" / f"table2_single.{ending}").stat().st_size


def test_a_folder_without_captures_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["table2", "--synthetic", str(tmp_path)])
    with pytest.raises(InputError, match="holds no synthetic captures; make them"):
        table2.main()


def test_predictions_of_table_2_need_names_that_exist(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--multiface", str(tmp_path), "--predictions", "a=" + str(tmp_path / "no")])
    with pytest.raises(InputError, match="no such file or folder"):
        table2.main()
    monkeypatch.setattr(
        sys, "argv", ["x", "--multiface", str(tmp_path), "--predictions", f"a={tmp_path}", "--single", "b"]
    )
    with pytest.raises(InputError, match="'b', which is none of them"):
        table2.main()


def test_own_rows_on_other_data_are_kept_apart_and_on_the_same_data_are_among():
    rows = [Row("mine", (0.5, 0.01, 7.0))]
    other = output.apart(published.FACESCAPE, "mine only", rows, (), (LOST,))
    assert [row.name for row in other[""].rows] == ["mine"] and output.OTHER_DATA in other["published"].notes
    same = output.beside(published.FACESCAPE, rows, (), (LOST,))[""]
    assert len(same.rows) == 8 and same.best(0) == 0.5
    assert same.rows[0].published and same.rows[0].values == (4.00, 0.093, None)


def test_names_with_paths(tmp_path):
    assert output.named_paths([f"a={tmp_path}"], "--x") == {"a": tmp_path}
    for wrong in (["a"], [f"={tmp_path}"], [f"a={tmp_path}"] * 2):
        with pytest.raises(InputError, match="--x: expected NAME=PATH"):
            output.named_paths(wrong, "--x")


def test_programs_end_with_one_line(capsys):
    def fail():
        raise InputError("expected this, found that")

    with pytest.raises(SystemExit) as ended:
        output.run(fail)
    assert ended.value.code == InputError.exit_code and capsys.readouterr().err == "error: expected this, found that\n"


def test_other_settings_do_not_mix_with_what_is_there_but_subjects_may_be_added(benchmark):
    captures.prepare(benchmark, dataclasses.replace(SIZE, subjects=5))
    with pytest.raises(InputError):
        captures.prepare(benchmark, dataclasses.replace(SIZE, frames=4))
    assert captures.size_of(benchmark) == SIZE
    with pytest.raises(InputError, match="--sequences"):
        CaptureSize(sequences=6)


def test_what_was_scored_is_not_run_again(benchmark, head, monkeypatch):
    setup = methods.Setup(head, ScoreConfig(), label="flowface-nano")
    monkeypatch.setattr(methods, "_measured", lambda *_: pytest.fail("scored again"))
    one = next(captures.planned(benchmark, SIZE))
    assert methods.scores_of(one, "network_lm", setup, "sequence").mean_ssme("face") == 2.0
    assert methods.scores_of(one, "mediapipe", setup, "single").mean_ssme("face") == 4.0


def test_scores_of_other_weights_of_the_same_name_are_refused(benchmark, head):
    one = next(captures.planned(benchmark, SIZE))
    (one.folder / "flowface-nano").mkdir()
    (one.folder / "flowface-nano" / "aligned.json").write_text('{"frames": 3, "seconds": 1.0, "weights": "old"}')
    setup = methods.Setup(head, label="flowface-nano", weights="new")
    with pytest.raises(InputError, match="other weights called 'flowface-nano'"):
        methods.scores_of(one, "network_lm", setup, "sequence")
    same = dataclasses.replace(setup, weights="old")
    assert methods.scores_of(one, "network_lm", same, "sequence").mean_ssme("face") == 2.0
    assert methods.milliseconds(one, "network_lm", same) == pytest.approx(1000 / 3)


def test_filming_goes_on_where_it_stopped_and_ends_with_the_same_pictures(tmp_path, head, monkeypatch):
    drawn = []

    def renderer(*_):
        def render(moment, cameras):
            drawn.append(moment.frame)
            return [type("View", (), {"image": np.full((64, 64, 3), 40 * moment.frame, np.uint8)})]

        return render

    monkeypatch.setattr(captures, "make_film_renderer", renderer)
    bar = SilentReporter().bar("", 3, "")
    one = next(captures.planned(tmp_path, SIZE))
    captures.film(head, SIZE, [one], bar)
    truth = one.truth()
    for path in (one.frames / "00001.png", one.folder / "truth" / "track.json"):
        path.unlink()
    captures.film(head, SIZE, [one], bar)
    captures.film(head, SIZE, [one], bar)
    assert drawn == [0, 1, 2, 1]
    assert cv2.imread(str(one.frames / "00001.png")).max() == 40
    np.testing.assert_array_equal(one.truth().head_translation, truth.head_translation)


def test_sequences_of_a_subject_share_the_person_and_differ_in_camera_and_motion(head):
    size = CaptureSize(subjects=1, sequences=2, frames=2, side=64)
    first, second = (captures.motion_of(head, size, one) for one in captures.planned(captures.Path("x"), size))
    np.testing.assert_array_equal(first.identity, second.identity)
    assert not np.allclose(first.cameras.rotation, second.cameras.rotation)
    assert first.frame_count == 2 and not np.allclose(first.expression, second.expression)


def test_mediapipes_points_become_a_mesh_of_a_heads_size(head):
    pytest.importorskip("mediapipe")
    points = np.random.default_rng(0).uniform(10, 50, (2, 478, 3))
    points[0, 33], points[0, 263] = (10, 20, 0), (40, 20, 0)
    points[1] = np.nan
    sequence = methods.points_sequence(points, (64, 64), head)
    assert sequence.valid.tolist() == [True, False] and sequence.vertices.shape[1] == 468
    width = np.linalg.norm(sequence.vertices[0, 33] - sequence.vertices[0, 263])
    assert 0.07 < width < 0.12
    np.testing.assert_allclose(sequence.projected().pixels[0], points[0, :468, :2], rtol=1e-6)


def test_unknown_methods_and_missing_networks_are_named(head):
    with pytest.raises(InputError, match="--methods: expected some of"):
        methods.make_setup(head, "flowface-nano", "mediapipe", ("guess",))
    with pytest.raises(InputError, match="unknown aligner 'no-such'"):
        methods.make_setup(head, "no-such", "mediapipe", ("network_lm",))
    assert methods.make_setup(head, "no-such", "mediapipe", ("mediapipe_lm",)).network is None


def test_methods_are_called_by_what_they_are():
    assert tracking.method_title("mediapipe_lm") == "MediaPipe + LM"
    assert tracking.method_title("my_run_adamw") == "my_run + AdamW"


def test_frames_of_an_alignment():
    whole = make_alignment(
        np.arange(24.0).reshape(1, 4, 3, 2), np.ones((1, 4, 3)), np.asarray([[True, False, True, True]]), [[64, 64]],
        "surface", vertex_ids=np.zeros((3, 3), int), barycentric=np.full((3, 3), 1 / 3),
        frame_times=np.arange(4) / 30, frame_ids=np.arange(4), camera_names=["a"], source="",
    )  # fmt: skip
    part = methods.frames_of(whole, [2, 3])
    np.testing.assert_array_equal(part.mean, whole.mean[:, 2:])
    assert part.frame_ids.tolist() == [2, 3]


def test_pictures_are_compared_by_sequence_and_missing_ones_counted(tmp_path):
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        for frame in range(5):
            picture = random.integers(0, 255, (176, 176, 3), np.uint8)
            for kind in ("truth", "mine"):
                if kind == "truth" or (name, frame) != ("a", 2):
                    (tmp_path / kind / name).mkdir(parents=True, exist_ok=True)
                    shown = picture if kind == "truth" else np.clip(picture.astype(int) + 10, 0, 255).astype(np.uint8)
                    cv2.imwrite(str(tmp_path / kind / name / f"{frame}.png"), shown)
    row = avatars.folder_row("mine", tmp_path / "mine", tmp_path / "truth", None)
    assert 27 < row.values[0] < 30 and 0.9 < row.values[1] < 1 and row.values[3] is None and row.values[4] == 10
    middle = avatars.folder_row("mine", tmp_path / "mine", tmp_path / "truth", None, 0.2)
    assert middle.values[4] == 50


def test_the_middle_of_a_sequence():
    assert list(avatars.middle_part(range(10), 0.2)) == [4, 5]
    assert list(avatars.middle_part(range(3), 0.2)) == [1]


def test_table_5_fits_as_its_configs_say():
    config, with_neutral = table5.fit_of("without_offsets")
    assert config.offsets == "fixed" and with_neutral
    config, with_neutral = table5.fit_of("without_mica")
    assert config.offsets == "auto" and not with_neutral


def test_noses_are_pushed_out_at_the_tip_only(head):
    bump = table5.nose_bump(head)
    assert bump.max() == 1.0 and not bump[~np.asarray(head.regions["nose"])].any()


def test_tables_with_data_ask_for_what_is_measured(tmp_path, monkeypatch):
    for program, arguments in (
        (table1, ["--facescape", str(tmp_path)]),
        (table3, ["--now", str(tmp_path)]),
        (table5, ["--now", str(tmp_path)]),
        (table4, ["--runs", str(tmp_path / "run")]),
    ):
        monkeypatch.setattr(sys, "argv", ["program", *arguments])
        with pytest.raises(InputError, match="expected"):
            program.main()


def test_table_4_states_iterations_parameters_and_errors():
    network = type("Network", (), {"config": type("Config", (), {"iterations": 3})})
    setup = methods.Setup(None, ScoreConfig(), network, "run", "", 17_300_000)
    row = table4._row("mit_b1", setup, 29.0, [_scores("a", 3.2)])
    assert row.values == (3, 17.3, 29.0, 1.6, 3.2, 0.0)
    assert len(row.values) == len(published.ABLATION_COLUMNS) + 1


def test_results_are_plain_json(benchmark):
    assert json.loads((benchmark / "request.json").read_text())["synthetic_benchmark"]["frames"] == 3
