"""What a file does not say and the user must: the head model, cameras, the unit, the size of the images."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Final

from flowface_jax.cameras.model import Cameras
from flowface_jax.cameras.source import load_cameras
from flowface_jax.errors import InputError, MissingAssetError
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head

METRES: Final = {"mm": 0.001, "cm": 0.01, "m": 1.0}
"""Length of each unit, m."""
FLAME_JOINTS: Final = 5


@dataclasses.dataclass(frozen=True)
class ReadOptions:
    """head: a head model or its path. cameras: ours or the path of a calibration. unit: of lengths in the file, None
    for what the format has. image_size: (width, height) px of the images, where the file does not say.
    """

    head: HeadModel | str | os.PathLike[str] | None = None
    cameras: Cameras | str | os.PathLike[str] | None = None
    unit: str | None = None
    image_size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in METRES:
            raise InputError(f"unit: expected {', '.join(METRES)}, found '{self.unit}'")

    @property
    def metres(self) -> float:
        """Metres of the file's unit; metres where none was named."""
        return METRES[self.unit or "m"]

    def loaded_cameras(self) -> Cameras | None:
        """The cameras that were named, if any."""
        if self.cameras is None or isinstance(self.cameras, Cameras):
            return self.cameras
        return load_cameras(self.cameras).cameras

    def known_image_size(self) -> tuple[int, int] | None:
        """(width, height) px as named, else of the first camera, else None."""
        cameras = self.loaded_cameras()
        if self.image_size is not None or cameras is None:
            return self.image_size
        width, height = (int(side) for side in cameras.image_size[0])
        return width, height

    def flame_head(self, path: Path, kind: str) -> HeadModel:
        """The FLAME head that parameters in the file are for. Raises MissingAssetError where none was named, InputError
        for a head with other joints.
        """
        if self.head is None:
            raise MissingAssetError(
                f"{path}: {kind} stores FLAME parameters, not meshes; name the FLAME file that they are for (--head)"
            )
        head = self.head if isinstance(self.head, HeadModel) else _loaded(self.head)
        if head.joint_count != FLAME_JOINTS:
            raise InputError(
                f"{path}: expected a FLAME head with {FLAME_JOINTS} joints, found '{head.name}' with {head.joint_count}"
            )
        return head

    def beside_head(self, name: str) -> Path | None:
        """A file beside the head's own, where the head was named by its path and the file is there."""
        if self.head is None or isinstance(self.head, HeadModel):
            return None
        file = Path(self.head).parent / name
        return file if file.is_file() else None


def _loaded(path: str | os.PathLike[str]) -> HeadModel:
    try:
        return load_head(path)
    except MissingAssetError:
        # Without its landmarks a FLAME file cannot be bound to the atlas, which vertices do not need.
        return load_head(path, bind_to_atlas=False)
