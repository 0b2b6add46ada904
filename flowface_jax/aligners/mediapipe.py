"""MediaPipe's face mesh as an aligner: 478 landmarks in every frame, with estimated standard deviations."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowface_jax.aligners.faces import boxes_of_points, choose_face, link_faces
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.noise import MEDIAPIPE_POINTS, estimate_std, mediapipe_groups
from flowface_jax.aligners.video import open_frames
from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.errors import InputError, MissingDependencyError

logger = logging.getLogger(__name__)

MAXIMUM_FACES = 5
MINIMUM_CONFIDENCE = 0.5

HALF_PIXEL = 0.5
CROP_SHIFT = 0.0014
"""What turns MediaPipe's fractions × size into continuous pixels: + HALF_PIXEL px − CROP_SHIFT × longer box side.

Measured on 93 frames of seven people. The same picture at 1/4 to 2 times its size shows an offset of −0.53 ± 0.01 px,
in x and y alike, that does not grow with the picture: MediaPipe counts from the centre of the first pixel. With that
half pixel added, a picture and its mirror image still disagree by twice 0.0014 ± 0.0002 of the box, at three sizes
alike: a fifth of a pixel of the crop that its network sees. Mirroring tells of x only; the crop treats both axes alike,
so y is taken to have the same.
"""

Undistort = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int | None], None]


def align_mediapipe(
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    face: int = 1,
    progress: Progress | None = None,
    undistort: Sequence[Undistort | None] | None = None,
    static: bool | None = None,
    frame_rate: float | None = None,
) -> Alignment:
    """Landmarks of one face in C sources, one per camera, frames paired by their number (point set "mediapipe").

    sources: videos, images, folders of images, or `FrameSource`s. face: rank by total area in each camera, 1 the
    largest. progress: called with (frames done, frames expected or None) over all cameras. undistort: per camera a map
    of pixels [N,2] as recorded to pixels of a pinhole camera, or None. static: detect the face anew in every frame
    instead of following it; the default does so for images. frame_rate: 1/s where folders of
    images are the frames of a film; None where they are photographs.

    Where faces are detected anew, neighbouring frames may show anything, so no jitter enters the standard deviations.
    The alignment is as long as the longest source; a camera that ends earlier is invalid from there on, which is
    logged. Frames that show no such face are invalid. Raises InputError where a source cannot be read or shows no face,
    and MissingDependencyError where MediaPipe is not installed.
    """
    opened = _open_all(sources, undistort, frame_rate)
    _warn_of_rates(opened)
    totals = [source.info.frame_count for source in opened]
    expected = None if None in totals else sum(totals)  # type: ignore[arg-type]
    cameras = []
    times: list[float] = []
    done = 0
    for source in opened:
        detections = []
        camera_times = []
        for time, found in detect_faces(source, static):
            detections.append(found)
            camera_times.append(time)
            done += 1
            if progress is not None:
                progress(done, expected)
        tracks = link_faces([boxes_of_points(found) for found in detections])
        track = choose_face(tracks, face, source.info.name)
        points = np.full((len(detections), MEDIAPIPE_POINTS, 3), np.nan, np.float32)
        for frame, index in zip(track.frames, track.detections, strict=True):
            points[frame] = detections[frame][index]
        cameras.append(points)
        times = max(times, camera_times, key=len)
    moving = [not _is_static(source, static) for source in opened]
    return _assemble(opened, cameras, times, undistort or [None] * len(opened), moving)


def detect_faces(source: FrameSource, static: bool | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """Time (s) of each frame and the landmarks [N,478,3] of its N faces, px of the full image.

    z, in the same unit, grows away from the camera and is zero near the head's centre. static: as in
    `align_mediapipe`. Raises MissingDependencyError without MediaPipe.
    """
    width, height = source.info.size
    mesh = _face_mesh(_is_static(source, static))
    try:
        for frame in source:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*GetPrototype", category=UserWarning)
                found = mesh.process(frame.image).multi_face_landmarks or []
            fractions = np.asarray([[(p.x, p.y, p.z) for p in one.landmark] for one in found], np.float32)
            yield frame.time_s, _to_pixels(fractions.reshape(-1, MEDIAPIPE_POINTS, 3), width, height)
    finally:
        mesh.close()


def _is_static(source: FrameSource, static: bool | None) -> bool:
    return not source.info.is_video if static is None else static


def _to_pixels(fractions: np.ndarray, width: int, height: int) -> np.ndarray:
    """Continuous pixels [N,P,3] of MediaPipe's coordinates: fractions of width, height and, for z, width."""
    points = fractions * np.asarray([width, height, width], np.float32)
    side = np.ptp(points[..., :2], axis=1).max(-1)
    points[..., :2] += (HALF_PIXEL - CROP_SHIFT * side)[:, None, None]
    return points


