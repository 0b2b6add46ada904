"""`Target`: one format of `flowface export`."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flowface_jax.exporting.performance import Performance
from flowface_jax.reporting import Reporter


@dataclasses.dataclass(frozen=True)
class Target:
    """One format. name: on the command line. summary: one line of help. settings: the frozen dataclass of its settings.
    write: writes a performance to a path that does not exist yet, with settings, telling a reporter. suffix: of the one
    file that it writes, such as ".glb"; "" where it writes a folder.

    `write` raises InputError where the performance lacks what the format needs.
    """

    name: str
    summary: str
    settings: type
    write: Callable[[Performance, Path, Any, Reporter], None]
    suffix: str = ""
