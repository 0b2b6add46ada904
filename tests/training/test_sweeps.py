"""Sweeps: planned, run, interrupted, resumed and collected, with a stand-in for the training program."""

import csv
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flowface_jax.errors import InputError
from flowface_jax.training.sweeps.engine import Resources
from flowface_jax.training.sweeps.formats import as_text
from flowface_jax.training.sweeps.grid import make_grid, parse_axis, points
from flowface_jax.training.sweeps.local import gpu_shares
from flowface_jax.training.sweeps.members import Sweep, add_members, read_sweep
from flowface_jax.training.sweeps.planning import plan_members
from flowface_jax.training.sweeps.running import last_words, run_member
from flowface_jax.training.sweeps.slurm import compact
from flowface_jax.training.sweeps.state import present_state, read_state
from flowface_jax.training.sweeps.table import collect

ROOT = Path(__file__).resolve().parents[2]
SMALL, ROWS = str(ROOT / "configs" / "small_rendered.py"), str(ROOT / "configs" / "table4.py")
STAND_IN = Path(__file__).with_name("stand_in.py")
PROGRAM = ROOT / "experiments" / "sweep.py"


@pytest.fixture
def sweep(tmp_path, monkeypatch):
    """The command of a sweep in tmp_path/sweep, run in this process: its exit code."""
    spec = importlib.util.spec_from_file_location("sweep_program", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.chdir(tmp_path)

    def run(*arguments, engine="local"):
        command = _arguments(tmp_path, *arguments, engine=engine)
        monkeypatch.setattr(sys, "argv", ["sweep.py", *command])
        return program.main()

    yield run
    signal.signal(signal.SIGTERM, before)


def _arguments(folder, *arguments, engine="local"):
    shared = ["--out", str(folder / "sweep"), "--engine", engine, "--program", str(STAND_IN)]
    return [*shared, *([] if "--rows" in arguments else ["--config", SMALL]), *arguments]


def _states(folder):
    sweep = read_sweep(folder / "sweep")
    return {member.name: present_state(sweep.folder_of(member)) for member in sweep.members}


def _status(folder):
    return {name.removeprefix("small_rendered__"): state.status for name, state in _states(folder).items()}


def _starts(folder, name):
    return len((folder / "sweep" / "members" / name / "run" / "starts").read_text().split())


def _until(condition, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_grid_is_every_combination():
    axes = make_grid(["model.iterations=1, 2", "optimiser.learning_rate=1e-4,3e-4"], "0,1,2")
    combinations = list(points(axes))
    assert len(combinations) == 12
    assert combinations[0] == {"model.iterations": "1", "optimiser.learning_rate": "1e-4", "run.seed": "0"}
    assert parse_axis("data.region_weights=lips=4,nose=2;lips=1").values == ("lips=4,nose=2", "lips=1")
    for text in ("iterations=1", "model.iterations", "model.iterations=1,,2", "model.iterations="):
        with pytest.raises(InputError):
            parse_axis(text)
    with pytest.raises(InputError, match=r"run.seed is varied twice"):
        make_grid(["run.seed=1,2"], "0,1")


def test_members_have_readable_names_that_do_not_depend_on_how_values_are_written():
    [member] = plan_members([SMALL], make_grid(["optimiser.learning_rate=1e-4,0.0001"]))
    assert member.name == "small_rendered__optimiser.learning_rate=0.0001"
    assert member.flags == ("--config.optimiser.learning_rate=0.0001",)
    assert [m.name for m in plan_members([f"{ROWS}:mit_b1", f"{ROWS}:mit_b2"], ())] == [
        "table4-mit_b1",
        "table4-mit_b2",
    ]
    odd = plan_members([SMALL], make_grid(["data.backgrounds=/a b/c,/a/b/c," + "x" * 300]))
    names = [member.name for member in odd]
    assert len(set(names)) == 3 and all(re.fullmatch(r"[\w.=+-]{1,180}", name) for name in names)


def test_the_training_program_comes_to_the_settings_that_were_planned(monkeypatch):
    """The flags are read back by the same parser that experiments/train.py has."""
    from absl import flags
    from ml_collections import config_flags

    from flowface_jax.training.experiment import as_training_config

    grid = make_grid(["data.region_weights=lips=4,nose=2;", "run.rematerialised=true", "run.average_decay=0"])
    fixed = ("data.backgrounds=/a b/c", "loss.std_floor=1", "run.initial=a.safetensors")
    [member] = plan_members([SMALL], grid, fixed)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "", flag_values=values)
    # The parser looks for the flags there as well.
    monkeypatch.setattr(sys, "argv", ["train.py", f"--config={member.config}", *member.flags])
    values(sys.argv)
    assert json.loads(json.dumps(as_training_config(values.config).to_mapping())) == member.settings


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--grid", "model.iteration=1,2"), "unknown setting model.iteration; known: .*iterations"),
        (("--grid", "optimiser.learning_rate=1e-3,fast"), "optimiser.learning_rate: expected float, found 'fast'"),
        (("--grid", "network.size=1"), "unknown section network; known"),
        (("--grid", "run.route=pmap,vmap"), "run.route: expected one of"),
        (("--set", "run.steps"), r"expected section.name=value, as in run.steps=100, found 'run.steps'"),
        (("--set", "run.steps=1", "--grid", "run.steps=1,2"), "run.steps is both varied and fixed"),
        (("--config", "configs/absent.py"), "no such file: configs/absent.py"),
        (("--rows", f"{ROWS}:mit_b9"), "expected a row after the colon"),
        (("--rows", str(ROOT / "configs" / "table5.py") + ":ours"), "expected settings of training"),
        (("--jobs", "-1"), "expected numbers ≥ 0"),
        (("--cpus-per-run", "2"), "does not share out CPUs"),
    ],
)
def test_what_training_would_refuse_is_said_before_anything_starts(sweep, tmp_path, capsys, arguments, told):
    assert sweep(*arguments) == 2
    error = capsys.readouterr().err
    assert re.search(told, error) and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "sweep" / "members").exists()


