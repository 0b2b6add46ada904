"""The engine Ray: members as tasks on one machine or on a cluster that shares the sweep's folder."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from flowface_jax.clusters import check_room, connected, first_line, import_ray
from flowface_jax.training.sweeps.engine import Finished, Resources
from flowface_jax.training.sweeps.members import Member, Sweep, read_sweep
from flowface_jax.training.sweeps.running import run_member
from flowface_jax.training.sweeps.state import present_state

_log = logging.getLogger(__name__)
_LOST_WORKERS = 3
"""How often a member is sent to another worker when its own is gone, with the machine that it ran on."""


def run_on_ray(
    sweep: Sweep, members: Sequence[Member], resources: Resources, finished: Finished, address: str = ""
) -> None:
    """Run the members as Ray's tasks, each training in a process of its own.

    address: of a cluster, as "auto" or "ray://HOST:10001"; "": RAY_ADDRESS, else Ray is started on this machine. A
    Ray that the caller has started is used and left running. Every machine needs this package and the folder. Raises
    MissingDependencyError without Ray, InputError where the cluster cannot be reached or has too little for one run.
    """
    ray = import_ray("--engine ray needs Ray: pip install 'flowface-jax[sweep]', or use --engine local")
    with connected(ray, address):
        check_room(ray, "run", resources.gpus, resources.cpus or 1, "--{kind}-per-run")
        options = {"num_cpus": resources.cpus or 1, "num_gpus": resources.gpus, "max_retries": _LOST_WORKERS}
        task = ray.remote(**options)(_run)
        _follow(ray, task, sweep, members, resources, finished)


def _run(folder: str, name: str, retries: int) -> dict[str, Any]:
    """What a worker does: run one member of the sweep in the folder."""
    sweep = read_sweep(folder)
    member = next(member for member in sweep.members if member.name == name)
    return dataclasses.asdict(run_member(sweep, member, retries))


def _follow(
    ray: Any, task: Any, sweep: Sweep, members: Sequence[Member], resources: Resources, finished: Finished
) -> None:
    waiting, running = list(members), {}
    try:
        while waiting or running:
            while waiting and (not resources.jobs or len(running) < resources.jobs):
                member = waiting.pop(0)
                running[task.remote(str(sweep.folder), member.name, resources.retries)] = member
            ended, _ = ray.wait(list(running), num_returns=1)
            member = running.pop(ended[0])
            try:
                ray.get(ended[0])
            except ray.exceptions.RayError as error:
                _log.error("%s could not be followed: %s", member.name, first_line(error))
            finished(member, present_state(sweep.folder_of(member)))
    except BaseException:
        for reference in running:
            # A worker that is interrupted ends its training in order.
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=15.0)
        raise
