"""The engine that every machine has: so many processes at a time."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from flowface_jax.errors import InputError
from flowface_jax.training.sweeps.engine import Finished, Resources
from flowface_jax.training.sweeps.members import Member, Sweep
from flowface_jax.training.sweeps.running import run_member
from flowface_jax.training.sweeps.state import MemberState

_log = logging.getLogger(__name__)
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def run_locally(sweep: Sweep, members: Sequence[Member], resources: Resources, finished: Finished) -> None:
    """Run the members here, in order, `resources.jobs` at a time, each with GPUs of its own where it has any.

    Interrupted, it ends the running ones, which go on at the next call. Raises InputError where CPUs are asked for,
    which it cannot share out, or more GPUs than there are.
    """
    jobs = resources.jobs or 1
    stop, places = threading.Event(), queue.SimpleQueue()
    for place in local_places(resources, os.environ):
        places.put(place)

    def run(member: Member) -> MemberState:
        place = places.get()
        try:
            return run_member(sweep, member, resources.retries, place, stop=stop)
        finally:
            places.put(place)

    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(run, member): member for member in members}
        try:
            for future in as_completed(running):
                member, error = running[future], future.exception()
                if error is None:
                    finished(member, future.result())
                else:
                    # As a full disk: the others may still have room.
                    _log.error("%s could not be followed: %s", member.name, error)
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def local_places(resources: Resources, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Environment variables for each of the runs at a time. Raises InputError for what one machine cannot give."""
    if resources.cpus:
        raise InputError("the local engine does not share out CPUs; use --engine ray or slurm, or set --jobs")
    return gpu_shares(resources.jobs or 1, resources.gpus, environment)


def gpu_shares(jobs: int, gpus: float, environment: Mapping[str, str]) -> list[dict[str, str]]:
    """Environment variables for each of the jobs, so that none shares a GPU; none where runs have no GPUs of their own.

    Raises InputError for parts of GPUs, or more of them than CUDA_VISIBLE_DEVICES lists.
    """
    if not gpus:
        return [{} for _ in range(jobs)]
    each = int(gpus)
    if each != gpus:
        raise InputError(f"the local engine gives whole GPUs, found {gpus:g} a run; use --engine ray")
    listed = [name for name in environment.get(_VISIBLE, "").split(",") if name]
    names = listed if _VISIBLE in environment else [str(number) for number in range(jobs * each)]
    if len(names) < jobs * each:
        raise InputError(f"{jobs} runs of {each} GPUs need {jobs * each}; {_VISIBLE} lists {len(names)}; lower --jobs")
    return [{_VISIBLE: ",".join(names[each * job : each * (job + 1)])} for job in range(jobs)]