def test_a_failed_member_does_not_stop_the_others_and_is_tried_again_only_when_asked(sweep, tmp_path, capsys):
    grid = ("--grid", "model.iterations=1,7,8,2", "--jobs", "2")
    assert sweep(*grid) == 1
    assert list(_status(tmp_path).values()) == ["done", "failed", "failed", "done"]
    seventh, eighth = (_states(tmp_path)[f"small_rendered__model.iterations={n}"] for n in (7, 8))
    assert (seventh.exit_code, seventh.reason) == (1, "error: the seventh never works")
    assert (eighth.exit_code, eighth.reason) == (-signal.SIGKILL, "killed by SIGKILL")
    assert seventh.host and seventh.attempts == 1
    folder = tmp_path / "sweep" / "members" / "small_rendered__model.iterations=7"
    assert (folder / "attempt_1.out").read_text() == "training\n"
    told = capsys.readouterr().out
    assert re.search(r"failed: small_rendered__model.iterations=7 on .*, exit code 1 after 1 attempt: error: the", told)
    assert sweep(*grid) == 1
    assert [_starts(tmp_path, name) for name in _states(tmp_path)] == [1, 1, 1, 1]
    assert sweep(*grid, "--retry", "2") == 1
    assert list(_status(tmp_path).values()) == ["done", "failed", "done", "done"]
    assert [_starts(tmp_path, name) for name in _states(tmp_path)] == [1, 3, 2, 1]


def test_a_changed_grid_adds_members_and_runs_none_twice(sweep, tmp_path):
    assert sweep("--grid", "model.iterations=2,3") == 0
    assert sweep("--grid", "model.iterations=3,4", "--grid", "optimiser.learning_rate=1e-3,3e-4") == 0
    assert list(_status(tmp_path)) == [
        "model.iterations=2",
        "model.iterations=3",
        "model.iterations=3__optimiser.learning_rate=0.0003",
        "model.iterations=4__optimiser.learning_rate=0.001",
        "model.iterations=4__optimiser.learning_rate=0.0003",
    ], "1e-3 is the config's own rate: that member was there"
    assert {_starts(tmp_path, name) for name in _states(tmp_path)} == {1}
    assert sweep("--grid", "model.iterations=2", "--set", "run.steps=9") == 2, "a name stands for its settings"


