"""From videos to a track in a folder: align, fit, write, draw. The same job behind the API and the command line."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from flowface_jax.aligners import AUTO, FrameSource, align, check_aligner, open_frames, resolve_aligner, weights_file
from flowface_jax.aligners.identity import IdentityNetwork, check_topology, load_mica, predict_neutral
from flowface_jax.aligners.parts import Part
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras import Calibration, Cameras, make_cameras, undistort_maps
from flowface_jax.cameras import undistort_image as undistort_frame
from flowface_jax.cameras.calibration import undistort_points
from flowface_jax.errors import InputError
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.focal_prior import FocalPrior
from flowface_jax.fitting.snapshots import SnapshotWriter
from flowface_jax.fitting.thinning import thinned
from flowface_jax.fitting.track import Track
from flowface_jax.guidance import Guidance
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import (
    ALIGNMENT_FILE,
    CAMERAS_FILE,
    OVERLAY_FILE,
    Existing,
    check_folder,
    prepare_folder,
)
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_npz, require_file
from flowface_jax.viewing.track_overlay import write_overlay

TRACK_CONFIG = FitConfig(maximum_points=1000)
"""Settings of the fit in `track`: networks answer for every vertex, which is more than their maps tell apart."""


@dataclasses.dataclass(frozen=True)
class CameraChoice:
    """What is known of the cameras: a calibration, or the focal length in px of a single view, or nothing."""

    calibration: Calibration | None = None
    focal: float | None = None

    def cameras(self, image_size: np.ndarray, names: Sequence[str]) -> Cameras | None:
        """Known cameras for views of image_size [C,2], or None. A lone focal length fixes the camera of one view.

        Raises InputError for a lone focal length and several views.
        """
        if self.calibration is not None:
            return self.calibration.cameras
        self.check_view_count(len(image_size))
        if self.focal is None:
            return None
        return make_cameras([self.focal], image_size / 2.0, np.eye(3)[None], np.zeros((1, 3)), image_size, list(names))

    def check_view_count(self, count: int) -> None:
        """Raise InputError where a lone focal length is given for several views."""
        if self.focal is not None and count > 1:
            raise InputError(f"a single focal length serves one view, found {count}; give a calibration for several")


def track(
    inputs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    head: HeadModel,
    aligner: str = AUTO,
    cameras: CameraChoice | None = None,
    face: int = 1,
    config: FitConfig | None = None,
    neutral_template: np.ndarray | None = None,
    overlay: bool = True,
    existing: Existing = "refuse",
    reporter: Reporter | None = None,
    frame_rate: float | None = None,
    mica: str | os.PathLike[str] | None = None,
    detector: str = "mediapipe",
    devices: Sequence[jax.Device] = (),
    part: Part | None = None,
    live: bool = False,
    guidance: Guidance | None = None,
) -> Track:
    """Track the face in one video (or image, or folder of images) per camera, and write everything into `out`.

    Writes alignment.npz, track.npz, track.json, cameras.json and overlay.mp4. config: by default `TRACK_CONFIG`.
    aligner: "auto" (the bundled network that suits the device, or MediaPipe where none is bundled; request.json names
    what it was), a bundled network by name, the path of a trained network's weights, or "mediapipe". Networks work with
    a detector: "mediapipe", or the path of S3FD's weights. existing: what to do with a folder in use; "resume" takes up
    a job that was killed and ends with the same result. frame_rate: 1/s, where folders of images are the frames of a
    film; without it they are photographs of one person, without motion between them. mica: weights that predict the
    neutral head of a FLAME head from the frames, instead of a `neutral_template`. part: of the only input.
    live: keep the newest unfinished track in out/live while the fit goes on, for `flowface view --live`. guidance:
    masks, key points placed by hand, and whether photographs' EXIF counts.
    Raises InputError for unusable input; then nothing that was there before has been touched.
    """
    reporter, cameras, config = reporter or SilentReporter(), cameras or CameraChoice(), config or TRACK_CONFIG
    guidance = guidance or Guidance()
    aligner = resolve_aligner(aligner)
    check_aligner(aligner, detector)
    sources = _sources(inputs, frame_rate, part, guidance)
    _check_views(sources, cameras)
    guidance.check(sources, None if cameras.calibration is None else cameras.calibration.names, head)
    request = _request(inputs, head, aligner, cameras, face, config, neutral_template, guidance)
    request |= {"frame_rate": frame_rate, "part": None if part is None else part.identity}
    request |= _aligner_checksums(aligner, detector)
    request["mica"] = _mica_checksum(mica, head, neutral_template)
    # Refuse before the minutes of aligning, but create nothing before the input has proved sound.
    check_folder(out, existing, request)
    identity_network = None if mica is None else load_mica(mica)
    resumed = Path(out) / ALIGNMENT_FILE
    started = time.perf_counter()
    if existing == "resume" and resumed.is_file():
        alignment = Alignment.load(resumed)
    else:
        alignment = _align(sources, aligner, detector, head, cameras, face, reporter, part)
    alignment, told = guidance.masked(alignment, _undistort_frames(cameras))
    aligned = time.perf_counter() - started
    placed = guidance.placed(alignment, head, cameras.calibration)
    folder = prepare_folder(out, existing, request)
    alignment.save(folder / ALIGNMENT_FILE)
    timings = {"align_s": aligned}
    if identity_network is not None:
        started = time.perf_counter()
        neutral_template = _predict_neutral(identity_network, sources, alignment, head, cameras, reporter)
        timings["neutral_s"] = time.perf_counter() - started
    snapshots = SnapshotWriter(folder) if live else None
    prior = guidance.focal_prior(sources)
    result = fit_alignment(
        placed, head, cameras, config, neutral_template, reporter, timings, devices, snapshots, prior
    )
    result = guidance.recorded(result, head, cameras.calibration, sources, told)
    result.save(folder)
    result.cameras.save(folder / CAMERAS_FILE)
    if overlay:
        fitted = thinned(placed, head, config.maximum_points)
        draw(folder / OVERLAY_FILE, result, head, fitted, sources, cameras, reporter)
    return result


def fit_alignment(
    alignment: Alignment,
    head: HeadModel,
    cameras: CameraChoice | None = None,
    config: FitConfig | None = None,
    neutral_template: np.ndarray | None = None,
    reporter: Reporter | None = None,
    timings: dict[str, float] | None = None,
    devices: Sequence[jax.Device] = (),
    snapshots: SnapshotWriter | None = None,
    focal_prior: FocalPrior | None = None,
) -> Track:
    """`fit` with progress bars, and the seconds of earlier stages added to the track's record. snapshots: of it.
    focal_prior: where `cameras` has no focal length.
    """
    reporter, cameras, config = reporter or SilentReporter(), cameras or CameraChoice(), config or FitConfig()
    known = cameras.cameras(alignment.image_size, alignment.camera_names)
    first_order = config.solver == "adamw"
    bar = reporter.bar("fit", config.max_steps if first_order else config.max_iterations, "steps")
    scale_name = "step size" if first_order else "damping"
    try:
        result = fit(
            alignment,
            head,
            known,
            config,
            neutral_template,
            lambda step, energy, scale: bar.advance_to(step, f"energy {energy:.4g}, {scale_name} {scale:.3g}"),
            devices=devices,
            watch=None if snapshots is None else snapshots.offer,
            focal_prior=focal_prior,
        )
    finally:
        bar.close()
        if snapshots is not None:
            snapshots.clear()
    record = result.summary
    record["timings"] = {**(timings or {}), **record["timings"]}
    return dataclasses.replace(result, record=json.dumps(record, sort_keys=True))


def draw(
    path: Path,
    result: Track,
    head: HeadModel,
    alignment: Alignment,
    sources: Sequence[FrameSource],
    cameras: CameraChoice,
    reporter: Reporter,
) -> None:
    """Write the overlay video with a progress bar."""
    bar = reporter.bar("overlay", result.frame_count, "frames")
    try:
        write_overlay(path, result, head, alignment, sources, _undistort_frames(cameras), bar.advance_to)
    finally:
        bar.close()


def _align(
    sources: Sequence[FrameSource],
    aligner: str,
    detector: str,
    head: HeadModel,
    cameras: CameraChoice,
    face: int,
    reporter: Reporter,
    part: Part | None,
) -> Alignment:
    counts = [source.info.frame_count for source in sources]
    bar = reporter.bar("align", None if None in counts else sum(c for c in counts if c), "frames")
    calibration = cameras.calibration
    undistort = None
    if calibration is not None:
        undistort = [
            None if calibration.is_ideal(c) else lambda points, c=c: undistort_points(calibration, c, points)
            for c in range(calibration.cameras.count)
        ]
    try:
        report = lambda done, _: bar.advance_to(done)
        paths = None if part is None else part.paths
        alignment = align(aligner, sources, face, report, undistort, head=head, detector=detector, paths=paths)
    finally:
        bar.close()
    if part is not None:
        alignment = dataclasses.replace(alignment, frame_ids=alignment.frame_ids + part.frames.first)
    if calibration is None:
        return alignment
    return dataclasses.replace(alignment, camera_names=calibration.cameras.names)


def _predict_neutral(
    network: IdentityNetwork,
    sources: Sequence[FrameSource],
    alignment: Alignment,
    head: HeadModel,
    cameras: CameraChoice,
    reporter: Reporter,
) -> np.ndarray:
    bar = reporter.bar("identity", int(alignment.valid.sum()), "frames")
    try:
        return predict_neutral(sources, alignment, network, head, _undistort_frames(cameras), bar.advance_to)
    finally:
        bar.close()


def _undistort_frames(cameras: CameraChoice) -> list[Callable[[np.ndarray], np.ndarray] | None] | None:
    calibration = cameras.calibration
    if calibration is None:
        return None
    functions: list[Callable[[np.ndarray], np.ndarray] | None] = []
    for c in range(calibration.cameras.count):
        if calibration.is_ideal(c):
            functions.append(None)
            continue
        maps = undistort_maps(calibration, c)
        functions.append(lambda image, c=c, maps=maps: undistort_frame(calibration, c, image, maps))
    return functions


def _sources(
    inputs: Sequence[str | os.PathLike[str]], frame_rate: float | None, part: Part | None, guidance: Guidance
) -> list[FrameSource]:
    """The frames of every camera. Raises InputError for none, and where a part and its job do not fit."""
    if not inputs:
        raise InputError("expected at least one video or image, found none")
    if part is None:
        return [open_frames(path, frame_rate) for path in inputs]
    if len(inputs) != 1:
        raise InputError(f"a part is one of a single video, found {len(inputs)} inputs")
    if guidance.masks or guidance.key_points:
        raise InputError("masks and key points are of a whole video, found a part of one")
    return [part.frames]


def _check_views(sources: Sequence[FrameSource], cameras: CameraChoice) -> None:
    """Counts and image sizes against the calibration, before any work. Raises InputError where they differ."""
    cameras.check_view_count(len(sources))
    calibration = cameras.calibration
    if calibration is None:
        return
    if calibration.cameras.count != len(sources):
        raise InputError(
            f"{len(sources)} input(s), but the calibration has {calibration.cameras.count} camera(s); "
            "give one input per camera, in the same order, or select cameras with --camera-names"
        )
    for source, name, size in zip(
        sources, calibration.cameras.names, np.asarray(calibration.cameras.image_size), strict=True
    ):
        if tuple(source.info.size) != tuple(size):
            raise InputError(
                f"{source.info.name} is {source.info.size[0]} x {source.info.size[1]} px, but camera '{name}' is "
                f"calibrated for {size[0]} x {size[1]}; calibrate at the size of the video"
            )


def _request(
    inputs: Sequence[str | os.PathLike[str]],
    head: HeadModel,
    aligner: str,
    cameras: CameraChoice,
    face: int,
    config: FitConfig | None,
    neutral_template: np.ndarray | None,
    guidance: Guidance,
) -> dict[str, object]:
    """What identifies the job: inputs by name and size, head, cameras, neutral head, settings."""
    known = None if cameras.calibration is None else cameras.calibration.cameras
    neutral = None if neutral_template is None else np.ascontiguousarray(neutral_template).tobytes()
    return {
        "inputs": [{"name": Path(path).name, "bytes": _bytes_of(Path(path))} for path in inputs],
        "head": head.name,
        "aligner": Path(aligner).name,
        "cameras": None
        if known is None
        else {"names": list(known.names), "focal_px": np.asarray(known.focal).tolist()},
        "neutral": None if neutral is None else hashlib.sha256(neutral).hexdigest(),
        "focal_px": cameras.focal,
        "face": face,
        "guidance": guidance.request(),
        "settings": json.loads(json.dumps(dataclasses.asdict(config or FitConfig()))),
    }


def _mica_checksum(
    mica: str | os.PathLike[str] | None, head: HeadModel, neutral_template: np.ndarray | None
) -> str | None:
    """SHA-256 of MICA's weights. Raises InputError where they are absent or of no use for the job."""
    if mica is None:
        return None
    if neutral_template is not None:
        raise InputError("a neutral head is given, so MICA's is not needed; use either --neutral or --mica")
    check_topology(head)
    return _checksum(mica, "MICA's converted weights")


