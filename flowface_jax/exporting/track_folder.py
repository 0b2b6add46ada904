"""The performance as a track folder of our own: what retargeting made, for every other command."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from flowface_jax.exporting.performance import Performance
from flowface_jax.exporting.target import Target
from flowface_jax.reporting import Reporter


@dataclasses.dataclass(frozen=True)
class TrackSettings:
    """It has none."""


def write_track(performance: Performance, folder: Path, settings: TrackSettings, reporter: Reporter) -> None:
    """Write track.npz, track.json and cameras.json."""
    performance.track.save(folder)
    performance.track.cameras.save(folder / "cameras.json")


TARGET = Target("track", "a track folder, for flowface's other commands (with --retarget)", TrackSettings, write_track)
