"""Joining the processes of a job, so that their devices are used as one."""

from __future__ import annotations

import logging
import os

import jax

from flowface_jax.errors import InputError

_log = logging.getLogger(__name__)
_MANAGED = {
    "SLURM": ("SLURM_JOB_ID", "SLURM_NTASKS"),
    "Open MPI": ("OMPI_MCA_orte_hnp_uri", "OMPI_COMM_WORLD_SIZE"),
    "Kubernetes": ("KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"),
    "TPU pod": ("TPU_WORKER_HOSTNAMES", "TPU_WORKER_ID"),
    "GCE": ("MEGASCALE_COORDINATOR_ADDRESS", "MEGASCALE_NUM_SLICES"),
}
"""Variables by which a cluster's manager is known, and on which JAX finds out the rest itself."""


def start(processes: str = "auto") -> str:
    """Join the other processes of the job before any device is used; what was found is returned, to be logged.

    processes: "none": this process alone. "auto": whatever cluster manager is found (SLURM, Open MPI, Kubernetes, TPU
    pods and GCE), else this process alone. "HOST:PORT,COUNT,INDEX": plain processes, of which number 0 runs at that
    address. Raises InputError for anything else, or where the others cannot be reached.
    """
    if processes == "none":
        return "one process"
    if processes != "auto":
        address, count, index = _parsed(processes)
        return _joined(
            f"{count} processes at {address}", coordinator_address=address, num_processes=count, process_id=index
        )
    manager = detected_manager(os.environ)
    if manager is None:
        return "one process"
    return _joined(manager)


def detected_manager(environment: os._Environ[str] | dict[str, str]) -> str | None:
    """The manager whose variables say that this process is one of several, or None."""
    for name, (mark, size) in _MANAGED.items():
        if mark not in environment or size not in environment:
            continue
        several = environment[mark].count(",") > 0 if name == "TPU pod" else True
        if name in ("SLURM", "Open MPI"):
            several = environment[size].isdigit() and int(environment[size]) > 1
        if several:
            return name
    return None


def _joined(what: str, **arguments: object) -> str:
    try:
        jax.distributed.initialize(**arguments)
    # JAX raises RuntimeError, ValueError or its own errors, depending on what the manager left out.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"the job's other processes could not be joined ({what}): {first[:200]}; check that all run, or name them "
            "with HOST:PORT,COUNT,INDEX, or pass none"
        ) from error
    return f"{what}: process {jax.process_index()} of {jax.process_count()}, {jax.device_count()} devices"


def _parsed(processes: str) -> tuple[str, int, int]:
    parts = processes.split(",")
    if len(parts) == 3 and ":" in parts[0] and parts[1].isdigit() and parts[2].isdigit():
        count, index = int(parts[1]), int(parts[2])
        if 0 <= index < count:
            return parts[0], count, index
    raise InputError(f"expected auto, none or HOST:PORT,COUNT,INDEX with INDEX below COUNT, found '{processes}'")
