"""What a user adds to a track by hand: pixels to leave out, points to hold on to, photographs' own focal lengths."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners import FrameSource, open_frames
from flowface_jax.aligners.assembly import camera_names
from flowface_jax.aligners.masks import MASK_BACKGROUND, check_masks, with_masks
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.alignment.key_points import KeyPoint, surface_point, with_key_points
from flowface_jax.cameras import Calibration
from flowface_jax.cameras.calibration import undistort_points
from flowface_jax.errors import InputError
from flowface_jax.fitting.focal_prior import FocalPrior
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel

ESTIMATE_SLACK = (2, 0.02)
"""Containers estimate how many frames they have: so many frames more, or this share of them, are no mistake."""


@dataclasses.dataclass(frozen=True)
class Guidance:
    """masks: one video, image or folder for each camera, white where pixels count (see `aligners.masks`). key_points:
    where a person sees points of the head (see `alignment.key_points`), px as recorded. photo_focal: whether focal
    lengths that photographs state of themselves are a prior where no other is known.
    """

    masks: tuple[str | os.PathLike[str], ...] = ()
    key_points: tuple[KeyPoint, ...] = ()
    photo_focal: bool = True

    def open_masks(self) -> list[FrameSource]:
        """The masks, ready to be read. Raises InputError where one cannot be."""
        return [open_frames(path, background=MASK_BACKGROUND) for path in self.masks]

    def check(self, sources: Sequence[FrameSource], names: Sequence[str] | None, head: HeadModel) -> None:
        """Raise InputError for what can be seen to be wrong before any work. names: of the cameras, where known."""
        if self.masks:
            masks = self.open_masks()
            check_masks(masks, np.asarray([source.info.size for source in sources]))
            for mask, source in zip(masks, sources, strict=True):
                _check_count(mask, source)
        names = camera_names(sources) if names is None else list(names)
        for point in self.key_points:
            surface_point(point.point, head, point.where)
            if point.camera and point.camera not in names:
                raise InputError(f"{point.where}: no camera '{point.camera}'; there are {', '.join(names)}")
            if not point.camera and len(names) > 1:
                raise InputError(f"{point.where}: expected a camera, as there are several: {', '.join(names)}")
            count = sources[names.index(point.camera) if point.camera else 0].info.frame_count
            if count is not None and not 0 <= point.frame <= count + _slack(count):
                raise InputError(f"{point.where}: no frame {point.frame}; the frames are 0 to {count - 1}")

    def request(self) -> dict[str, Any] | None:
        """What tells a job with this guidance from others; None for the usual one, which leaves all to the tracker."""
        if self == Guidance():
            return None
        points = [{**dataclasses.asdict(point), "where": ""} for point in self.key_points]
        return {
            "masks": [[Path(path).name, _digest(Path(path))] for path in self.masks],
            "key_points": hashlib.sha256(json.dumps(points, sort_keys=True).encode()).hexdigest(),
            "photo_focal": self.photo_focal,
        }

    def masked(
        self, alignment: Alignment, straighten: Sequence[Callable[[np.ndarray], np.ndarray] | None] | None
    ) -> tuple[Alignment, dict[str, Any]]:
        """The alignment without the points on excluded pixels, and what to record of it. straighten: see `with_masks`.

        Raises InputError for masks that do not fit.
        """
        if not self.masks:
            return alignment, {}
        alignment, shares = with_masks(alignment, self.open_masks(), straighten)
        told = [
            {"camera": name, "masks": Path(path).name, "excluded_share_of_pixels": round(share, 4)}
            for name, path, share in zip(alignment.camera_names, self.masks, shares, strict=True)
        ]
        return alignment, {"masks": told}

    def placed(self, alignment: Alignment, head: HeadModel, calibration: Calibration | None) -> Alignment:
        """The alignment with the key points; those of a calibrated lens are undistorted first. Raises InputError."""
        return with_key_points(alignment, head, self._straight_points(alignment.camera_names, calibration))

    def focal_prior(self, sources: Sequence[FrameSource]) -> FocalPrior | None:
        """What photographs state of their focal lengths, or None."""
        stated = tuple(source.info.focal_px for source in sources)
        return FocalPrior(stated) if self.photo_focal and any(stated) else None

    def recorded(
        self,
        track: Track,
        head: HeadModel,
        calibration: Calibration | None,
        sources: Sequence[FrameSource],
        told: dict[str, Any],
    ) -> Track:
        """The track, its record joined by what `masked` told, how far off the key points are, and why a photograph's
        focal length was not used.
        """
        record = track.summary
        notes = [note for source in sources for note in source.info.notes]
        if not record["cameras_known"] and self.photo_focal:
            record["notes"] = record["notes"] + notes
        if self.key_points:
            record["key_points"] = self._distances(track, head, calibration)
        return dataclasses.replace(track, record=json.dumps({**record, **told}, sort_keys=True))

    def _distances(self, track: Track, head: HeadModel, calibration: Calibration | None) -> list[dict[str, Any]]:
        """How far each key point is from where the track has it, px of the ideal pinhole's image."""
        told = []
        for point in self._straight_points(track.cameras.names, calibration):
            ids, weights = surface_point(point.point, head, point.where)
            camera = track.cameras.names.index(point.camera) if point.camera else 0
            frame = int(np.flatnonzero(track.frame_ids == point.frame)[0])
            place = weights @ np.asarray(track.world_vertices(head, frame))[ids]
            fitted = np.asarray(track.cameras.project(jnp.asarray(place[None], jnp.float32)))[camera, 0]
            told.append(
                {
                    "camera": track.cameras.names[camera],
                    "frame": point.frame,
                    "point": point.point,
                    "std_px": point.std,
                    "distance_px": round(float(np.hypot(*(fitted - [point.x, point.y]))), 3),
                }
            )
        return told

    def _straight_points(self, names: Sequence[str], calibration: Calibration | None) -> list[KeyPoint]:
        if calibration is None:
            return list(self.key_points)
        straight = []
        for point in self.key_points:
            camera = names.index(point.camera) if point.camera in names else 0
            x, y = np.asarray(undistort_points(calibration, camera, np.asarray([[point.x, point.y]])))[0]
            straight.append(dataclasses.replace(point, x=float(x), y=float(y)))
        return straight


def _check_count(mask: FrameSource, source: FrameSource) -> None:
    """Raise InputError where masks are surely not as many as the frames."""
    count, frames = mask.info.frame_count, source.info.frame_count
    if count is None or frames is None or count == 1:
        return
    # Folders are counted, not estimated.
    slack = 0 if not mask.info.is_video and not source.info.is_video else max(_slack(count), _slack(frames))
    if abs(count - frames) > slack:
        raise InputError(
            f"the masks {mask.info.name} are {count}, but {source.info.name} has {frames} frames; give one mask for "
            "each frame, or one for all"
        )


def _slack(count: int) -> int:
    return max(ESTIMATE_SLACK[0], round(ESTIMATE_SLACK[1] * count))


def _digest(path: Path) -> str:
    """SHA-256 of a file, or of the files of a folder in order."""
    whole = hashlib.sha256()
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as content:
                whole.update(hashlib.file_digest(content, "sha256").digest())
    return whole.hexdigest()
