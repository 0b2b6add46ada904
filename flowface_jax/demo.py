"""The demonstration: a made-up performance with known truth, tracked as a rig, from one camera alone, and from nothing
but that camera's pictures by the bundled network."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np

from flowface_jax.aligners.frames import Frame, SourceInfo
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.prediction import load_predictor
from flowface_jax.alignment.alignment import Alignment
from flowface_jax.cameras.model import Cameras
from flowface_jax.evaluation.geometry import fit_similarity, surface_errors_mm
from flowface_jax.fitting.config import FitConfig
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.job_folders import ALIGNMENT_FILE, CAMERAS_FILE, OVERLAY_FILE, Existing, prepare_folder
from flowface_jax.network.bundled import FOR_PROCESSORS, bundled_file
from flowface_jax.pipeline import TRACK_CONFIG
from flowface_jax.reporting import Bar, Reporter, SilentReporter
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.film import make_film_renderer
from flowface_jax.synthesis.filming import FilmSettings, Moment
from flowface_jax.synthesis.sequences import Performance, make_performance, observe
from flowface_jax.viewing.colours import alarm_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import contact_sheet, tile_views
from flowface_jax.viewing.video_writer import write_video
from flowface_jax.viewing.visibility import visible_triangles

TITLES = {"rig": "uncalibrated rig", "single": "first camera alone", "network": "its pictures, by network"}
ERROR_LIMITS_MM = {"rig": 3.0, "single": 3.0, "network": 15.0}
"""From where on errors are red; pictures of one camera tell distances least."""
SHOWN_FRAMES = 4
PICTURE_PX = 384
OVERLAY_PX = 640
"""Sides of a cell of demo.png and of a view of overlay.mp4."""


@dataclasses.dataclass(frozen=True)
class DemoSettings:
    """frames, cameras: size of the performance. noise_px, outlier_share, dropout_share: what spoils the observations.
    points: how many vertices of face and ears are observed. seed: of everything random. picture_px, picture_every: side
    of the rendered pictures, and of how many frames one is rendered.
    """

    frames: int = 90
    cameras: int = 4
    noise_px: float = 1.0
    outlier_share: float = 0.03
    dropout_share: float = 0.04
    points: int = 1200
    seed: int = 7
    picture_px: int = 320
    picture_every: int = 3


def run_demo(
    out: str | os.PathLike[str],
    settings: DemoSettings | None = None,
    existing: Existing = "refuse",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Make the performance, track it three times, compare with the truth, write pictures and results.json; returns
    results.

    Raises InputError where the output folder is in use.
    """
    settings, reporter = settings or DemoSettings(), reporter or SilentReporter()
    folder = prepare_folder(out, existing, {"demo": dataclasses.asdict(settings)})
    head = generic_head()
    performance = make_performance(head, settings.seed, settings.frames, settings.cameras)
    alignment = observe(
        performance,
        head,
        settings.seed + 1,
        settings.noise_px,
        settings.outlier_share,
        settings.dropout_share,
        _observed_vertices(head, settings.points),
    )
    frames = range(0, performance.frame_count, settings.picture_every)
    pictures = film(performance, head, settings.seed, frames, settings.picture_px, reporter)
    observed = {
        "rig": alignment,
        "single": first_camera(alignment),
        "network": _align_pictures(pictures, performance, head, settings, reporter),
    }
    results: dict[str, Any] = {"settings": dataclasses.asdict(settings)}
    tracks = {}
    for name, observations in observed.items():
        config = TRACK_CONFIG if name == "network" else None
        tracks[name], seconds = _timed_fit(observations, head, name, reporter, config)
        observations.save(folder / name / ALIGNMENT_FILE)
        tracks[name].save(folder / name)
        tracks[name].cameras.save(folder / name / CAMERAS_FILE)
        seen = performance if name != "network" else _filmed(performance, frames, settings.picture_px)
        results[name] = {**compare(tracks[name], seen, head), "seconds": seconds}
    write_json(folder / "results.json", results)
    _draw(folder, tracks, pictures, performance, alignment, head, reporter)
    return results


