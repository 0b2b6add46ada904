"""Synthetic captures: a made-up performance filmed by a rig, written with everything that is known exactly about it."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.conventions import CONVENTIONS
from flowface_jax.errors import InputError
from flowface_jax.exporting.ply import write_ply
from flowface_jax.fitting.fit import versions
from flowface_jax.fitting.track import RECORD, Track, head_fingerprint
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import ALIGNMENT_FILE, CAMERAS_FILE, Existing, check_folder, prepare_folder
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_npz, write_bytes, write_json, write_npz
from flowface_jax.synthesis.film import make_film_renderer
from flowface_jax.synthesis.filming import FilmSettings, MakeRenderer, Moment, Photographs, Renderer, View
from flowface_jax.synthesis.rigs import CameraMotion
from flowface_jax.synthesis.sequences import Motion, make_motion
from flowface_jax.synthesis.truth import Segment
from flowface_jax.viewing.video_writer import write_video

FORMAT = "flowface-capture/1"
CAPTURE_FILE = "capture.json"
MOTION_FILE = "motion.npz"
VISIBILITY_FILE = "visibility.npz"
MAPS = ("depth", "normals", "segmentation", "visibility")
DEPTH_UNIT = 1e-4
"""Metres per count of a 16-bit depth map."""
VISIBLE_STD, HIDDEN_STD = 0.25, 2.0
"""Pixels that the written alignment states for its exact points, seen and hidden."""
FACE_SHARE = 0.45
"""Width of the face as a share of the image's."""
_SPOOL = ".frames"
_QUALITY = 16
_LARGEST = {"cameras": 64, "frames": 100_000, "size": 4096}


@dataclasses.dataclass(frozen=True)
class CaptureSettings:
    """What to film. cameras, frames: how many. size: px, side of the square images. seed: of everything random.
    frame_rate: 1/s. camera_motion: whether the rig stands or is carried. spread: how far from the mean the person may
    be, in the population's. accessories: whether hats and glasses may appear. photographs: how good the cameras are.
    maps: of `MAPS`. meshes: write every frame's mesh. png: images
    instead of videos. all_points: align every vertex, not only those of face and ears.
    """

    cameras: int = 5
    frames: int = 120
    size: int = 512
    seed: int = 7
    frame_rate: float = 30.0
    camera_motion: CameraMotion = "still"
    spread: float = 1.0
    accessories: bool = True
    photographs: Photographs = "clean"
    maps: tuple[str, ...] = ()
    meshes: bool = False
    png: bool = False
    all_points: bool = False

    def __post_init__(self) -> None:
        for name, largest in _LARGEST.items():
            value, smallest = getattr(self, name), 16 if name == "size" else 1
            if not smallest <= value <= largest:
                raise InputError(f"{name}: expected {smallest} to {largest}, found {value}")
        if not (np.isfinite(self.frame_rate) and 1.0 <= self.frame_rate <= 1000.0):
            raise InputError(f"frame rate: expected 1 to 1000 frames per second, found {self.frame_rate:g}")
        if not 0.0 <= self.spread <= 3.0:
            raise InputError(f"spread: expected 0 to 3 standard deviations, found {self.spread:g}")
        if self.seed < 0:
            raise InputError(f"seed: expected a number ≥ 0, found {self.seed}")
        if self.photographs not in get_args(Photographs):
            raise InputError(f"photographs: expected {' or '.join(get_args(Photographs))}, found '{self.photographs}'")
        unknown = [name for name in self.maps if name not in MAPS]
        if unknown:
            raise InputError(f"maps: expected some of {', '.join(MAPS)}; found '{unknown[0]}'")
        if self.size % 2 and not self.png:
            raise InputError(f"size: videos need an even number of pixels, found {self.size}; or write PNG images")


