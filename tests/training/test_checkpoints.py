"""Checkpoints: the newest and the best are kept, what was written before survives whatever happens to the next."""

import dataclasses
import os
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowface_jax.errors import InputError
from flowface_jax.training.checkpoints import Checkpoints
from flowface_jax.training.devices import replicated, usable_devices
from flowface_jax.training.state import TrainState, initial_state


def _state(step: int, size: int = 200) -> TrainState:
    random = np.random.default_rng(step)
    variables = {"params": {"layer": {"kernel": random.random((size, size), np.float32)}}}
    state = initial_state(variables, optax.adamw(1e-3), average=True)
    return replicated(dataclasses.replace(state, step=jnp.asarray(step, jnp.int32)), usable_devices())


def test_the_newest_and_the_best_are_kept_and_come_back_as_they_were(tmp_path):
    with Checkpoints(tmp_path / "run", latest=1, best=1) as checkpoints:
        for step, nme in ((10, 3.0), (20, 1.5), (30, 2.0), (40, None)):
            checkpoints.save(_state(step), {"note": step}, None if nme is None else {"nme": nme})
        checkpoints.finish()
        assert (checkpoints.newest, checkpoints.best) == (40, 20)
        kept = {path.name for path in (tmp_path / "run").iterdir()}
        assert kept == {"20", "40"}
        loaded = checkpoints.load(40, _state(0), usable_devices())
        assert checkpoints.about(40) == {"note": 40}
    assert jax.tree.structure(loaded) == jax.tree.structure(_state(40))
    jax.tree.map(np.testing.assert_array_equal, loaded, _state(40))


def test_a_damaged_checkpoint_is_named_with_what_to_do(tmp_path):
    with Checkpoints(tmp_path / "run") as checkpoints:
        checkpoints.save(_state(1), {})
        checkpoints.finish()
        for path in (tmp_path / "run" / "1").rglob("*"):
            if path.is_file() and path.stat().st_size > 10_000:
                path.write_bytes(b"\0" * 100)
        with pytest.raises(InputError, match="1 cannot be read back .*remove that folder"):
            checkpoints.load(1, _state(0), usable_devices())


KILLED = """
import sys
from pathlib import Path
sys.path[:0] = {path!r}
from flowface_jax.training.checkpoints import Checkpoints
from tests.training.test_checkpoints import _state
checkpoints = Checkpoints(Path({folder!r}))
checkpoints.save(_state(1), {{}})
checkpoints.finish()
print("first", flush=True)
for step in range(2, 10_000):
    checkpoints.save(_state(step, 1500), {{}})
"""


def test_a_process_killed_while_it_writes_leaves_whole_checkpoints_only(tmp_path):
    program = KILLED.format(path=sys.path, folder=str(tmp_path / "run"))
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout.readline() == b"first\n"
    deadline = time.monotonic() + 60
    # In the middle of a write: its temporary folder is there.
    while not any("tmp" in path.name for path in (tmp_path / "run").iterdir()):
        assert time.monotonic() < deadline
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with Checkpoints(tmp_path / "run") as checkpoints:
        step = checkpoints.newest
        size = 200 if step == 1 else 1500
        loaded = checkpoints.load(step, _state(0, size), usable_devices())
        jax.tree.map(np.testing.assert_array_equal, loaded, _state(step, size))
        checkpoints.save(_state(step + 1), {})
        checkpoints.finish()
        assert checkpoints.newest == step + 1


FULL = """
import resource, signal, sys
from pathlib import Path
sys.path[:0] = {path!r}
from flowface_jax.training.checkpoints import CheckpointError, Checkpoints
from tests.training.test_checkpoints import _state
checkpoints = Checkpoints(Path({folder!r}))
checkpoints.save(_state(1), {{}})
checkpoints.finish()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    checkpoints.save(_state(2), {{}})
    checkpoints.finish()
except CheckpointError as error:
    print(error, flush=True)
"""


def test_a_disk_that_takes_no_more_is_said_and_the_last_checkpoint_stays(tmp_path):
    """No file may grow beyond 50 kB in that process: what a full disk does, without filling one."""
    program = FULL.format(path=sys.path, folder=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert "could not be written" in done.stdout, done.stderr[-2000:]
    assert "newest complete one is of step 1" in done.stdout
    with Checkpoints(tmp_path / "run") as checkpoints:
        assert checkpoints.newest == 1
        jax.tree.map(np.testing.assert_array_equal, checkpoints.load(1, _state(0), usable_devices()), _state(1))
