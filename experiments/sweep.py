"""Train every point of a grid, each in a process of its own, on Ray, as SLURM's array jobs or on this machine.

    python experiments/sweep.py --config configs/small_rendered.py --out runs/sweep --engine local --jobs 2 \
        --grid model.iterations=1,2,3 --grid optimiser.learning_rate=1e-4,3e-4 --seeds 0,1,2 --set run.steps=500
    python experiments/sweep.py --rows configs/table4.py:mit_b1 configs/table4.py:mit_b2 --out runs/table4 \
        --engine ray --address auto --gpus-per-run 1
    python experiments/sweep.py --config configs/flowface_b5.py --grid model.iterations=1,2,3 --out runs/iterations \
        --engine slurm --gpus-per-run 8 --cpus-per-run 32 --sbatch=--time=48:00:00 --submit

The same command goes on with what is left: members that are done are left alone, interrupted ones resume, failed ones
are tried again with --retry. Another grid adds members. `--out DIR --table` only collects, at any time, also while
members run: table.txt, .csv, .json and .tex lie in the folder.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path
from typing import get_args

import jax

from flowface_jax.errors import FlowfaceError, InputError
from flowface_jax.training.sweeps.engine import EngineName, Resources
from flowface_jax.training.sweeps.grid import make_grid
from flowface_jax.training.sweeps.local import local_places, run_locally
from flowface_jax.training.sweeps.members import Member, Sweep, add_members, read_sweep
from flowface_jax.training.sweeps.on_ray import run_on_ray
from flowface_jax.training.sweeps.running import run_member
from flowface_jax.training.sweeps.slurm import checked_options, submit, task_command, write_array
from flowface_jax.training.sweeps.state import MemberState, present_state

TRAIN = Path(__file__).resolve().with_name("train.py")
UNFINISHED = ("failed", "interrupted")
_log = logging.getLogger("flowface")


def main() -> int:
    """Plan, run and collect; 0 where no member of this call failed or was interrupted."""
    options = _options()
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)
    # What asks a process to end is treated as an interrupt from the keyboard: members are ended in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.task is not None:
            return _run_task(read_sweep(options.out), options.task, options.retry)
        if options.table:
            print(_collect(read_sweep(options.out)), end="")
            return 0
        return _sweep(options)
    except FlowfaceError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130


def _sweep(options: argparse.Namespace) -> int:
    """Run what is left of the grid on the engine."""
    # The settings of training bring the networks with them, without which the tasks of an array start sooner.
    from flowface_jax.training.sweeps.planning import plan_members

    configs = [*options.config, *options.rows]
    if not configs or options.engine is None:
        raise InputError("expected --config or --rows, and --engine ray, slurm or local; --table only collects")
    resources = Resources(options.jobs, options.gpus_per_run, options.cpus_per_run, options.retry)
    extra = checked_options(options.sbatch)
    if options.engine == "local":
        local_places(resources, os.environ)
    planned = plan_members(configs, make_grid(options.grid, options.seeds), options.set)
    empty = Sweep(options.out.absolute(), options.program.absolute(), Path.cwd())
    sweep, members = add_members(empty, planned)
    left = [member for member in members if _is_left(sweep, member, options.retry)]
    _log.info("%d members, %d of them to run, in %s", len(members), len(left), sweep.folder)
    if options.engine == "slurm":
        _run_on_slurm(sweep, left, resources, extra, options.submit)
    elif left:
        finished = _Progress(sweep, len(left))
        if options.engine == "ray":
            run_on_ray(sweep, left, resources, finished, options.address)
        else:
            run_locally(sweep, left, resources, finished)
    print(_collect(sweep), end="")
    return int(any(present_state(sweep.folder_of(member)).status in UNFINISHED for member in members))


class _Progress:
    """Tells of every member that has come to its end, and brings the table's files up to date."""

    def __init__(self, sweep: Sweep, count: int) -> None:
        self._sweep, self._count, self._ended = sweep, count, 0

    def __call__(self, member: Member, state: MemberState) -> None:
        self._ended += 1
        told = f": {state.reason}" if state.reason else ""
        _log.info("%d/%d %s %s, %.0f s%s", self._ended, self._count, state.status, member.name, state.seconds, told)
        _collect(self._sweep)


def _run_on_slurm(
    sweep: Sweep, left: list[Member], resources: Resources, extra: tuple[str, ...], submits: bool
) -> None:
    if not left:
        return
    task = task_command(Path(__file__).resolve(), sweep, resources.retries)
    script = write_array(sweep, left, resources, task, extra)
    if submits:
        _log.info("submitted as job %s", submit(sweep))
    else:
        _log.info("sbatch %s  (or give --submit); the same command, or --table, collects", script)


def _run_task(sweep: Sweep, number: int, retries: int) -> int:
    """Run one member, as a task of an array does."""
    if not 0 <= number < len(sweep.members):
        raise InputError(f"--task: expected a member's number below {len(sweep.members)}, found {number}")
    state = run_member(sweep, sweep.members[number], retries, waits=False)
    _log.info("%s %s %s", sweep.members[number].name, state.status, state.reason)
    return int(state.status in UNFINISHED)


def _is_left(sweep: Sweep, member: Member, retries: int) -> bool:
    status = present_state(sweep.folder_of(member)).status
    return status != "done" and (status != "failed" or retries > 0)


def _collect(sweep: Sweep) -> str:
    """Bring the table's files up to date and return it as text."""
    from flowface_jax.training.sweeps.formats import as_text, write_table
    from flowface_jax.training.sweeps.table import collect

    table = collect(sweep)
    write_table(table, sweep.folder)
    return as_text(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of the sweep; on a cluster, one that all machines see")
    add("--config", action="append", default=[], metavar="FILE.py[:ROW]", help="settings that the grid changes")
    add("--rows", nargs="+", action="extend", default=[], metavar="FILE.py:ROW", help="more configs, each a member")
    add("--grid", action="append", default=[], metavar="SECTION.NAME=V,V,…", help="a setting and its values")
    add("--seeds", default="", metavar="S,S,…", help="values of run.seed, over which the table takes means")
    add("--set", nargs="+", action="extend", default=[], metavar="SECTION.NAME=V", help="settings of all members")
    add("--engine", choices=get_args(EngineName), help="what runs the members")
    add("--jobs", type=int, default=0, help="members at a time; default: one here, else what the engine has room for")
    add("--gpus-per-run", type=float, default=0.0, help="GPUs of each member (Ray gives none unless asked for)")
    add("--cpus-per-run", type=int, default=0, help="CPUs of each member, on Ray and SLURM")
    add("--retry", type=int, default=0, metavar="K", help="try failed members again, K times")
    add("--address", default="", help="of Ray's cluster: auto, or ray://HOST:10001; default: this machine")
    add("--submit", action="store_true", help="hand the array to sbatch")
    add("--sbatch", action="append", default=[], metavar="OPTION", help="more for sbatch, as --sbatch=--partition=gpu")
    add("--table", action="store_true", help="only collect the table")
    add("--task", type=int, metavar="N", help="run member N of the folder, as the tasks of an array do")
    add("--program", type=Path, default=TRAIN, help="the training program")
    return parser.parse_args()


if __name__ == "__main__":
    # This process only looks after others: accelerators, and their memory, are for the members.
    jax.config.update("jax_platforms", "cpu")
    sys.exit(main())