def capture(
    head: HeadModel,
    out: str | os.PathLike[str],
    settings: CaptureSettings | None = None,
    make_renderer: MakeRenderer = make_film_renderer,
    existing: Existing = "refuse",
    reporter: Reporter | None = None,
) -> Track:
    """Film a made-up performance and write it into `out`, with its truth; returns the truth as a track.

    Writes camera_00.mp4 … (or folders of PNG images), cameras.json, track.npz and track.json, alignment.npz,
    motion.npz, capture.json, and where asked for meshes/ and maps/. The same settings give the same bytes;
    `existing="resume"` takes up a capture that was killed. Images are held one frame at a time.
    Raises InputError where the folder is in use.
    """
    settings, reporter = settings or CaptureSettings(), reporter or SilentReporter()
    request = {"synth": dataclasses.asdict(settings), "head": head.name, "fingerprint": _rounded_fingerprint(head)}
    check_folder(out, existing, request)
    if existing == "resume" and (Path(out) / RECORD).is_file():
        # The record is written when all else is.
        _discard_spool(Path(out))
        return Track.load(out)
    motion = make_motion(
        head,
        settings.seed,
        settings.frames,
        settings.cameras,
        settings.size,
        FACE_SHARE * settings.size,
        settings.frame_rate,
        settings.camera_motion,
        settings.spread,
    )
    if existing == "overwrite":
        _clear(Path(out))
    folder = prepare_folder(out, existing, request)
    track = true_track(head, motion, settings)
    render = make_renderer(head, motion, FilmSettings(settings.seed, settings.accessories, settings.photographs))
    visible = _film(folder, head, motion, track, render, settings, reporter)
    _encode(folder, track.cameras.names, settings, reporter)
    alignment = true_alignment(head, track, visible, settings.all_points)
    track = dataclasses.replace(track, observed=alignment.valid)
    alignment.save(folder / ALIGNMENT_FILE)
    track.cameras.save(folder / CAMERAS_FILE)
    _write_motion(folder, motion)
    if "visibility" in settings.maps:
        write_npz(folder / VISIBILITY_FILE, {"visible": visible})
    write_json(folder / CAPTURE_FILE, _description(head, settings))
    track.save(folder)
    _discard_spool(folder)
    return track


def true_track(head: HeadModel, motion: Motion, settings: CaptureSettings) -> Track:
    """The motion as a track, as if a fit had found it exactly."""
    frames, cameras = motion.frame_count, motion.cameras.count
    record = {
        "ground_truth": True,
        "head": {
            "name": head.name,
            "fingerprint": head_fingerprint(head),
            "vertices": head.vertex_count,
            "licence": head.licence,
        },
        "alignment": {"source": "ground truth", "point_set": "vertices", "points": head.vertex_count},
        "settings": dataclasses.asdict(settings),
        "solver": {"name": "ground truth", "steps": 0, "converged": True, "energy": {}},
        "notes": ["ground truth of a synthetic capture; nothing was fitted"],
        "flags": [],
        "residual": {
            "median_px": 0.0,
            "p90_px": 0.0,
            "median_percent_of_face_width": 0.0,
            "p90_percent_of_face_width": 0.0,
            "outlier_share": 0.0,
        },
        "cameras_known": True,
        "timings": {},
        "versions": versions(),
    }
    result = Track(
        identity=np.asarray(motion.identity, np.float32),
        expression=np.asarray(motion.expression, np.float32),
        joint_rotations=np.asarray(motion.joint_rotations, np.float32),
        head_rotation=Rotation.from_matrix(motion.head_rotation).as_rotvec().astype(np.float32),
        head_translation=np.asarray(motion.head_translation, np.float32),
        offsets=np.zeros((head.vertex_count, 3), np.float32),
        cameras=motion.cameras,
        observed=np.ones((cameras, frames), bool),
        residual_px=np.zeros((cameras, frames), np.float32),
        residual_p90_px=np.zeros((cameras, frames), np.float32),
        face_width_px=np.zeros((cameras, frames), np.float32),
        frame_times=np.arange(frames) / motion.frame_rate,
        frame_ids=np.arange(frames),
        energy_history=np.zeros(0, np.float32),
        record=json.dumps(record, sort_keys=True),
    )
    return dataclasses.replace(result, face_width_px=_face_widths(head, result))


