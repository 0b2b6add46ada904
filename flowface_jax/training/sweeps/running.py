"""One member, run as a process of the training program whose end is recorded, whatever it is."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from flowface_jax.training.sweeps.locks import file_lock
from flowface_jax.training.sweeps.members import Member, Sweep
from flowface_jax.training.sweeps.state import LOCK, MemberState, read_state, write_state

_TICK_S, _RECORD_S, _GRACE_S, _PATIENCE_S = 0.1, 30.0, 10.0, 2.0
_TAIL_BYTES, _LONGEST_REASON = 16_384, 300
_ASKED_TO_END = (-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
_NOT_A_REASON = re.compile(r"-+|For simplicity, JAX has removed its internal frames.*")


def run_member(
    sweep: Sweep,
    member: Member,
    retries: int = 0,
    environment: Mapping[str, str] | None = None,
    waits: bool = True,
    stop: threading.Event | None = None,
) -> MemberState:
    """Run a member to its end and return its state: done, failed for the last time, or interrupted.

    Done members are left alone and interrupted ones go on. One that others ask to end (SIGTERM, as on preemption and
    at time limits) is interrupted, not failed. retries: how often a failed one is tried again, also one that failed
    earlier. environment: variables to add. waits: for a process that runs the member already, else its state is
    returned. stop: once set, the process is ended and the member left interrupted.
    """
    stop = stop or threading.Event()
    folder = sweep.folder_of(member)
    with file_lock(folder / LOCK, float("inf") if waits else _PATIENCE_S, stop) as lock:
        state = read_state(folder)
        while lock is not None and not stop.is_set() and state.status != "done":
            if state.status == "failed":
                if retries < 1:
                    break
                retries -= 1
            state = _attempt(sweep, member, state, environment or {}, lock.fileno(), stop)
            if state.status == "interrupted":
                break
        return state


def command_of(sweep: Sweep, member: Member) -> list[str]:
    """The command that trains a member."""
    run = sweep.run_of(member)
    program = [sys.executable, str(sweep.program), f"--config={member.config}", f"--out={run}"]
    return [*program, "--processes=none", *member.flags]


def last_words(path: Path) -> str:
    """The last line of a log that says something, shortened; "" where there is none."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = re.split(r"[\r\n]+", file.read().decode("utf-8", errors="replace"))
    said = [line.strip() for line in lines if line.strip() and not _NOT_A_REASON.fullmatch(line.strip())]
    return said[-1][:_LONGEST_REASON] if said else ""


def _attempt(
    sweep: Sweep,
    member: Member,
    before: MemberState,
    environment: Mapping[str, str],
    lock: int,
    stop: threading.Event,
) -> MemberState:
    """Start the training program once, and record how it ends."""
    folder = sweep.folder_of(member)
    attempt, began = before.attempts + 1, time.monotonic()
    outputs = [folder / f"attempt_{attempt}.{kind}" for kind in ("out", "err")]
    state = MemberState("running", attempt, seconds=before.seconds, host=socket.gethostname())
    write_state(folder, state)
    try:
        with outputs[0].open("wb") as out, outputs[1].open("wb") as errors:
            process = subprocess.Popen(
                command_of(sweep, member),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=errors,
                cwd=sweep.workplace,
                env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
                # The lock lives with the training: should this process be killed, no second one starts beside it.
                pass_fds=(lock,),
                # An interrupt from the keyboard is for the sweep, which then ends its members in order.
                start_new_session=True,
            )
    except OSError as error:
        state = dataclasses.replace(state, status="failed", exit_code=127, reason=f"could not be started: {error}")
        write_state(folder, state)
        return state
    code = _watched(process, folder, dataclasses.replace(state, pid=process.pid), began, stop)
    seconds = round(before.seconds + time.monotonic() - began, 3)
    state = dataclasses.replace(state, pid=process.pid, seconds=seconds, exit_code=code)
    if code == 0:
        state = dataclasses.replace(state, status="done")
    elif stop.is_set():
        state = dataclasses.replace(state, status="interrupted")
    else:
        status = "interrupted" if code in _ASKED_TO_END else "failed"
        state = dataclasses.replace(state, status=status, reason=_reason(code, last_words(outputs[1])))
    write_state(folder, state)
    return state


def _watched(
    process: subprocess.Popen[bytes], folder: Path, state: MemberState, began: float, stop: threading.Event
) -> int:
    """The exit code of the process, which is ended where `stop` is set or this one is interrupted."""
    written = -float("inf")
    try:
        while not stop.is_set():
            now = time.monotonic()
            if now - written > _RECORD_S:
                write_state(folder, dataclasses.replace(state, seconds=round(state.seconds + now - began, 3)))
                written = now
            try:
                return process.wait(_TICK_S)
            except subprocess.TimeoutExpired:
                continue
        return _ended(process)
    except BaseException:
        _ended(process)
        write_state(folder, dataclasses.replace(state, status="interrupted"))
        raise


def _ended(process: subprocess.Popen[bytes]) -> int:
    process.terminate()
    try:
        return process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _reason(code: int, words: str) -> str:
    if code >= 0:
        return words or f"exit code {code}, nothing on stderr"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}" + (f"; last said: {words}" if words else "")
