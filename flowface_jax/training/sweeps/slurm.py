"""The engine SLURM: one array job, each task of which runs the member of its number."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_bytes, write_json
from flowface_jax.training.sweeps.engine import Resources
from flowface_jax.training.sweeps.members import Member, Sweep

SCRIPT, SUBMITTED = "slurm/array.sh", "slurm/submitted.json"


def write_array(
    sweep: Sweep, members: Sequence[Member], resources: Resources, task: Sequence[str], options: Sequence[str] = ()
) -> Path:
    """Write the array's script into the sweep's folder and return its path.

    members: those that are left to run. task: the command that runs the member whose number is added to it. options:
    more of sbatch, as "--partition=gpu". Raises InputError for parts of GPUs.
    """
    if resources.gpus != int(resources.gpus):
        raise InputError(f"SLURM gives whole GPUs, found {resources.gpus:g} a run; use --engine ray")
    numbers = [index for index, member in enumerate(sweep.members) if member in members]
    limit = f"%{resources.jobs}" if resources.jobs else ""
    lines = [
        f"--job-name={sweep.folder.name}",
        f"--array={compact(numbers)}{limit}",
        "--nodes=1",
        "--ntasks=1",
        *([f"--cpus-per-task={resources.cpus}"] if resources.cpus else []),
        *([f"--gres=gpu:{int(resources.gpus)}"] if resources.gpus else []),
        f"--output={sweep.folder}/slurm/%A_%a.log",
        # A preempted run goes on from its last checkpoint.
        "--requeue",
        *options,
    ]
    script = [
        "#!/bin/bash",
        *(f"#SBATCH {line}" for line in lines),
        f"cd {shlex.quote(str(sweep.workplace))}",
        f'exec {shlex.join(task)} "$SLURM_ARRAY_TASK_ID"',
    ]
    path = sweep.folder / SCRIPT
    write_bytes(path, ("\n".join(script) + "\n").encode())
    path.chmod(0o755)
    return path


def submit(sweep: Sweep) -> str:
    """Hand the script to sbatch and return the job's number.

    Raises InputError where there is no sbatch, where it refuses, or while the array submitted before is queued.
    """
    if shutil.which("sbatch") is None:
        raise InputError(f"no sbatch here; run 'sbatch {sweep.folder / SCRIPT}' on a login node of the cluster")
    before = sweep.folder / SUBMITTED
    if before.exists():
        job = str(read_json(before, "the job submitted before").get("job", ""))
        if job.isdigit() and _is_queued(job):
            raise InputError(f"job {job} of this sweep is still queued or running; wait for it, or 'scancel {job}'")
    answer = _said("sbatch", "--parsable", str(sweep.folder / SCRIPT))
    job = answer.stdout.strip().partition(";")[0]
    if answer.returncode or not job.isdigit():
        told = (answer.stderr or answer.stdout).strip().splitlines() or ["no answer"]
        raise InputError(f"sbatch refused the array: {told[-1]}; give it what the cluster asks for with --sbatch")
    write_json(before, {"job": job})
    return job


def compact(numbers: Sequence[int]) -> str:
    """Ascending numbers as SLURM writes them, "0-3,7"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def task_command(program: Path, sweep: Sweep, retries: int) -> list[str]:
    """The command of a task, to which its number is added. program: experiments/sweep.py."""
    return [sys.executable, str(program), "--out", str(sweep.folder), "--retry", str(retries), "--task"]


def checked_options(options: Sequence[str]) -> tuple[str, ...]:
    """The options of sbatch. Raises InputError for text that is none, or one that the sweep sets itself."""
    for option in options:
        if not re.fullmatch(r"-[^\r\n]+", option) or re.match(r"--(array|output)\b", option):
            raise InputError(
                f"--sbatch: expected an option as --partition=gpu (not --array or --output), found '{option}'"
            )
    return tuple(options)


def _is_queued(job: str) -> bool:
    if shutil.which("squeue") is None:
        return False
    answer = _said("squeue", "--noheader", "--jobs", job)
    return answer.returncode == 0 and bool(answer.stdout.strip())


def _said(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
