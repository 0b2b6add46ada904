"""Sixty videos on two workers: killed, crashing, resumed."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowface_jax import clusters
from flowface_jax.batches import Resources, run_batch
from flowface_jax.batches.records import VIDEO_FILE
from flowface_jax.errors import InputError, MissingDependencyError
from tests.batches.films import CRASHING, FAILING, write_sixty
from tests.batches.stand_in import PAUSE, calls, count_frames

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 60.0


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'flowface-jax[batches]'")
    with clusters.connected(clusters.import_ray(""), "local"):
        yield ray


def _rows(batch):
    return [dataclasses.replace(row, seconds=None) for row in batch.rows]


def _killed_half_way(source, out, jobs):
    """Start the batch as a program of its own and kill it with SIGKILL once a third is done."""
    command = [sys.executable, "-m", "tests.batches.drive", str(source), str(out), str(jobs)]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, PAUSE: "0.05"}, start_new_session=True)
    end = time.monotonic() + LONGEST_S
    while len(list(out.rglob(VIDEO_FILE))) < 20 and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(list(out.rglob(VIDEO_FILE)))


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.minutes)])
def test_sixty_videos_killed_half_way_and_resumed_on_two_workers_give_the_same_table(ray, tmp_path, jobs):
    source = write_sixty(tmp_path / "films")
    whole = run_batch(source, tmp_path / "whole", function=count_frames)
    assert {row.input for row in whole.failures} == FAILING.keys()
    done = _killed_half_way(source, tmp_path / "broken", jobs)
    assert 20 <= done < 60
    resumed = run_batch(source, tmp_path / "broken", resources=Resources(2), function=count_frames)
    assert _rows(resumed) == _rows(whole)
    assert 0 < resumed.ran <= 60 - done


def test_a_video_that_takes_its_process_with_it_is_tried_once_more_and_stops_nothing(ray, tmp_path):
    source, out = write_sixty(tmp_path / "films", crashing=True), tmp_path / "out"
    batch = run_batch(source, out, resources=Resources(2), function=count_frames)
    failed = {row.input: row.error for row in batch.failures}
    assert failed.keys() == {*FAILING, CRASHING} and len({row.input for row in batch.rows}) == 60
    assert "its process was killed 2 times" in failed[CRASHING]
    assert calls(out / "b" / "crash") == 2 and calls(out / "b" / "bug") == 1
    assert not run_batch(source, out, resources=Resources(2), function=count_frames).ran


def test_a_cluster_without_the_gpus_of_one_job_is_refused(ray, tmp_path):
    source = write_sixty(tmp_path / "films")
    with pytest.raises(InputError, match="each job is to have 64 GPUs and Ray has .*lower --gpus-per-job"):
        run_batch(source, tmp_path / "out", resources=Resources(1, gpus=64), function=count_frames)


def test_without_ray_one_job_works_and_more_name_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    source = write_sixty(tmp_path / "films")
    with pytest.raises(MissingDependencyError, match=r"flowface-jax\[batches\]"):
        run_batch(source, tmp_path / "out", resources=Resources(2), function=count_frames)
    assert not (tmp_path / "out").exists()
    assert len(run_batch(source, tmp_path / "out", function=count_frames).rows) >= 60
