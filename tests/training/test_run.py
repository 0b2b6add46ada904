"""A run in a folder: interrupted, resumed, refused, diverging."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from flowface_jax.errors import InputError
from flowface_jax.network.config import NetworkConfig
from flowface_jax.network.weights import load_weights
from flowface_jax.storage import read_npz
from flowface_jax.training.config import TrainingConfig
from flowface_jax.training.run import SETTINGS, _check_folder, train
from tests.training.painted import painted_archive
from tests.training.run_once import small_run
from tests.training.test_step import free_port

PROGRAM = str(Path(__file__).with_name("run_once.py"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return str(painted_archive(tmp_path_factory.mktemp("painted") / "archive", 6, side=64))


def _start(archive, out, *settings, devices=1, processes="none"):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_NUM_CPU_DEVICES": str(devices)}
    command = [sys.executable, PROGRAM, processes, archive, str(out), *settings]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _finish(process):
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors[-2000:]


@pytest.mark.minutes
def test_a_killed_run_ends_as_an_unbroken_one_also_on_more_devices(archive, tmp_path):
    _finish(_start(archive, tmp_path / "unbroken"))
    killed = _start(archive, tmp_path / "killed")
    saved = tmp_path / "killed" / "checkpoints" / "2"
    while not saved.exists():
        assert killed.poll() is None, killed.stderr.read()[-2000:]
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    shutil.rmtree(tmp_path / "killed" / "checkpoints" / "4", ignore_errors=True)
    assert not (tmp_path / "killed" / "network.safetensors").exists()
    shutil.copytree(tmp_path / "killed", tmp_path / "more")
    _finish(_start(archive, tmp_path / "killed"))
    for name in ("network.safetensors", "evaluations.jsonl", "config.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes(), name
    lines = [json.loads(line) for line in (tmp_path / "killed" / "evaluations.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert len(list((tmp_path / "killed" / "pictures").iterdir())) == 2
    _finish(_start(archive, tmp_path / "more", "devices=2", devices=2))
    _same(tmp_path / "unbroken", tmp_path / "more")


@pytest.mark.minutes
def test_two_processes_write_one_run_that_is_that_of_one_process(archive, tmp_path):
    _finish(_start(archive, tmp_path / "one", "devices=1"))
    address = f"localhost:{free_port()}"
    both = [_start(archive, tmp_path / "two", processes=f"{address},2,{index}") for index in range(2)]
    for process in both:
        _finish(process)
    _same(tmp_path / "one", tmp_path / "two")
    assert len((tmp_path / "two" / "evaluations.jsonl").read_text().splitlines()) == 2


def _same(one, other):
    weights = [load_weights(folder / "network.safetensors").variables for folder in (one, other)]
    for a, b in zip(*map(jax.tree.leaves, weights), strict=True):
        # AdamW turns the rounding of tiny gradients into steps of the learning rate.
        np.testing.assert_allclose(a, b, atol=2.5e-4)


@pytest.mark.minutes
def test_a_run_that_diverges_stops_with_its_batch_written_out(archive, tmp_path):
    process = _start(archive, tmp_path / "run", "initial=" + _broken_weights(archive, tmp_path))
    _, errors = process.communicate(timeout=400)
    assert process.returncode != 0
    assert "not finite at step 0" in errors
    batch = read_npz(tmp_path / "run" / "failed_batch_0.npz", "a batch")
    assert batch["image"].shape == (4, 32, 32, 3)
    assert int(batch["step"]) == 0


def _broken_weights(archive, folder):
    """A network of the right sizes with one infinite weight."""
    from flowface_jax.network import AlignmentNetwork, initial_variables
    from flowface_jax.network.weights import save_weights

    config = small_run(archive).model
    variables = initial_variables(AlignmentNetwork(config), 0)
    first = jax.tree.leaves(variables["params"])[0]
    first[...] = np.inf
    save_weights(folder / "broken.safetensors", "network", variables, {})
    return str(folder / "broken.safetensors")


def test_a_folder_with_another_run_or_other_things_is_refused_and_left_alone(archive, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no training run"):
        train(small_run(archive), tmp_path / "full")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(small_run(archive, seed=1).to_mapping()))
    with pytest.raises(InputError, match=r"run.seed = 1, asked for 0; give another folder"):
        train(small_run(archive), tmp_path / "run")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"batch_size": 6, "micro_batches": 4}, "micro_batches: 4 do not divide"),
        ({"devices": 99}, "expected at least 99 devices, found"),
        ({"initial": ("nothing.safetensors",)}, "no such file: nothing.safetensors"),
    ],
)
def test_what_cannot_be_run_is_one_clear_line(archive, tmp_path, settings, told):
    with pytest.raises(InputError, match=told):
        train(small_run(archive, **settings), tmp_path / "run")


def test_a_run_from_before_there_was_a_setting_goes_on_with_its_default(tmp_path):
    run = SimpleNamespace(folder=tmp_path, config=TrainingConfig())
    earlier = run.config.to_mapping()
    del earlier["model"]["std_scale"]
    (tmp_path / SETTINGS).write_text(json.dumps(earlier))
    _check_folder(run)
    run.config = dataclasses.replace(run.config, model=NetworkConfig(std_scale=2.0))
    with pytest.raises(InputError, match=r"holds a run with model.std_scale = 1.0, asked for 2.0"):
        _check_folder(run)
