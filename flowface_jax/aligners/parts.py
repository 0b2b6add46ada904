"""What of a single video is tracked, where it is not the whole."""

from __future__ import annotations

import dataclasses

from flowface_jax.aligners.face_paths import FacePath
from flowface_jax.aligners.stretches import Stretch


@dataclasses.dataclass(frozen=True)
class Part:
    """Some frames of a video, whose numbers and times stay those of the whole, and where the face is in them (None: it
    is looked for).
    """

    frames: Stretch
    path: FacePath | None = None

    @property
    def paths(self) -> list[FacePath] | None:
        """The path of each camera, of which there is one."""
        return None if self.path is None else [self.path]

    @property
    def identity(self) -> dict[str, object]:
        """What tells it from other parts."""
        path = None if self.path is None else self.path.digest()
        return {"first": self.frames.first, "end": self.frames.end, "path": path}
