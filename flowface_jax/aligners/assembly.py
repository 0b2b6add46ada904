"""What all aligners do alike: opening one source per camera, and putting the cameras' observations together."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import Alignment, PointSet, make_alignment
from flowface_jax.errors import InputError

logger = logging.getLogger(__name__)

Undistort = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int | None], None]


class Observed(NamedTuple):
    """One camera's F_c frames: mean [F_c,P,2] px as recorded, std [F_c,P] px (infinite: not observed), valid [F_c]."""

    mean: np.ndarray
    std: np.ndarray
    valid: np.ndarray


def open_all(
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    undistort: Sequence[Undistort | None] | None,
    frame_rate: float | None,
) -> list[FrameSource]:
    """One opened source per camera; logs where frame rates differ. Raises InputError for none, or other counts."""
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    if not sources:
        raise InputError("expected at least one video, image or folder of images, found none")
    if undistort is not None and len(undistort) != len(sources):
        raise InputError(
            f"undistort: expected one entry for each of the {len(sources)} cameras, found {len(undistort)}"
        )
    opened = [source if isinstance(source, FrameSource) else open_frames(source, frame_rate) for source in sources]
    _warn_of_rates(opened)
    return opened


def expected_frames(sources: Sequence[FrameSource]) -> int | None:
    """Frames of all sources together, None where one does not say."""
    totals = [source.info.frame_count for source in sources]
    return None if None in totals else sum(totals)  # type: ignore[arg-type]


def is_static(source: FrameSource, static: bool | None) -> bool:
    """Whether faces are to be detected anew in every frame: as asked, or else in photographs."""
    return not source.info.is_video if static is None else static


def assemble(
    sources: Sequence[FrameSource],
    observed: Sequence[Observed],
    times: Sequence[float],
    undistort: Sequence[Undistort | None] | None,
    point_set: PointSet,
    made_by: str,
) -> Alignment:
    """The alignment of all cameras, as long as `times` [F] s; a camera that ends earlier is invalid from there on.

    undistort: per camera a map of pixels [N,2] as recorded to pixels of a pinhole camera, or None.
    """
    frames, points = len(times), observed[0].mean.shape[1]
    mean = np.zeros((len(sources), frames, points, 2), np.float32)
    std = np.full(mean.shape[:3], np.inf, np.float32)
    valid = np.zeros(mean.shape[:2], bool)
    for c, (source, seen) in enumerate(zip(sources, observed, strict=True)):
        length = len(seen.valid)
        if length < frames:
            logger.warning(
                "%s has %d frames, the longest source %d; it is invalid after its end", source.info.name, length, frames
            )
        mean[c, :length], std[c, :length], valid[c, :length] = seen
        straighten = undistort[c] if undistort is not None else None
        if straighten is not None:
            recorded = mean[c, valid[c]].astype(np.float64)
            mean[c, valid[c]] = np.asarray(straighten(recorded.reshape(-1, 2))).reshape(recorded.shape)
    return make_alignment(
        mean=mean,
        std=std,
        valid=valid,
        image_size=np.asarray([source.info.size for source in sources]),
        point_set=point_set,
        frame_times=np.asarray(times),
        frame_ids=np.arange(frames),
        camera_names=camera_names(sources),
        source=made_by,
    )


def _warn_of_rates(sources: Sequence[FrameSource]) -> None:
    rates = [source.info.frame_rate for source in sources]
    if max(rates) > 1.01 * min(rates):
        stated = ", ".join(f"{source.info.name} {source.info.frame_rate:.3g}" for source in sources)
        logger.warning("frames are paired by their number, but the cameras differ in frames per second: %s", stated)


def camera_names(sources: Sequence[FrameSource]) -> list[str]:
    """File names without their ending, numbered where they are not unique."""
    names = [os.path.splitext(source.info.name)[0] for source in sources]
    return names if len(set(names)) == len(names) else [f"{name}_{c}" for c, name in enumerate(names)]
