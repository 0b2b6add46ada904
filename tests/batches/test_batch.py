"""A batch in one process: what it runs, what it leaves alone, and what its table says."""

from __future__ import annotations

import csv
import dataclasses
import json

import numpy as np
import pytest

from flowface_jax.batches import BatchSettings, Resources, run_batch
from flowface_jax.batches.tables import COLUMNS, summary
from flowface_jax.errors import InputError
from tests.aligners.films import write_film
from tests.batches.films import FAILING, write_sixty
from tests.batches.stand_in import calls, count_frames


@pytest.fixture(scope="module")
def sixty(tmp_path_factory):
    return write_sixty(tmp_path_factory.mktemp("sixty"))


@pytest.fixture
def three(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for k, name in enumerate(("one", "two", "three")):
        write_film(folder / f"{name}.mp4", [np.full((16, 16, 3), 50 + 40 * k, np.uint8)] * 3)
    return folder


def _rows(batch):
    """The rows without how long they took."""
    return [dataclasses.replace(row, seconds=None) for row in batch.rows]


def _run(source, out, **options):
    return run_batch(source, out, function=count_frames, **options)


def test_failures_stand_in_the_table_and_stop_nothing(sixty, tmp_path):
    batch = _run(sixty, tmp_path / "out")
    assert len({row.input for row in batch.rows}) == 60 and batch.ran == 60
    failed = {row.input: row.error for row in batch.failures}
    assert failed.keys() == FAILING.keys()
    for name, reason in FAILING.items():
        assert reason in failed[name] and "\n" not in failed[name]
    assert [row.place for row in batch.rows] == sorted(row.place for row in batch.rows)
    with (tmp_path / "out" / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert tuple(table[0]) == COLUMNS and len(table) == len(batch.rows)
    stored = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert stored == [dataclasses.asdict(row) for row in batch.rows]


def test_what_is_done_is_left_alone_and_new_videos_are_taken_in(three, tmp_path):
    out = tmp_path / "out"
    first = _run(three, out)
    (three / "four").mkdir()
    write_film(three / "four" / "one.mp4", [np.full((16, 16, 3), 90, np.uint8)])
    second = _run(three, out)
    assert (first.ran, second.ran) == (3, 1)
    assert set(first.rows) < set(second.rows)
    assert calls(out / "one") == calls(out / "four" / "one") == 1


def test_a_batch_broken_off_anywhere_ends_with_the_same_table(sixty, tmp_path):
    whole = _run(sixty, tmp_path / "whole")
    broken = tmp_path / "broken"
    for stop in (0, 7, 31):
        count = 0

        def until(job, stop=stop):
            nonlocal count
            count += 1
            if count > stop:
                raise KeyboardInterrupt
            return count_frames(job)

        with pytest.raises(KeyboardInterrupt):
            run_batch(sixty, broken, function=until)
        table = (broken / "results.csv").read_text()
        assert ",pending," in table
    assert _rows(_run(sixty, broken)) == _rows(whole)


def test_failed_videos_are_tried_again_when_asked(three, tmp_path):
    out, bad = tmp_path / "out", three / "two.mp4"
    good = bad.read_bytes()
    bad.write_text("not yet copied")
    assert [row.input for row in _run(three, out).failures] == ["two.mp4"]
    bad.write_bytes(good)
    assert _run(three, out).failures and calls(out / "two") == 1
    again = _run(three, out, retry_failed=True)
    assert not again.failures and again.ran == 1


def test_a_list_names_videos_and_a_missing_one_is_a_failed_row(three, tmp_path):
    listed = tmp_path / "lists" / "list.txt"
    listed.parent.mkdir()
    absolute = three / "two.mp4"
    listed.write_text(f"# films\n../films/one.mp4\n\n../films/nowhere.mp4\n{absolute}\n../films/one.mp4\n")
    batch = _run(listed, tmp_path / "out")
    assert {row.input: row.status for row in batch.rows} == {
        "../films/one.mp4": "done",
        "../films/nowhere.mp4": "failed",
        str(absolute): "done",
    }
    assert "no such file" in batch.failures[0].error
    folders = {row.folder for row in batch.rows if row.folder}
    assert "films/one/scene_000/person_00" in folders and not any(".." in folder for folder in folders)


def test_videos_of_one_name_have_folders_of_their_own_that_stay_theirs(three, tmp_path):
    out = tmp_path / "out"
    _run(three, out)
    (three / "one.mov").write_bytes((three / "one.mp4").read_bytes())
    folders = {row.input: row.folder.split("/")[0] for row in _run(three, out).rows}
    assert folders["one.mp4"] == "one" and folders["one.mov"] == "one.mov"


def test_results_inside_the_folder_of_videos_are_no_videos(three):
    out = three / "out"
    _run(three, out)
    write_film(out / "one" / "overlay.mp4", [np.zeros((16, 16, 3), np.uint8)])
    assert _run(three, out).ran == 0


def test_a_single_video_is_a_batch(three, tmp_path):
    assert [row.input for row in _run(three / "one.mp4", tmp_path / "out").rows] == ["one.mp4"]


def test_a_folder_of_other_settings_or_another_program_is_refused(three, tmp_path):
    out = tmp_path / "out"
    _run(three, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match="with other people, cuts; give the same"):
        _run(three, out, settings=BatchSettings(people="one", cuts=None))
    with pytest.raises(InputError, match="in use and holds no batch.json"):
        _run(three, three)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file; name a folder"):
        _run(three, tmp_path / "file")
    assert before == {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_two_batches_do_not_work_in_one_folder(three, tmp_path):
    out = tmp_path / "out"

    def meanwhile(job):
        with pytest.raises(InputError, match="another batch is at work"):
            _run(three, out)
        return count_frames(job)

    assert not run_batch(three, out, function=meanwhile).failures


@pytest.mark.parametrize("name", ["file/out", "/proc/flowface"])
def test_a_folder_that_cannot_be_written_is_one_line(three, tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write to .*; name a folder that can be written to"):
        _run(three, tmp_path / name)


def test_inputs_that_hold_no_video_are_refused(tmp_path):
    empty, words, binary = tmp_path / "empty", tmp_path / "list.txt", tmp_path / "data.bin"
    empty.mkdir()
    words.write_text("# nothing\n\n")
    binary.write_bytes(b"\0\1\2")
    for source, said in (
        (tmp_path / "nowhere", "no such file or folder"),
        (empty, "no video in"),
        (words, "names no video"),
        (binary, "neither a video nor a list"),
    ):
        with pytest.raises(InputError, match=said):
            _run(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_numbers_of_jobs_and_gpus_that_mean_nothing_are_refused():
    for wrong in ({"jobs": 0}, {"gpus": -1.0}, {"gpus": 1.5}, {"gpus": float("nan")}):
        with pytest.raises(InputError):
            Resources(**wrong)
    assert Resources(gpus=0.25).on_ray and Resources(2).on_ray and not Resources().on_ray


def test_the_summary_counts_videos_and_tracks(three, tmp_path):
    (three / "text.mp4").write_text("no film")
    batch = _run(three, tmp_path / "out")
    text = summary(batch.rows, batch.folder, 75.0)
    assert text.startswith("4 videos: 3 done, 1 failed; 6 tracks: 6 good, median residual ")
    # One track of 50, two of 90, three of 130.
    assert abs(float(text.split("median residual ")[1].split(" %")[0]) - 110) < 3
    assert "took 1 min 15 s" in text and text.count("\n") == 1
