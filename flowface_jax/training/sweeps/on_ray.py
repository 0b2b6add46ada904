"""The engine Ray: members as tasks on one machine or on a cluster that shares the sweep's folder."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Sequence
from typing import Any

from flowface_jax.errors import InputError, MissingDependencyError
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
    ray = _ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address or os.environ.get("RAY_ADDRESS", "") or "local")
    try:
        _check_room(ray, resources)
        options = {"num_cpus": resources.cpus or 1, "num_gpus": resources.gpus, "max_retries": _LOST_WORKERS}
        task = ray.remote(**options)(_run)
        _follow(ray, task, sweep, members, resources, finished)
    finally:
        if ours:
            ray.shutdown()


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
                _log.error("%s could not be followed: %s", member.name, _first_line(error))
            finished(member, present_state(sweep.folder_of(member)))
    except BaseException:
        for reference in running:
            # A worker that is interrupted ends its training in order.
            ray.cancel(reference)
        if running:
            ray.wait(list(running), num_returns=len(running), timeout=15.0)
        raise


def _check_room(ray: Any, resources: Resources) -> None:
    """Raises InputError where no run would ever start."""
    room = ray.cluster_resources()
    for kind, wanted in (("GPU", resources.gpus), ("CPU", resources.cpus or 1)):
        if wanted > room.get(kind, 0):
            raise InputError(
                f"each run is to have {wanted:g} {kind}s and Ray has {room.get(kind, 0):g} in all; lower "
                f"--{kind.lower()}s-per-run, or name a larger cluster with --address"
            )


def _connect(ray: Any, address: str) -> None:
    # An existing cluster refuses to be told about its dashboard.
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise InputError(
            f"Ray cannot be reached at '{address}': {_first_line(error)}; start it with 'ray start --head', or leave "
            "--address out"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _ray() -> Any:
    # Ray would send statistics to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(
            "--engine ray needs Ray: pip install 'flowface-jax[sweep]', or use --engine local"
        ) from error
    return ray