def first_camera(alignment: Alignment) -> Alignment:
    """The alignment as its first camera alone saw it."""
    return dataclasses.replace(
        alignment,
        mean=alignment.mean[:1],
        std=alignment.std[:1],
        valid=alignment.valid[:1],
        image_size=alignment.image_size[:1],
        camera_names=alignment.camera_names[:1],
    )


@dataclasses.dataclass(frozen=True)
class _Pictures:
    """The first camera's pictures as a video."""

    pictures: Sequence[np.ndarray]
    frame_rate: float

    @property
    def info(self) -> SourceInfo:
        height, width = self.pictures[0].shape[:2]
        return SourceInfo("film", (width, height), len(self.pictures), self.frame_rate, True)

    def __iter__(self) -> Iterator[Frame]:
        for number, picture in enumerate(self.pictures):
            yield Frame(number, number / self.frame_rate, picture)


def _align_pictures(
    pictures: dict[int, list[np.ndarray]],
    performance: Performance,
    head: HeadModel,
    settings: DemoSettings,
    reporter: Reporter,
) -> Alignment:
    """What the bundled network says of the first camera's pictures. Where the face is at first comes from the truth:
    the detectors need packages that the demonstration does without.
    """
    filmed = _filmed(performance, range(0, performance.frame_count, settings.picture_every), settings.picture_px)
    face = np.asarray(filmed.cameras.project(jnp.asarray(filmed.world[0])))[0][np.asarray(head.regions["face"])]
    box = np.concatenate([face.min(0), face.max(0)])[None]
    source = _Pictures([views[0] for views in pictures.values()], filmed.frame_rate)
    name = FOR_PROCESSORS[0]
    bar = reporter.bar("align", len(pictures), "frames")
    try:
        predictor = load_predictor(bundled_file(name), head, name=name)
        return align_network(
            [source], predictor, head, lambda _: (box, np.ones(1)), progress=lambda n, _: bar.advance_to(n)
        )
    finally:
        bar.close()


def _filmed(performance: Performance, frames: Sequence[int], side: int) -> Performance:
    """The frames of a performance that were filmed, with the cameras of pictures of `side` px."""
    cameras = _scaled(performance.cameras, side)
    rate = performance.frame_rate / (frames[1] - frames[0] if len(frames) > 1 else 1)
    return dataclasses.replace(performance, world=performance.world[list(frames)], cameras=cameras, frame_rate=rate)


def _scaled(cameras: Cameras, side: int) -> Cameras:
    scale = side / np.asarray(cameras.image_size)[:, 0]
    return dataclasses.replace(
        cameras,
        focal=cameras.focal * scale,
        principal_point=cameras.principal_point * scale[:, None],
        image_size=jnp.full_like(cameras.image_size, side),
    )


def compare(track: Track, performance: Performance, head: HeadModel) -> dict[str, float]:
    """Errors in mm on the face: of all moving vertices after one similarity for the sequence, and of the neutral head's
    surface after its own (as NoW measures it); and how far each focal length is off, in per cent.
    """
    face = np.asarray(head.regions["face"])
    predicted = world_vertices(track, head)[:, face]
    true = performance.world[:, face]
    errors = 1e3 * np.linalg.norm(fit_similarity(predicted, true).apply(predicted) - true, axis=-1)
    neutral = np.asarray(
        vertices(head, jnp.asarray(performance.identity, jnp.float32), jnp.zeros(head.expression_size))
    )
    surface = surface_errors_mm(np.asarray(track.neutral_vertices(head)), neutral, np.asarray(head.triangles), face)
    ratio = np.asarray(track.cameras.focal) / np.asarray(performance.cameras.focal)[: track.cameras.count]
    return {
        "vertex_median_mm": float(np.median(errors)),
        "vertex_p90_mm": float(np.percentile(errors, 90)),
        "neutral_surface_median_mm": float(np.median(surface)),
        "focal_error_percent": float(100 * np.abs(ratio - 1).max()),
        "flagged_frames": len(track.summary["flags"]),
    }


def world_vertices(track: Track, head: HeadModel) -> np.ndarray:
    """Vertices of every frame in the world: [F,V,3] m."""
    return np.stack([np.asarray(world) for world in track.each_world_vertices(head)])


