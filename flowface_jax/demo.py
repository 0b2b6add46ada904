"""The demonstration: a made-up performance with known truth, tracked as a rig and from one camera alone."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.evaluation.geometry import fit_similarity, surface_errors_mm
from flowface_jax.fitting.fit import fit
from flowface_jax.fitting.track import Track
from flowface_jax.heads.generic import generic_head
from flowface_jax.heads.model import HeadModel, vertices
from flowface_jax.pipeline import ALIGNMENT_FILE, CAMERAS_FILE, Existing, prepare_folder
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import write_bytes, write_json
from flowface_jax.synthesis.sequences import FRAMES_PER_SECOND, Performance, make_performance, observe
from flowface_jax.viewing.colours import alarm_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.shading import shade
from flowface_jax.viewing.tiling import contact_sheet, tile_views
from flowface_jax.viewing.video_writer import write_video

ERROR_LIMIT_MM = 3.0
SHOWN_FRAMES = 4
VIDEO_EVERY = 3
PICTURE_PX = 384


@dataclasses.dataclass(frozen=True)
class DemoSettings:
    """frames, cameras: size of the performance. noise_px, outlier_share, dropout_share: what spoils the observations.
    points: how many vertices of face and ears are observed. seed: of everything random.
    """

    frames: int = 90
    cameras: int = 4
    noise_px: float = 1.0
    outlier_share: float = 0.03
    dropout_share: float = 0.04
    points: int = 1200
    seed: int = 7


def run_demo(
    out: str | os.PathLike[str],
    settings: DemoSettings | None = None,
    existing: Existing = "refuse",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Make the performance, track it twice, compare with the truth, write pictures and results.json; returns results.

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
    results: dict[str, Any] = {"settings": dataclasses.asdict(settings)}
    tracks = {}
    for name, observations in (("rig", alignment), ("single", first_camera(alignment))):
        tracks[name], seconds = _timed_fit(observations, head, name, reporter)
        observations.save(folder / name / ALIGNMENT_FILE)
        tracks[name].save(folder / name)
        tracks[name].cameras.save(folder / name / CAMERAS_FILE)
        results[name] = {**compare(tracks[name], performance, head), "seconds": seconds}
    write_json(folder / "results.json", results)
    _draw(folder, tracks, performance, alignment, head, reporter)
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
    for name, title in (("rig", "uncalibrated rig"), ("single", "first camera alone")):
        r = results[name]
        lines.append(
            f"{title:<28}{r['vertex_median_mm']:>9.2f} mm{r['vertex_p90_mm']:>9.2f} mm"
            f"{r['neutral_surface_median_mm']:>9.2f} mm{r['focal_error_percent']:>8.1f} %{r['seconds']:>10.1f}"
        )
    return "\n".join(lines) + "\n"


def _observed_vertices(head: HeadModel, count: int) -> np.ndarray:
    wanted = np.flatnonzero(np.asarray(head.vertex_weights) > 0.5)
    return wanted[np.linspace(0, len(wanted) - 1, min(count, len(wanted))).round().astype(int)]


def _timed_fit(alignment: Alignment, head: HeadModel, name: str, reporter: Reporter) -> tuple[Track, float]:
    started = time.perf_counter()
    bar = reporter.bar(f"fit {name}", None, "steps")
    try:
        track = fit(alignment, head, progress=lambda step, energy, _: bar.advance_to(step, f"energy {energy:.4g}"))
    finally:
        bar.close()
    return track, time.perf_counter() - started


def _draw(
    folder: Path,
    tracks: dict[str, Track],
    performance: Performance,
    alignment: Alignment,
    head: HeadModel,
    reporter: Reporter,
) -> None:
    """demo.png (truth, both fits, their errors) and overlay.mp4 (what was observed and what was fitted, per camera)."""
    predicted = {name: world_vertices(track, head) for name, track in tracks.items()}
    face = np.asarray(head.regions["face"])
    aligned = {
        name: fit_similarity(world[:, face], performance.world[:, face]).apply(world)
        for name, world in predicted.items()
    }
    rows = []
    for f in np.linspace(0, len(performance.world) - 1, SHOWN_FRAMES + 2).round().astype(int)[1:-1]:
        true = performance.world[f]
        rows.append(_labelled(_picture(performance, head, true, None), f"truth, frame {f}"))
        for name in tracks:
            error = 1e3 * np.linalg.norm(aligned[name][f] - true, axis=1)
            title = f"{name}: {np.median(error[face]):.2f} mm"
            rows.append(_labelled(_picture(performance, head, aligned[name][f], error), title))
    sheet = contact_sheet(rows, columns=2 * (1 + len(tracks)), cell_width=PICTURE_PX // 2 + 64)
    encoded = cv2.imencode(".png", sheet[..., ::-1])[1]
    write_bytes(folder / "demo.png", encoded.tobytes())
    frames = range(0, len(performance.world), VIDEO_EVERY)
    bar = reporter.bar("overlay", len(frames), "frames")
    pictures = (_observed_picture(performance, alignment, head, predicted["rig"], tracks["rig"], f) for f in frames)
    try:
        write_video(folder / "overlay.mp4", _counted(pictures, bar), FRAMES_PER_SECOND / VIDEO_EVERY)
    finally:
        bar.close()


def _counted(pictures: Any, bar: Any) -> Any:
    for done, picture in enumerate(pictures, start=1):
        yield picture
        bar.advance_to(done)


def _picture(performance: Performance, head: HeadModel, world: np.ndarray, error_mm: np.ndarray | None) -> np.ndarray:
    """The head from the first camera, in plaster or coloured by error."""
    cameras = performance.cameras
    scale = PICTURE_PX / int(cameras.image_size[0, 0])
    colours = None if error_mm is None else alarm_colours(error_mm, ERROR_LIMIT_MM) / 255.0
    return shade(
        np.asarray(cameras.to_camera(jnp.asarray(world)))[0],
        np.asarray(head.triangles),
        float(cameras.focal[0]) * scale,
        np.asarray(cameras.principal_point[0]) * scale,
        (PICTURE_PX, PICTURE_PX),
        colours,
    )


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    return draw_overlay(picture, caption=text)


def _observed_picture(
    performance: Performance, alignment: Alignment, head: HeadModel, world: np.ndarray, track: Track, frame: int
) -> np.ndarray:
    """One frame of the overlay video: the true head in plaster, and on it the observed points by residual."""
    views = []
    points = np.asarray(alignment.vertex_ids)[:, 0]
    projected = np.asarray(track.cameras.project(jnp.asarray(world[frame][points])))
    for c in range(alignment.camera_count):
        size = int(alignment.image_size[c, 0])
        cameras = performance.cameras
        truth = shade(
            np.asarray(cameras.to_camera(jnp.asarray(performance.world[frame])))[c],
            np.asarray(head.triangles),
            float(cameras.focal[c]),
            np.asarray(cameras.principal_point[c]),
            (size, size),
            background=(40, 44, 52),
            supersampling=1,
        )
        seen = bool(alignment.valid[c, frame])
        views.append(
            draw_overlay(
                truth,
                observed_px=alignment.mean[c, frame] if seen else None,
                points_px=projected[c] if seen else None,
                std_px=alignment.std[c, frame] if seen else None,
                caption=f"{alignment.camera_names[c]}, frame {frame}",
                warning="" if seen else "image dropped",
            )
        )
    return tile_views(views, maximum_width=1280, rows=1 if len(views) < 4 else 2)