def test_the_table_holds_the_best_numbers_of_runs_and_means_over_seeds(sweep, tmp_path, capsys):
    rates = ("--grid", "optimiser.learning_rate=0.3,0.2", "--grid", "model.iterations=1,7")
    assert sweep(*rates, "--seeds", "0,1,2", "--jobs", "2") == 1
    told = json.loads((tmp_path / "sweep" / "table.json").read_text())
    assert told["varied"] == ["model.iterations", "optimiser.learning_rate"]
    rows = told["rows"]
    assert [row["settings"]["optimiser.learning_rate"] for row in rows] == [0.2, 0.3, 0.2, 0.3]
    assert [row["state"] for row in rows] == ["3 done", "3 done", "3 failed", "3 failed"]
    # Seeds 0, 1, 2 add 0, 1, 2 to ten times the rate.
    assert [row["nme"]["mean"] for row in rows] == [pytest.approx(3.0), pytest.approx(4.0), None, None]
    assert rows[0]["nme"]["std"] == pytest.approx(1.0)
    assert rows[0]["within_one"] == {"mean": pytest.approx(40.0), "std": pytest.approx(1.0)}
    assert rows[0]["steps"] == 150 and rows[0]["within_two"]["mean"] == 86.0
    lines = list(csv.DictReader((tmp_path / "sweep" / "table.csv").read_text().splitlines()))
    assert float(lines[1]["nme_mean"]) == pytest.approx(4.0) and lines[2]["nme_mean"] == ""
    assert "the seventh never works" in lines[2]["reason"]
    latex = (tmp_path / "sweep" / "table.tex").read_text()
    assert r"1 & 0.2 & 3 done & 150 & 3.000 $\pm$ 1.000 & 40.0 $\pm$ 1.0" in latex
    assert r"optimiser.learning\_rate" in latex
    assert re.search(r"1 +0\.2 +3 done +150 +3\.000 ± 1\.000", capsys.readouterr().out)


def test_rows_of_a_config_are_members_of_one_table(sweep, tmp_path):
    assert sweep("--rows", f"{ROWS}:mit_b1", f"{ROWS}:mit_b2") == 0
    table = collect(read_sweep(tmp_path / "sweep"))
    assert table.varied == ("config",)
    assert sorted(row.values for row in table.rows) == [("table4:mit_b1",), ("table4:mit_b2",)]


def test_a_sweep_killed_at_any_moment_goes_on(tmp_path, sweep):
    """Kill -9 of the sweep and of the member that it left behind; before that, no second process is started."""
    arguments = _arguments(tmp_path, "--grid", "model.iterations=1,9")
    process = subprocess.Popen([sys.executable, str(PROGRAM), *arguments], cwd=tmp_path, stderr=subprocess.PIPE)
    starts = tmp_path / "sweep" / "members" / "small_rendered__model.iterations=9" / "run" / "starts"
    _until(lambda: starts.exists() and starts.read_text().endswith("\n"))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert _status(tmp_path) == {"model.iterations=1": "done", "model.iterations=9": "running"}, "it lives on"
    loaded = read_sweep(tmp_path / "sweep")
    assert run_member(loaded, loaded.members[1], waits=False).status == "running"
    assert len(starts.read_text().split()) == 1
    os.kill(int(starts.read_text()), signal.SIGKILL)
    _until(lambda: _status(tmp_path)["model.iterations=9"] == "interrupted")
    (tmp_path / "go").touch()
    assert sweep("--grid", "model.iterations=1,9") == 0
    states = list(_states(tmp_path).values())
    assert [(state.status, state.attempts) for state in states] == [("done", 1), ("done", 2)]


def test_an_interrupted_sweep_ends_its_members_which_are_not_failed(tmp_path):
    [member] = plan_members([SMALL], make_grid(["model.iterations=9"]))
    sweep, _ = add_members(Sweep(tmp_path / "sweep", STAND_IN, tmp_path), [member])

    class Stop:
        """Is set as soon as the member has started."""

        def is_set(self):
            return (sweep.run_of(member) / "starts").exists()

        def wait(self, seconds):
            return self.is_set()

    state = run_member(sweep, member, stop=Stop())
    assert (state.status, state.exit_code, state.attempts) == ("interrupted", -signal.SIGTERM, 1)
    assert read_state(sweep.folder_of(member)) == state
    assert "interrupted" in as_text(collect(sweep))