def results_text(results: dict[str, Any]) -> str:
    """The table that the command prints."""
    s = results["settings"]
    lines = [
        f"{s['frames']} frames, {s['cameras']} cameras, {s['points']} points with {s['noise_px']:g} px noise, "
        f"{100 * s['outlier_share']:.0f} % outliers, {100 * s['dropout_share']:.0f} % of the images dropped",
        f"{'':<28}{'vertices':>12}{'90th pct':>12}{'neutral':>12}{'focal':>10}{'seconds':>10}",
    ]
    for name, title in TITLES.items():
        r = results[name]
        lines.append(
            f"{title:<28}{r['vertex_median_mm']:>9.2f} mm{r['vertex_p90_mm']:>9.2f} mm"
            f"{r['neutral_surface_median_mm']:>9.2f} mm{r['focal_error_percent']:>8.1f} %{r['seconds']:>10.1f}"
        )
    return "\n".join(lines) + "\n"


def _observed_vertices(head: HeadModel, count: int) -> np.ndarray:
    wanted = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    return wanted[np.linspace(0, len(wanted) - 1, min(count, len(wanted))).round().astype(int)]


def _timed_fit(
    alignment: Alignment, head: HeadModel, name: str, reporter: Reporter, config: FitConfig | None
) -> tuple[Track, float]:
    started = time.perf_counter()
    bar = reporter.bar(f"fit {name}", None, "steps")
    try:
        advance = lambda step, energy, _: bar.advance_to(step, f"energy {energy:.4g}")
        track = fit(alignment, head, config=config, progress=advance)
    finally:
        bar.close()
    return track, time.perf_counter() - started


def _draw(
    folder: Path,
    tracks: dict[str, Track],
    pictures: dict[int, list[np.ndarray]],
    performance: Performance,
    alignment: Alignment,
    head: HeadModel,
    reporter: Reporter,
) -> None:
    """demo.png (pictures, the fits, their errors) and overlay.mp4 (what was observed and what was fitted)."""
    frames = list(pictures)
    predicted = {name: _by_frame(track, head, frames) for name, track in tracks.items()}
    shown = np.linspace(0, len(frames) - 1, SHOWN_FRAMES + 2).round().astype(int)[1:-1]
    sheet = _sheet([frames[k] for k in shown], pictures, predicted, performance, head)
    encoded = cv2.imencode(".png", sheet[..., ::-1])[1]
    write_bytes(folder / "demo.png", encoded.tobytes())
    bar = reporter.bar("overlay", len(frames), "frames")
    drawn = (_overlay(pictures[f], alignment, head, predicted["rig"][f], tracks["rig"], f) for f in frames)
    try:
        rate = performance.frame_rate / (frames[1] - frames[0] if len(frames) > 1 else 1)
        write_video(folder / OVERLAY_FILE, _counted(drawn, bar), rate)
    finally:
        bar.close()


def _by_frame(track: Track, head: HeadModel, frames: Sequence[int]) -> dict[int, np.ndarray]:
    """Vertices [V,3] m of the filmed frames, of a track of all frames or of these alone."""
    world = world_vertices(track, head)
    return dict(zip(frames, world if len(world) == len(frames) else world[frames], strict=True))


def film(
    performance: Performance, head: HeadModel, seed: int, frames: Sequence[int], side: int, reporter: Reporter
) -> dict[int, list[np.ndarray]]:
    """Pictures [side,side,3] RGB uint8 of the frames of a performance, one per camera."""
    cameras = _scaled(performance.cameras, side)
    bar = reporter.bar("render", len(frames), "frames")
    pictures = {}
    try:
        render = make_film_renderer(head, dataclasses.replace(performance, cameras=cameras), FilmSettings(seed))
        for done, frame in enumerate(frames, 1):
            pictures[frame] = [view.image for view in render(_moment(performance, frame), cameras)]
            bar.advance_to(done)
    finally:
        bar.close()
    return pictures


