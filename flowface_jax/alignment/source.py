"""`load_alignment`: an alignment file of any form that is understood, recognised by the arrays that it holds."""

from __future__ import annotations

import os
import zipfile

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.alignment.cap4d import read_cap4d_alignment
from flowface_jax.errors import InputError
from flowface_jax.storage import require_file


def load_alignment(path: str | os.PathLike[str]) -> Alignment:
    """The alignment in a flowface or CAP4D .npz file. Raises InputError where it is neither, or damaged."""
    names = _array_names(path)
    if "mean_px" in names:
        return Alignment.load(path)
    if "vertex_coords" in names:
        return read_cap4d_alignment(path)
    raise InputError(
        f"{path} is no alignment that is understood: expected flowface's (mean_px, std_px, …) or CAP4D's "
        f"(vertex_coords, vertex_confidences, …), found {', '.join(sorted(names)) or 'nothing'}"
    )


def _array_names(path: str | os.PathLike[str]) -> set[str]:
    """The names of the arrays in an .npz without reading them."""
    path = require_file(path, "an alignment (.npz)")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (zipfile.BadZipFile, OSError):
        raise InputError(f"{path} is not an .npz file, or is truncated; make or fetch it again") from None
