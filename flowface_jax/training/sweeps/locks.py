"""Locks on files: held as long as the process, or one that it started with the lock, lives."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

_log = logging.getLogger(__name__)
_PAUSE_S = 0.1


@contextlib.contextmanager
def file_lock(
    path: Path, patience_s: float = float("inf"), stop: threading.Event | None = None
) -> Iterator[IO[bytes] | None]:
    """The locked file, which a child process may inherit; None where another holds it for longer than the patience,
    or `stop` is set meanwhile.

    On file systems without locks the file is given unlocked, with a warning.
    """
    stop = stop or threading.Event()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        yield file if _locked(file, patience_s, stop) else None


def is_held(path: Path) -> bool:
    """Whether a process holds the lock of the path."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _locked(file: IO[bytes], patience_s: float, stop: threading.Event) -> bool:
    end = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                _log.warning("%s cannot be locked (%s): start no second sweep in this folder", file.name, error)
                return True
        if stop.wait(_PAUSE_S) or time.monotonic() > end:
            return False
