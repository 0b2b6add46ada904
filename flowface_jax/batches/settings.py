"""What all videos of a batch are tracked with."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any, Literal

from flowface_jax.aligners import AUTO, check_aligner, resolve_aligner, weights_file
from flowface_jax.aligners.identity import check_topology
from flowface_jax.aligners.people import PeopleSettings
from flowface_jax.aligners.scene_cuts import SceneCutSettings
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.heads.source import GENERIC, load_head
from flowface_jax.pipeline import TRACK_CONFIG
from flowface_jax.storage import require_file

Choice = Literal["one", "all"]


@dataclasses.dataclass(frozen=True)
class BatchSettings:
    """head, aligner, detector, mica, focal, frame_rate, overlay, fit: as for `track`, heads by name or path. people:
    "all" with a face in a scene, or the "one" with the largest. cuts: None takes a whole video as one scene.
    """

    head: str = "generic"
    aligner: str = AUTO
    detector: str = "mediapipe"
    mica: str | None = None
    focal: float | None = None
    frame_rate: float | None = None
    overlay: bool = True
    people: Choice = "all"
    cuts: SceneCutSettings | None = dataclasses.field(default_factory=SceneCutSettings)
    linking: PeopleSettings = dataclasses.field(default_factory=PeopleSettings)
    fit: FitConfig = TRACK_CONFIG

    @property
    def whole(self) -> bool:
        """Whether the largest face of the whole video is meant, which every aligner finds by itself."""
        return self.people == "one" and self.cuts is None

    def checked(self) -> BatchSettings:
        """The same for workers anywhere: "auto" replaced by what it stands for here, paths made absolute.

        Raises InputError for what no video could be tracked with.
        """
        aligner = resolve_aligner(self.aligner)
        check_aligner(aligner, self.detector)
        # The built-in head cannot be wrong, and takes seconds to build.
        head = None if self.head == GENERIC and self.mica is None else load_head(self.head)
        if head is not None and self.mica is not None:
            require_file(self.mica, "MICA's converted weights")
            check_topology(head)
        for name, value in (("focal", self.focal), ("frame_rate", self.frame_rate)):
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"{name}: expected a number above 0, found {value}")
        named = {"head": self.head, "aligner": aligner, "detector": self.detector, "mica": self.mica}
        return dataclasses.replace(self, **{key: _absolute(value) for key, value in named.items()})

    @property
    def identity(self) -> dict[str, Any]:
        """What has to be the same for a batch to be gone on with: files by their name and size."""
        values = json.loads(json.dumps(dataclasses.asdict(self)))
        for name in ("aligner", "detector"):
            file = weights_file(values[name])
            values[name] = values[name] if file is None or values[name] != str(file) else _file(values[name])
        return values | {name: _file(values[name]) for name in ("head", "mica")}


def _absolute(name: str | None) -> str | None:
    return os.path.abspath(name) if name is not None and os.path.exists(name) else name


def _file(name: str | None) -> str | None:
    if name is None or not os.path.isabs(name):
        return name
    path = Path(name)
    return f"{path.name} ({path.stat().st_size} bytes)" if path.is_file() else path.name