def _open_all(
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    undistort: Sequence[Undistort | None] | None,
    frame_rate: float | None,
) -> list[FrameSource]:
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    if not sources:
        raise InputError("expected at least one video, image or folder of images, found none")
    if undistort is not None and len(undistort) != len(sources):
        raise InputError(
            f"undistort: expected one entry for each of the {len(sources)} cameras, found {len(undistort)}"
        )
    return [source if isinstance(source, FrameSource) else open_frames(source, frame_rate) for source in sources]


def _warn_of_rates(sources: Sequence[FrameSource]) -> None:
    rates = [source.info.frame_rate for source in sources]
    if max(rates) > 1.01 * min(rates):
        stated = ", ".join(f"{source.info.name} {source.info.frame_rate:.3g}" for source in sources)
        logger.warning("frames are paired by their number, but the cameras differ in frames per second: %s", stated)


def _assemble(
    sources: Sequence[FrameSource],
    cameras: Sequence[np.ndarray],
    times: list[float],
    undistort: Sequence[Undistort | None],
    moving: Sequence[bool],
) -> Alignment:
    """The alignment from each camera's landmarks [F_c,478,3], NaN where its face was not seen."""
    frames = len(times)
    mean = np.full((len(cameras), frames, MEDIAPIPE_POINTS, 2), np.nan)
    std = np.full(mean.shape[:3], np.inf)
    valid = np.zeros(mean.shape[:2], bool)
    for c, (source, points, straighten, follow) in enumerate(zip(sources, cameras, undistort, moving, strict=True)):
        length = len(points)
        if length < frames:
            logger.warning(
                "%s has %d frames, the longest source %d; it is invalid after its end", source.info.name, length, frames
            )
        valid[c, :length] = np.isfinite(points[:, 0, 0])
        std[c, :length] = estimate_std(points, valid[c, :length], mediapipe_groups(), source.info.size, follow)
        mean[c, :length] = points[..., :2]
        if straighten is not None:
            seen = mean[c, valid[c]]
            mean[c, valid[c]] = np.asarray(straighten(seen.reshape(-1, 2))).reshape(seen.shape)
    # A face wholly outside the image has no observed point left.
    valid &= np.isfinite(std).any(-1)
    return make_alignment(
        mean=mean,
        std=std,
        valid=valid,
        image_size=np.asarray([source.info.size for source in sources]),
        point_set="mediapipe",
        frame_times=np.asarray(times),
        frame_ids=np.arange(frames),
        camera_names=_camera_names(sources),
        source=f"mediapipe {_version()} face mesh",
    )


def _camera_names(sources: Sequence[FrameSource]) -> list[str]:
    """File names without their ending, numbered where they are not unique."""
    names = [os.path.splitext(source.info.name)[0] for source in sources]
    return names if len(set(names)) == len(names) else [f"{name}_{c}" for c, name in enumerate(names)]


def _face_mesh(static: bool) -> Any:
    """MediaPipe's face mesh with irises. Raises MissingDependencyError if it is absent or a release without models."""
    try:
        import mediapipe

        solutions = mediapipe.solutions
    except (ImportError, AttributeError) as error:
        found = "a release without its face models is" if isinstance(error, AttributeError) else "it is not"
        raise MissingDependencyError(
            f"finding landmarks needs mediapipe 0.10.14, and {found} installed; "
            "on Python 3.11 or 3.12: pip install 'flowface-jax[mediapipe]'"
        ) from None
    with _quiet_stderr():
        mesh = solutions.face_mesh.FaceMesh(
            static_image_mode=static,
            max_num_faces=MAXIMUM_FACES,
            refine_landmarks=True,
            min_detection_confidence=MINIMUM_CONFIDENCE,
            min_tracking_confidence=MINIMUM_CONFIDENCE,
        )
        # The models are set up by other threads, which log too; an empty picture waits for them and shows no face.
        mesh.process(np.zeros((64, 64, 3), np.uint8))
    return mesh


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to standard error; if the block fails, it is written after all."""
    try:
        original = os.dup(2)
    except OSError:
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(original, 2)
            os.close(original)
            if failed:
                captured.seek(0)
                os.write(2, captured.read())


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("mediapipe")
    except PackageNotFoundError:
        return "(unknown)"