def test_a_preempted_member_is_not_failed_and_goes_on_without_being_tried_again(sweep, tmp_path):
    """Batch systems send SIGTERM to every process of a job, also to the training itself."""
    grid = ("--grid", "model.iterations=6,2")
    assert sweep(*grid, "--retry", "1") == 1
    assert list(_status(tmp_path).values()) == ["interrupted", "done"]
    assert [state.attempts for state in _states(tmp_path).values()] == [1, 1], "not started again under a job that ends"
    assert sweep(*grid) == 0
    assert [(state.status, state.attempts) for state in _states(tmp_path).values()] == [("done", 2), ("done", 1)]


def test_slurm_gets_an_array_of_what_is_left_and_a_second_call_collects(sweep, tmp_path, monkeypatch, capsys):
    assert sweep("--grid", "model.iterations=2") == 0
    _tool(tmp_path / "bin" / "sbatch", 'echo "$@" >> calls; echo "4711;cluster"')
    _tool(tmp_path / "bin" / "squeue", "echo queued")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    grid = ("--grid", "model.iterations=2,1,7", "--gpus-per-run", "2", "--cpus-per-run", "8", "--jobs", "4")
    assert sweep(*grid, "--sbatch=--partition=gpu", "--submit", engine="slurm") == 0
    script = tmp_path / "sweep" / "slurm" / "array.sh"
    assert (tmp_path / "calls").read_text() == f"--parsable {script}\n"
    lines = script.read_text().splitlines()
    wanted = ("--array=1-2%4", "--cpus-per-task=8", "--gres=gpu:2", "--partition=gpu", "--requeue")
    assert lines[0] == "#!/bin/bash" and all(f"#SBATCH {option}" in lines for option in wanted)
    assert sweep("--task", "1", engine="slurm") == 0
    assert subprocess.run(["bash", str(script)], env=os.environ | {"SLURM_ARRAY_TASK_ID": "2"}).returncode == 1
    assert sweep("--task", "3", engine="slurm") == 2
    assert list(_status(tmp_path).values()) == ["done", "done", "failed"]
    assert sweep(*grid, "--submit", "--retry", "1", engine="slurm") == 2
    assert "job 4711 of this sweep is still queued" in capsys.readouterr().err
    assert sweep(*grid, engine="slurm") == 1
    assert re.search(r"7 +failed", (tmp_path / "sweep" / "table.txt").read_text())
    assert sweep(*grid, "--sbatch=--array=1", engine="slurm") == 2


def _tool(path, text):
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_numbers_of_an_array_are_written_as_spans():
    assert compact([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_runs_on_one_machine_share_no_gpu():
    assert gpu_shares(2, 0, {}) == [{}, {}]
    assert gpu_shares(2, 2, {}) == [{"CUDA_VISIBLE_DEVICES": "0,1"}, {"CUDA_VISIBLE_DEVICES": "2,3"}]
    assert gpu_shares(1, 1, {"CUDA_VISIBLE_DEVICES": "5,6"}) == [{"CUDA_VISIBLE_DEVICES": "5"}]
    for gpus, visible in ((0.5, "0"), (2, "0")):
        with pytest.raises(InputError):
            gpu_shares(1, gpus, {"CUDA_VISIBLE_DEVICES": visible})


def test_the_reason_of_a_failure_is_the_last_line_that_says_something(tmp_path):
    log = tmp_path / "log"
    log.write_text("a\nValueError: no\n--------\nFor simplicity, JAX has removed its internal frames from it.\n\n")
    assert last_words(log) == "ValueError: no"


@pytest.mark.minutes
def test_ray_runs_members_in_processes_of_their_own(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'flowface-jax[sweep]'")
    from flowface_jax.training.sweeps.on_ray import run_on_ray

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    planned = plan_members([SMALL], make_grid(["model.iterations=1,7,8"]))
    sweep, members = add_members(Sweep(tmp_path / "sweep", STAND_IN, tmp_path), planned)
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        ended = {}
        run_on_ray(sweep, members, Resources(retries=1), lambda member, state: ended.update({member.name: state}))
        assert [ended[member.name].status for member in members] == ["done", "failed", "done"]
        assert [ended[member.name].attempts for member in members] == [1, 2, 2]
        with pytest.raises(InputError, match="lower --gpus-per-run"):
            run_on_ray(sweep, members, Resources(gpus=64), lambda member, state: None)
    finally:
        ray.shutdown()
