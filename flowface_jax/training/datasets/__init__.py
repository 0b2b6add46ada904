"""The paper's data sets in their released layouts, as streams of photographs whose heads are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from flowface_jax.errors import InputError
from flowface_jax.heads.model import HeadModel
from flowface_jax.training.datasets.facescape import FaceScape
from flowface_jax.training.datasets.famos import FaMoS
from flowface_jax.training.datasets.multiface import Multiface
from flowface_jax.training.datasets.source import Problems, Reader, ReaderMaker, ReaderSettings, Unit, View
from flowface_jax.training.datasets.stirling import Stirling

READERS: Final[dict[str, ReaderMaker]] = {
    "facescape": FaceScape,
    "stirling": Stirling,
    "famos": FaMoS,
    "multiface": Multiface,
}

__all__ = ["READERS", "Problems", "Reader", "ReaderSettings", "Unit", "View", "open_dataset"]


def open_dataset(
    name: str,
    root: str | os.PathLike[str],
    head: HeadModel,
    settings: ReaderSettings | None = None,
    registrations: str | os.PathLike[str] | None = None,
) -> Reader:
    """The reader of a data set (a key of `READERS`) that lies in `root`.

    registrations: folder of the meshes that `flowface register` made, for data sets that come without. Raises
    InputError where a folder is missing or has another layout.
    """
    if name not in READERS:
        raise InputError(f"data set: expected one of {', '.join(READERS)}, found '{name}'")
    for folder in (root, registrations):
        if folder is not None and not Path(folder).is_dir():
            raise InputError(f"no folder {folder}; check the path")
    return READERS[name](
        Path(root), head, settings or ReaderSettings(), None if registrations is None else Path(registrations)
    )
