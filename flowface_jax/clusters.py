"""Ray: many processes on one machine, or on a cluster whose machines share the folders that are worked in."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flowface_jax.errors import InputError, MissingDependencyError


def import_ray(remedy: str) -> Any:
    """Ray's module. Raises MissingDependencyError, which says `remedy`, where it is not installed."""
    # Ray would send statistics to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise MissingDependencyError(remedy) from error
    return ray


@contextmanager
def connected(ray: Any, address: str = "") -> Iterator[None]:
    """Ray, connected for as long as the block lasts.

    address: of a cluster, as "auto" or "ray://HOST:10001"; "": RAY_ADDRESS, else Ray is started on this machine, as for
    "local". A Ray that the caller has started is used and left running. Raises InputError where the cluster cannot be
    reached.
    """
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address or os.environ.get("RAY_ADDRESS", "") or "local")
    try:
        yield
    finally:
        if ours:
            ray.shutdown()


def check_room(ray: Any, each: str, gpus: float, cpus: float, option: str) -> None:
    """Raise InputError where none of the jobs would ever start: Ray has fewer GPUs or CPUs in all than one needs.

    each: what a job is called. option: of a command, with "{kind}" for gpus or cpus.
    """
    room = ray.cluster_resources()
    for kind, wanted in (("GPU", gpus), ("CPU", cpus)):
        if wanted > room.get(kind, 0):
            raise InputError(
                f"each {each} is to have {wanted:g} {kind}s and Ray has {room.get(kind, 0):g} in all; lower "
                f"{option.format(kind=kind.lower() + 's')}, or name a larger cluster with --address"
            )


def first_line(error: BaseException) -> str:
    """What an error says, in a line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _connect(ray: Any, address: str) -> None:
    # An existing cluster refuses to be told about its dashboard.
    options = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ConnectionError, RuntimeError, ValueError, ImportError) as error:
        raise InputError(
            f"Ray cannot be reached at '{address}': {first_line(error)}; start it with 'ray start --head', or leave "
            "--address out"
        ) from error