def true_alignment(head: HeadModel, track: Track, visible: np.ndarray, all_points: bool = False) -> Alignment:
    """Exact image positions of the track's vertices; their stated σ tells which are seen (visible: [C,F,V] bool).

    Points: face and ears, or every vertex. Those behind a camera are not observed; a camera that sees none of the
    points saw no face.
    """
    chosen = np.arange(head.vertex_count) if all_points else _focus(head)
    seen = visible[..., chosen]
    mean = np.empty((*seen.shape, 2), np.float32)
    std = np.where(seen, VISIBLE_STD, HIDDEN_STD).astype(np.float32)
    for frame, world in enumerate(track.each_world_vertices(head)):
        mean[:, frame] = np.asarray(track.cameras.project(world[chosen]))
        behind = np.asarray(track.cameras.to_camera(world[chosen]))[..., 2] <= 0
        std[:, frame][behind] = np.inf
    return make_alignment(
        mean,
        std,
        seen.any(-1),
        np.asarray(track.cameras.image_size),
        "vertices" if all_points else "surface",
        vertex_ids=None if all_points else np.repeat(chosen[:, None], 3, axis=1),
        barycentric=None if all_points else np.tile([[1.0, 0.0, 0.0]], (len(chosen), 1)),
        frame_times=track.frame_times,
        frame_ids=track.frame_ids,
        camera_names=track.cameras.names,
        source="ground truth of a synthetic capture",
    )


def moments(head: HeadModel, motion: Motion, track: Track) -> Iterator[Moment]:
    """The frames in turn, with exactly the vertices that the track decodes to."""
    rotations = Rotation.from_rotvec(track.head_rotation).as_matrix()
    for frame in range(track.frame_count):
        yield Moment(
            frame=frame,
            vertices=np.asarray(track.local_vertices(head, frame)),
            expression=track.expression[frame],
            joint_rotations=track.joint_rotations[frame],
            head_rotation=rotations[frame],
            head_translation=track.head_translation[frame],
            torso_rotation=motion.torso_rotation[frame],
            torso_translation=motion.torso_translation[frame],
            room_rotation=motion.room_rotation[frame],
            room_translation=motion.room_translation[frame],
        )


def _film(
    folder: Path,
    head: HeadModel,
    motion: Motion,
    track: Track,
    render: Renderer,
    settings: CaptureSettings,
    reporter: Reporter,
) -> np.ndarray:
    """Render and store every frame that is not stored yet; which vertices each image shows, [C,F,V] bool."""
    visible = np.zeros((motion.cameras.count, motion.frame_count, head.vertex_count), bool)
    bar = reporter.bar("render", motion.frame_count, "frames")
    try:
        for moment in moments(head, motion, track):
            marker = folder / _SPOOL / f"{moment.frame:05d}.npz"
            if marker.is_file():
                visible[:, moment.frame] = read_npz(marker, "a rendered frame", required=("visible",))["visible"]
            else:
                views = render(moment, motion.cameras)
                for name, view in zip(motion.cameras.names, views, strict=True):
                    _write_view(folder, name, moment.frame, view, settings)
                if settings.meshes:
                    write_ply(folder / "meshes" / f"{moment.frame:05d}.ply", moment.world(), np.asarray(head.triangles))
                visible[:, moment.frame] = np.stack([view.visible for view in views])
                # Written last: its presence says that the frame is complete.
                write_npz(marker, {"visible": visible[:, moment.frame]})
            bar.advance_to(moment.frame + 1)
    finally:
        bar.close()
    return visible


def _write_view(folder: Path, camera: str, frame: int, view: View, settings: CaptureSettings) -> None:
    """The image and the maps that were asked for, as PNG."""
    images = folder if settings.png else folder / _SPOOL
    _write_png(images / camera / f"{frame:05d}.png", view.image[..., ::-1])
    pictures = {
        "depth": lambda: np.where(np.isfinite(view.depth), view.depth / DEPTH_UNIT, 0).clip(0, 65535).round(),
        "normals": lambda: np.round((view.normals[..., ::-1] * 0.5 + 0.5).clip(0, 1) * 65535),
    }
    for name in settings.maps:
        target = folder / "maps" / name / camera / f"{frame:05d}.png"
        if name in pictures:
            _write_png(target, pictures[name]().astype(np.uint16))
        elif name == "segmentation":
            _write_png(target, view.segmentation.astype(np.uint8))


