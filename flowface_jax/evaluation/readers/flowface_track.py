"""A folder that `flowface track` or `flowface fit` wrote."""

from __future__ import annotations

from pathlib import Path

from flowface_jax.errors import MissingAssetError
from flowface_jax.evaluation.mesh_sequence import MeshSequence, sequence_of_track
from flowface_jax.evaluation.readers.options import ReadOptions
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import GENERIC, load_head


def recognises(path: Path) -> bool:
    """Whether a track lies there."""
    return (path / "track.npz").is_file() or (path.name == "track.npz" and (path.parent / "track.json").is_file())


def read(path: Path, options: ReadOptions) -> MeshSequence:
    """The track's head in world coordinates. Raises MissingAssetError where it was made with another head than the
    built-in one and none is named.

    A track of the built-in head is read with that whatever head is named: for others that are scored beside it.
    """
    track = Track.load(path)
    made_with = track.summary.get("head", {}).get("name")
    if options.head is None and made_with not in (None, GENERIC):
        raise MissingAssetError(f"{path} was made with head '{made_with}'; name that head (--head)")
    if isinstance(options.head, HeadModel) and made_with in (None, options.head.name):
        return sequence_of_track(track, options.head)
    named = GENERIC if made_with == GENERIC else options.head or GENERIC
    return sequence_of_track(track, named if isinstance(named, HeadModel) else load_head(named))
