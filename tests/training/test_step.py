"""One training step does the same on one device, on many, and on those of several processes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = str(Path(__file__).with_name("on_devices.py"))


def _start(*arguments: object) -> subprocess.Popen:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_"))}
    environment |= {"PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, PROGRAM, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return found.getsockname()[1]


def test_any_number_of_devices_and_processes_gives_the_weights_of_one_device(tmp_path):
    """Also with batch statistics, dropout and dropped branches; both routes."""
    address = f"localhost:{free_port()}"
    started = {
        "one": _start(tmp_path / "one.npz", 1, "pmap"),
        "eight": _start(tmp_path / "eight.npz", 8, "pmap"),
        "shard_map": _start(tmp_path / "shard_map.npz", 4, "shard_map"),
        "processes": _start(tmp_path / "processes.npz", 2, "pmap", address, 2, 0),
        "other": _start(tmp_path / "other.npz", 2, "pmap", address, 2, 1),
    }
    for name, process in started.items():
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, f"{name}: {errors[-2000:]}"
    results = {name: dict(np.load(tmp_path / f"{name}.npz")) for name in started if name != "other"}
    one = results.pop("one")
    # The last six are terms of the loss.
    weights = list(one)[:-6]
    for name, result in results.items():
        for leaf in weights:
            np.testing.assert_allclose(result[leaf], one[leaf], rtol=1e-5, atol=1e-6, err_msg=f"{name} {leaf}")
    first = np.load(tmp_path / "one.npz")
    assert any(np.abs(first[leaf]).max() > 0.1 for leaf in weights)


@pytest.mark.parametrize("processes", ["everywhere", "localhost,2,0", "localhost:1,2,2", "localhost:1,x,0"])
def test_a_wrong_description_of_the_processes_is_one_clear_line(processes):
    from flowface_jax.errors import InputError
    from flowface_jax.training.distributed import start

    with pytest.raises(InputError, match="HOST:PORT,COUNT,INDEX"):
        start(processes)


def test_a_lone_process_is_not_taken_for_one_of_several():
    from flowface_jax.training.distributed import detected_manager

    assert detected_manager({}) is None
    assert detected_manager({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1"}) is None
    assert detected_manager({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "16"}) == "SLURM"
    assert detected_manager({"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}) is None
    assert detected_manager({"TPU_WORKER_HOSTNAMES": "a,b", "TPU_WORKER_ID": "0"}) == "TPU pod"
    assert detected_manager({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) is None