def _write_png(path: Path, picture: np.ndarray) -> None:
    write_bytes(path, cv2.imencode(".png", np.ascontiguousarray(picture))[1].tobytes())


def _encode(folder: Path, cameras: tuple[str, ...], settings: CaptureSettings, reporter: Reporter) -> None:
    """The stored images of each camera as a video, unless images were asked for."""
    if settings.png:
        return
    bar = reporter.bar("encode", len(cameras), "videos")
    try:
        for done, camera in enumerate(cameras, 1):
            paths = [folder / _SPOOL / camera / f"{frame:05d}.png" for frame in range(settings.frames)]
            images = (cv2.imread(str(path))[..., ::-1] for path in paths)
            write_video(folder / f"{camera}.mp4", images, settings.frame_rate, _QUALITY)
            bar.advance_to(done)
    finally:
        bar.close()


def _write_motion(folder: Path, motion: Motion) -> None:
    """How torso and room move in the world, which a track does not say."""
    names = ("torso_rotation", "torso_translation", "room_rotation", "room_translation")
    arrays = {name + ("_m" if name.endswith("translation") else ""): getattr(motion, name) for name in names}
    write_npz(folder / MOTION_FILE, {"format": np.asarray(FORMAT), **arrays})


def _description(head: HeadModel, settings: CaptureSettings) -> dict[str, object]:
    """What is in the folder and how to read it."""
    return {
        "format": FORMAT,
        "conventions": CONVENTIONS,
        "settings": dataclasses.asdict(settings),
        "head": {"name": head.name, "licence": head.licence},
        "world": "the rig's frame; where the rig is carried, head, torso and room move in it (motion.npz)",
        "maps": {
            "depth": f"16-bit PNG, counts of {DEPTH_UNIT:g} m along the camera's axis, 0 where nothing is",
            "normals": "16-bit PNG, (n + 1) / 2 of the unit normal in camera axes as RGB, grey where nothing is",
            "segmentation": {segment.name.lower(): int(segment) for segment in Segment},
            "visibility": f"{VISIBILITY_FILE}: visible [camera, frame, vertex]",
        },
        "alignment_std_px": {"visible": VISIBLE_STD, "hidden": HIDDEN_STD},
    }


def _face_widths(head: HeadModel, track: Track) -> np.ndarray:
    """Width [C,F] px of the box around the projected face and ears."""
    chosen = _focus(head)
    widths = [
        np.ptp(np.asarray(track.cameras.project(world[chosen]))[..., 0], axis=1)
        for world in track.each_world_vertices(head)
    ]
    return np.stack(widths, axis=1)


def _focus(head: HeadModel) -> np.ndarray:
    """Ids of the vertices that count: those of greatest weight."""
    weights = np.asarray(head.vertex_weights)
    return np.flatnonzero(weights > 0.5 * weights.max())


def _rounded_fingerprint(head: HeadModel) -> list[float]:
    return [round(value, 5) for value in head_fingerprint(head)]


def _discard_spool(folder: Path) -> None:
    spool = folder / _SPOOL
    for path in (*spool.glob("*/*.png"), *spool.glob("*.npz")):
        path.unlink()
    _remove_empty(spool)


def _clear(folder: Path) -> None:
    """Remove what an earlier capture left in the folder, and nothing else."""
    patterns = ("camera_*.mp4", "camera_*/*.png", "maps/*/*/*.png", "meshes/*.ply", VISIBILITY_FILE)
    for pattern in (*patterns, MOTION_FILE, CAPTURE_FILE):
        for path in folder.glob(pattern):
            path.unlink()
    for child in (*folder.glob("camera_*"), folder / "maps", folder / "meshes"):
        _remove_empty(child)
    _discard_spool(folder)


def _remove_empty(folder: Path) -> None:
    """Remove the folder and those in it that hold no file."""
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        _remove_empty(child)
    if not any(folder.iterdir()):
        folder.rmdir()
