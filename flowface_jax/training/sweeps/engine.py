"""What the engines have in common: what a run is given, and whom they tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Literal

from flowface_jax.errors import InputError
from flowface_jax.training.sweeps.members import Member
from flowface_jax.training.sweeps.state import MemberState

EngineName = Literal["ray", "slurm", "local"]
Finished = Callable[[Member, MemberState], None]
"""Called when a member has come to its end, on the thread that called the engine."""


@dataclasses.dataclass(frozen=True)
class Resources:
    """jobs: runs at a time; 0: as many as the engine has room for (one for `local`). gpus, cpus: of each run; cpus 0:
    one on Ray, the cluster's default on SLURM. retries: how often a failed run is tried again."""

    jobs: int = 0
    gpus: float = 0.0
    cpus: int = 0
    retries: int = 0

    def __post_init__(self) -> None:
        if not all(0 <= value < float("inf") for value in (self.jobs, self.gpus, self.cpus, self.retries)):
            raise InputError("jobs, GPUs, CPUs and retries of a sweep: expected numbers ≥ 0")
