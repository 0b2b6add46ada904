"""MediaPipe's face mesh as an aligner: 478 landmarks in every frame, with estimated standard deviations."""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from flowface_jax.aligners.assembly import (
    Observed,
    Progress,
    Undistort,
    assemble,
    expected_frames,
    is_static,
    open_all,
)
from flowface_jax.aligners.detection import Detector, check_image, touching
from flowface_jax.aligners.face_paths import FacePath, along_path, check_paths
from flowface_jax.aligners.faces import boxes_of_points, choose_face, link_faces
from flowface_jax.aligners.frames import FrameSource
from flowface_jax.aligners.noise import MEDIAPIPE_POINTS, estimate_std, mediapipe_groups
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.errors import MissingDependencyError

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


def align_mediapipe(
    sources: Sequence[str | os.PathLike[str] | FrameSource],
    face: int = 1,
    progress: Progress | None = None,
    undistort: Sequence[Undistort | None] | None = None,
    static: bool | None = None,
    frame_rate: float | None = None,
    paths: Sequence[FacePath] | None = None,
) -> Alignment:
    """Landmarks of one face in C sources, one per camera, frames paired by their number (point set "mediapipe").

    sources: videos, images, folders of images, or `FrameSource`s. face: rank by total area in each camera, 1 the
    largest. progress: called with (frames done, frames expected or None) over all cameras. undistort: per camera a map
    of pixels [N,2] as recorded to pixels of a pinhole camera, or None. static: detect the face anew in every frame
    instead of following it; the default does so for images. frame_rate: 1/s where folders of
    images are the frames of a film; None where they are photographs. paths: of the face, one per camera, where they are
    known: then `face` has no meaning.

    Where faces are detected anew, neighbouring frames may show anything, so no jitter enters the standard deviations.
    The alignment is as long as the longest source; a camera that ends earlier is invalid from there on, which is
    logged. Frames that show no such face are invalid. Raises InputError where a source cannot be read or shows no face,
    and MissingDependencyError where MediaPipe is not installed.
    """
    opened = open_all(sources, undistort, frame_rate)
    expected = expected_frames(opened)
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
        boxes = [boxes_of_points(found) for found in detections]
        track = (
            choose_face(link_faces(boxes), face, source.info.name)
            if paths is None
            else along_path(check_paths(paths, len(opened))[len(cameras)], boxes, source.info.name)
        )
        points = np.full((len(detections), MEDIAPIPE_POINTS, 3), np.nan, np.float32)
        for frame, index in zip(track.frames, track.detections, strict=True):
            points[frame] = detections[frame][index]
        cameras.append(_observed(points, source.info.size, moving=not is_static(source, static)))
        times = max(times, camera_times, key=len)
    return assemble(opened, cameras, times, undistort, "mediapipe", f"mediapipe {_version()} face mesh")


def detect_faces(source: FrameSource, static: bool | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """Time (s) of each frame and the landmarks [N,478,3] of its N faces, px of the full image.

    z, in the same unit, grows away from the camera and is zero near the head's centre. static: as in
    `align_mediapipe`. Raises MissingDependencyError without MediaPipe.
    """
    mesh = _face_mesh(is_static(source, static))
    try:
        for frame in source:
            yield frame.time_s, _landmarks(mesh, frame.image)
    finally:
        mesh.close()


def mediapipe_detector() -> Detector:
    """Boxes around MediaPipe's landmarks, each picture on its own, as a `Detector`; it states no scores, so all are 1.

    Raises MissingDependencyError without MediaPipe.
    """
    mesh = _face_mesh(static=True)

    def detect(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        check_image(image)
        boxes = boxes_of_points(_landmarks(mesh, image)).astype(np.float64)
        boxes = boxes[touching(boxes, image.shape[1], image.shape[0])]
        return boxes, np.ones(len(boxes))

    return detect


def _landmarks(mesh: Any, image: np.ndarray) -> np.ndarray:
    """Landmarks [N,478,3] px of the faces in a picture [H,W,3]."""
    height, width = image.shape[:2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*GetPrototype", category=UserWarning)
        found = mesh.process(image).multi_face_landmarks or []
    fractions = np.asarray([[(p.x, p.y, p.z) for p in one.landmark] for one in found], np.float32)
    return _to_pixels(fractions.reshape(-1, MEDIAPIPE_POINTS, 3), width, height)


def _to_pixels(fractions: np.ndarray, width: int, height: int) -> np.ndarray:
    """Continuous pixels [N,P,3] of MediaPipe's coordinates: fractions of width, height and, for z, width."""
    points = fractions * np.asarray([width, height, width], np.float32)
    side = np.ptp(points[..., :2], axis=1).max(-1)
    points[..., :2] += (HALF_PIXEL - CROP_SHIFT * side)[:, None, None]
    return points


def _observed(points: np.ndarray, size: tuple[int, int], moving: bool) -> Observed:
    """What one camera's landmarks [F,478,3] tell, NaN where its face was not seen."""
    valid = np.isfinite(points[:, 0, 0])
    std = estimate_std(points, valid, mediapipe_groups(), size, moving)
    # A face wholly outside the image has no observed point left.
    return Observed(points[..., :2], std, valid & np.isfinite(std).any(-1))


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
