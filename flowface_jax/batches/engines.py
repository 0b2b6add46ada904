"""Where the jobs of a batch run: one after the other in this process, or many at a time on Ray."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any

from flowface_jax.batches.jobs import Job, VideoJob, run_job
from flowface_jax.batches.records import VideoRecord, failed_record, write_record
from flowface_jax.clusters import check_room, connected, first_line, import_ray
from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import InputError

_log = logging.getLogger(__name__)
ATTEMPTS = 2
"""How often a video is given to a worker where the first is killed, by a crash or with the machine it runs on."""
_GRACE_S = 15.0
_PREALLOCATED = 0.75
"""JAX's share of a GPU's memory, of which jobs that share one get theirs."""
Finished = Callable[[VideoJob, VideoRecord], None]
"""Called when a video has come to its end, on the thread that called the engine."""


@dataclasses.dataclass(frozen=True)
class Resources:
    """jobs: videos at a time. gpus: of each, also parts of one. address: of a Ray cluster ("auto", "ray://HOST:10001"),
    "local" for one started here; "": this process for a single job, else as "local", or RAY_ADDRESS.

    Raises InputError for numbers that mean nothing.
    """

    jobs: int = 1
    gpus: float = 0.0
    address: str = ""

    def __post_init__(self) -> None:
        if self.jobs < 1:
            raise InputError(f"jobs: expected 1 or more videos at a time, found {self.jobs}")
        if not 0 <= self.gpus < float("inf") or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise InputError(f"GPUs per job: expected a whole number, or part of one, found {self.gpus:g}")

    @property
    def on_ray(self) -> bool:
        """Whether Ray is needed."""
        return self.jobs > 1 or bool(self.address) or self.gpus > 0


def check_engine(resources: Resources) -> None:
    """Raise MissingDependencyError where Ray is needed and not installed."""
    if resources.on_ray:
        _ray()


def run_jobs(jobs: Sequence[VideoJob], function: Job, resources: Resources, finished: Finished) -> None:
    """Run the jobs in the order given, `resources.jobs` at a time. Raises InputError where a cluster cannot be reached,
    or has too little for one of them. Interrupted, it ends the running ones, which the next call goes on with.
    """
    if not resources.on_ray:
        for job in jobs:
            finished(job, run_job(function, job))
        return
    ray = _ray()
    with connected(ray, resources.address):
        room = ray.cluster_resources().get("CPU", 0)
        # More jobs than CPUs share them.
        cpus = min(1.0, max(int(1000 * room / resources.jobs), 1) / 1000)
        check_room(ray, "job", resources.gpus, cpus, "--{kind}-per-job")
        _follow(ray, _task(ray, resources, cpus), jobs, function, resources.jobs, finished)


def _task(ray: Any, resources: Resources, cpus: float) -> Any:
    options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": resources.gpus, "max_retries": 0}
    options["scheduling_strategy"] = "SPREAD"
    if 0 < resources.gpus < 1:
        share = f"{_PREALLOCATED * resources.gpus:.3f}"
        options["runtime_env"] = {"env_vars": {"XLA_PYTHON_CLIENT_MEM_FRACTION": share}}
    return ray.remote(**options)(_work)


def _work(function: Job, job: VideoJob) -> VideoRecord:
    """What a worker does."""
    keep_compilations()
    return run_job(function, job)


def _follow(ray: Any, task: Any, jobs: Sequence[VideoJob], function: Job, most: int, finished: Finished) -> None:
    waiting = [(job, 1) for job in reversed(jobs)]
    running: dict[Any, tuple[VideoJob, int]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < most:
                job, attempt = waiting.pop()
                running[task.remote(function, job)] = job, attempt
            ended, _ = ray.wait(list(running), num_returns=1)
            job, attempt = running.pop(ended[0])
            try:
                finished(job, ray.get(ended[0]))
            except ray.exceptions.RayError as error:
                if attempt < ATTEMPTS:
                    waiting.append((job, attempt + 1))
                else:
                    finished(job, _killed(job, error))
    except BaseException:
        _cancel(ray, list(running))
        raise


def _cancel(ray: Any, running: list[Any]) -> None:
    for reference in running:
        ray.cancel(reference)
    if running:
        ray.wait(running, num_returns=len(running), timeout=_GRACE_S)


def _killed(job: VideoJob, error: BaseException) -> VideoRecord:
    """The record of a video whose worker could not write one."""
    _log.info("%s: %s", job.name, error)
    reason = f"its process was killed {ATTEMPTS} times (a crash in a codec, or too little memory?): {_kind(error)}"
    record = failed_record(job.name, reason)
    try:
        write_record(job.place, record)
    except OSError as full:
        _log.warning("the failure of %s cannot be recorded: %s", job.name, first_line(full))
    return record


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _ray() -> Any:
    return import_ray(
        "several jobs, GPUs and clusters need Ray: pip install 'flowface-jax[batches]', or leave it at --jobs 1"
    )
