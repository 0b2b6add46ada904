"""Compiled programs kept between runs of the commands, so that only the first start of a job waits for the compiler."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jax

logger = logging.getLogger(__name__)

SWITCH: Final = "FLOWFACE_COMPILATION_CACHE"
"""Environment variable: another folder, or "off"."""
SHORTEST_S: Final = 0.1
"""Programs that compile faster are not worth a file."""
LARGEST_BYTES: Final = 2**30
"""What the folder may hold; the longest unused programs go first."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where compiled programs are kept: as FLOWFACE_COMPILATION_CACHE says, else the user's cache folder; None: off."""
    chosen = environment.get(SWITCH, "")
    if chosen.lower() == "off":
        return None
    if chosen:
        return Path(chosen).expanduser()
    # The specification of XDG_CACHE_HOME has relative paths ignored.
    base = environment.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "flowface_jax" / "compilations"


def keep_compilations(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Have JAX keep compiled programs in `cache_folder` from now on, and return that folder; None where it is off.

    Settings of JAX's own (JAX_COMPILATION_CACHE_DIR) are left alone. A folder that cannot be written is logged and not
    used. For programs, not for libraries: it changes JAX for the whole process.
    """
    if jax.config.jax_compilation_cache_dir is not None:
        return None
    try:
        folder = cache_folder(environment)
        if folder is None:
            return None
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
        _shrink(folder, LARGEST_BYTES)
    # No home folder is a RuntimeError.
    except (OSError, RuntimeError) as error:
        logger.info("compiled programs are not kept: %s", error)
        return None
    if not writable:
        logger.info("compiled programs are not kept: %s cannot be written", folder)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST_S)
    return folder


def _shrink(folder: Path, largest: int) -> None:
    """Delete the longest unused programs of the folder until the rest is no larger than `largest` bytes."""
    known = []
    for path in folder.glob("*-cache"):
        status = path.stat()
        known.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in known)
    for _, size, path in sorted(known):
        if total <= largest:
            return
        path.unlink(missing_ok=True)
        total -= size