def _aligner_checksums(aligner: str, detector: str) -> dict[str, str | None]:
    """Which weights an alignment is made with: SHA-256 of the network's, and of the detector's or its name."""
    network, faces = weights_file(aligner), weights_file(detector)
    return {
        "aligner_weights": None if network is None else _checksum(network, "a trained network"),
        "detector": None if network is None else detector if faces is None else _checksum(faces, "S3FD's weights"),
    }


def _checksum(path: str | os.PathLike[str], kind: str) -> str:
    """SHA-256 of a file. Raises InputError where it is absent."""
    with require_file(path, kind).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bytes_of(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size


def read_neutral(path: str | os.PathLike[str]) -> np.ndarray:
    """A neutral template [V,3] m for E_MICA, from an OBJ file or an .npz with `vertices`. Raises InputError."""
    if Path(path).suffix.lower() == ".npz":
        return read_npz(path, "a neutral template", required=("vertices",))["vertices"]
    from flowface_jax.heads.obj import read_obj_vertices

    return read_obj_vertices(path)


def fit_file(
    path: str | os.PathLike[str],
    alignment: Alignment,
    out: str | os.PathLike[str],
    head: HeadModel,
    cameras: CameraChoice | None = None,
    config: FitConfig | None = None,
    neutral_template: np.ndarray | None = None,
    videos: Sequence[str | os.PathLike[str]] = (),
    existing: Existing = "refuse",
    reporter: Reporter | None = None,
    devices: Sequence[jax.Device] = (),
    live: bool = False,
    guidance: Guidance | None = None,
) -> Track:
    """Fit an alignment that was read from `path`, and write track.npz, track.json, cameras.json (and overlay.mp4 where
    `videos`, one per camera, are given) into `out`. live, guidance: as in `track`; photographs are those of `videos`.
    Raises InputError as `track` does.
    """
    reporter, cameras = reporter or SilentReporter(), cameras or CameraChoice()
    if videos and len(videos) != alignment.camera_count:
        raise InputError(f"the alignment has {alignment.camera_count} camera(s), found {len(videos)} --video file(s)")
    sources = [open_frames(video) for video in videos]
    guidance = guidance or Guidance()
    request = _request([path], head, "file", cameras, 1, config, neutral_template, guidance)
    check_folder(out, existing, request)
    alignment, told = guidance.masked(alignment, _undistort_frames(cameras))
    alignment = guidance.placed(alignment, head, cameras.calibration)
    snapshots = SnapshotWriter(prepare_folder(out, existing, request)) if live else None
    prior = guidance.focal_prior(sources) if sources else None
    result = fit_alignment(
        alignment, head, cameras, config, neutral_template, reporter, None, devices, snapshots, prior
    )
    result = guidance.recorded(result, head, cameras.calibration, sources, told)
    folder = Path(out) if live else prepare_folder(out, existing, request)
    result.save(folder)
    result.cameras.save(folder / CAMERAS_FILE)
    if sources:
        draw(folder / OVERLAY_FILE, result, head, alignment, sources, cameras, reporter)
    return result