def _moment(performance: Performance, frame: int) -> Moment:
    rotation, translation = performance.head_rotation[frame], performance.head_translation[frame]
    return Moment(
        frame=frame,
        vertices=(performance.world[frame] - translation) @ rotation,
        expression=performance.expression[frame],
        joint_rotations=performance.joint_rotations[frame],
        head_rotation=rotation,
        head_translation=translation,
        torso_rotation=performance.torso_rotation[frame],
        torso_translation=performance.torso_translation[frame],
        room_rotation=performance.room_rotation[frame],
        room_translation=performance.room_translation[frame],
    )


def _counted(pictures: Iterator[np.ndarray], bar: Bar) -> Iterator[np.ndarray]:
    for done, picture in enumerate(pictures, start=1):
        yield picture
        bar.advance_to(done)


def _sheet(
    frames: Sequence[int],
    pictures: dict[int, list[np.ndarray]],
    predicted: dict[str, dict[int, np.ndarray]],
    performance: Performance,
    head: HeadModel,
) -> np.ndarray:
    """The first camera's picture of each frame, and the fits coloured by their distance to the truth."""
    face = np.asarray(head.regions["face"])
    aligned = {}
    for name, worlds in predicted.items():
        moved = np.stack(list(worlds.values()))
        similarity = fit_similarity(moved[:, face], performance.world[list(worlds)][:, face])
        aligned[name] = {f: similarity.apply(world) for f, world in worlds.items()}
    cells = []
    for f in frames:
        picture = cv2.resize(pictures[f][0], (PICTURE_PX, PICTURE_PX), interpolation=cv2.INTER_CUBIC)
        cells.append(draw_overlay(picture, caption=f"frame {f}"))
        for name, world in aligned.items():
            error = 1e3 * np.linalg.norm(world[f] - performance.world[f], axis=1)
            limit = ERROR_LIMITS_MM[name]
            caption = f"{name}: {np.median(error[face]):.2f} mm, red from {limit:.0f}"
            cells.append(draw_overlay(_fitted(performance, head, world[f], error, limit), caption=caption))
    return contact_sheet(cells, columns=2 * (1 + len(aligned)), cell_width=PICTURE_PX // 2 + 64)


def _fitted(
    performance: Performance, head: HeadModel, world: np.ndarray, error_mm: np.ndarray, limit_mm: float
) -> np.ndarray:
    """The head from the first camera, coloured by error."""
    cameras = performance.cameras
    scale = PICTURE_PX / int(cameras.image_size[0, 0])
    return shade(
        np.asarray(cameras.to_camera(jnp.asarray(world)))[0],
        np.asarray(head.triangles),
        float(cameras.focal[0]) * scale,
        np.asarray(cameras.principal_point[0]) * scale,
        (PICTURE_PX, PICTURE_PX),
        alarm_colours(error_mm, limit_mm) / 255.0,
    )


def _overlay(
    pictures: list[np.ndarray], alignment: Alignment, head: HeadModel, world: np.ndarray, track: Track, frame: int
) -> np.ndarray:
    """One frame of the overlay video: on every camera's picture the fitted mesh and the observed points by residual."""
    views = []
    points = np.asarray(alignment.vertex_ids)[:, 0]
    face, triangles = np.asarray(head.regions["face"]), np.asarray(head.triangles)
    triangles = triangles[face[triangles].all(1)]
    projected = np.asarray(track.cameras.project(jnp.asarray(world)))
    depth = np.asarray(track.cameras.to_camera(jnp.asarray(world)))[..., 2]
    for c, picture in enumerate(pictures):
        scale = OVERLAY_PX / int(alignment.image_size[c, 0])
        seen = bool(alignment.valid[c, frame])
        views.append(
            draw_overlay(
                cv2.resize(picture, (OVERLAY_PX, OVERLAY_PX), interpolation=cv2.INTER_CUBIC),
                mesh_px=projected[c] * scale,
                triangles=triangles,
                visible=visible_triangles(projected[c], depth[c], triangles),
                observed_px=alignment.mean[c, frame] * scale if seen else None,
                points_px=projected[c][points] * scale if seen else None,
                std_px=alignment.std[c, frame] * scale if seen else None,
                caption=f"{alignment.camera_names[c]}, frame {frame}",
                warning="" if seen else "image dropped",
                mesh_opacity=0.25,
            )
        )
    return tile_views(views, maximum_width=1280, rows=1 if len(views) < 4 else 2)
