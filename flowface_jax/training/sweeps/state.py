"""What has become of a member: a small file in its folder, replaced in one step."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal, get_args

from flowface_jax.errors import InputError
from flowface_jax.storage import read_json, write_json
from flowface_jax.training.sweeps.locks import is_held

STATE, LOCK = "state.json", "member.lock"
Status = Literal["pending", "running", "interrupted", "done", "failed"]


@dataclasses.dataclass(frozen=True)
class MemberState:
    """attempts: how often it was started. exit_code: of the last attempt that ended; minus the signal's number where
    one killed it. reason: why it failed, or was interrupted by others. seconds: of all attempts. host, pid: where it
    ran last."""

    status: Status = "pending"
    attempts: int = 0
    exit_code: int | None = None
    reason: str = ""
    seconds: float = 0.0
    host: str = ""
    pid: int = 0


def read_state(folder: Path) -> MemberState:
    """The state of the member with that folder, as written; pending where there is none yet.

    Raises InputError for a file that holds something else.
    """
    path = folder / STATE
    if not path.exists():
        return MemberState()
    values = read_json(path, "state of a sweep's member")
    try:
        state = MemberState(**values)
    except TypeError:
        raise InputError(f"{path} is no state of a sweep's member; delete it, and its run goes on") from None
    if state.status not in get_args(Status):
        raise InputError(f"{path}: unknown status '{state.status}'; delete it, and its run goes on")
    return state


def present_state(folder: Path) -> MemberState:
    """The state as it is now: a member that was running and whose process is gone is interrupted."""
    state = read_state(folder)
    if state.status == "running" and not is_held(folder / LOCK):
        # Between the two looks it may have ended by itself.
        state = read_state(folder)
        if state.status == "running":
            return dataclasses.replace(state, status="interrupted")
    return state


def write_state(folder: Path, state: MemberState) -> None:
    """Replace the state of the member with that folder."""
    write_json(folder / STATE, dataclasses.asdict(state))
