"""How good a trained alignment network is: on real clips beside MediaPipe, and on rendered crops beside the truth.

    python experiments/bundled/evaluate.py real --weights runs/nano/network.safetensors --clips CLIPS \
        --names d10 d14 d19 --tracks TRACKS --out output/real
    python experiments/bundled/evaluate.py synthetic --weights runs/nano/network.safetensors \
        --samples runs/captures/validation --out output/synthetic

TRACKS holds a folder per clip, as `flowface track CLIP --out TRACKS/NAME` writes it: MediaPipe's alignment and the
track fitted to it. With --calibrate, on clips of training, the factor on σ is printed too. Everything is written to
--out: table.json, table.md and pictures.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from flowface_jax.aligners import FrameSource, open_frames
from flowface_jax.aligners.mediapipe import mediapipe_detector
from flowface_jax.aligners.network import align_network
from flowface_jax.aligners.prediction import Predictor, load_predictor
from flowface_jax.alignment.alignment import Alignment, make_alignment
from flowface_jax.compilation import keep_compilations
from flowface_jax.errors import InputError
from flowface_jax.evaluation.alignment_accuracy import on_surface, relative_errors
from flowface_jax.evaluation.alignment_pictures import WHITE, draw_captions, draw_contours, draw_points, window_on
from flowface_jax.evaluation.jitter import jitter_px
from flowface_jax.evaluation.labelled_crops import (
    Answer,
    CropErrors,
    answers,
    best_middle_worst,
    crop_errors,
    crops_report,
)
from flowface_jax.evaluation.real_clips import (
    MESH_POINTS,
    ClipComparison,
    align_in_boxes,
    clip_openings,
    clips_report,
    compare,
    frame_errors,
)
from flowface_jax.fitting.track import ARRAYS, Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.heads.source import load_head
from flowface_jax.job_folders import ALIGNMENT_FILE
from flowface_jax.pipeline import TRACK_CONFIG, fit_alignment
from flowface_jax.reporting import Reporter, SilentReporter, TerminalReporter
from flowface_jax.storage import read_json, write_bytes, write_json
from flowface_jax.training.archive import open_archive
from flowface_jax.viewing.colours import MESH, OBSERVED, WARNING, alarm_colours
from flowface_jax.viewing.overlay import draw_overlay
from flowface_jax.viewing.tiling import contact_sheet, tile_views
from flowface_jax.viewing.visibility import visible_triangles

SHOWN_FRAMES, SHOWN_SAMPLES = 12, 12
CELL = 400
"""Px; side of a face on the sheets."""
ERROR_LIMIT = 6.0
"""Per cent of the box: the error that is drawn red."""
Align = Callable[[FrameSource, Alignment], Alignment]
"""A clip's frames and MediaPipe's alignment of them to the network's alignment."""


def main() -> None:
    """Evaluate on clips or on samples."""
    options = _options()
    keep_compilations()
    head = load_head(options.head)
    predictor = load_predictor(options.weights, head)
    if options.kind == "synthetic":
        text = evaluate_samples(predictor, head, options.samples, options.count, options.out)
    else:
        names = options.names or sorted(path.stem for path in options.clips.glob("*.mp4"))
        align = network_aligner(predictor, head, options.crops)
        fits = "none" if options.no_fits else "both" if options.refit else "network"
        text = evaluate_clips(align, head, options.clips, names, options.tracks, options.out, fits, TerminalReporter())
        if options.calibrate:
            text += _calibration_text(read_json(options.out / "table.json", "the table of this run")["std_factor"])
    print(text)


def network_aligner(predictor: Predictor, head: HeadModel, boxes: str) -> Align:
    """How clips are aligned: with boxes of the "network" as `flowface track` has them, or of "mediapipe"."""
    if boxes == "mediapipe":
        return lambda source, reference: align_in_boxes(source, predictor, head, reference)
    detector = mediapipe_detector()
    return lambda source, reference: align_network([source], predictor, head, detector)


# --- real clips -------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Fitted:
    """One clip's tracks by what they were fitted to, "network" and "mediapipe", and the seconds that took."""

    tracks: dict[str, Track]
    seconds: dict[str, float]


def evaluate_clips(
    align: Align,
    head: HeadModel,
    clips: Path,
    names: Sequence[str],
    tracks: Path,
    out: Path,
    fits: str = "network",
    reporter: Reporter | None = None,
) -> str:
    """Compare clips with MediaPipe's alignment in `tracks`, write tables and pictures into `out`, return the table.

    fits: "network" fits the network's alignment and takes MediaPipe's track from `tracks`, "both" fits both, "none"
    skips tracks.
    """
    compared, rows = [], {}
    for name in names:
        source = open_frames(clips / f"{name}.mp4")
        reference = Alignment.load(tracks / name / ALIGNMENT_FILE)
        started = time.perf_counter()
        alignment = _aligned(align, source, reference, head)
        seconds = time.perf_counter() - started
        (out / name).mkdir(parents=True, exist_ok=True)
        alignment.save(out / name / ALIGNMENT_FILE)
        clip = compare(name, alignment, reference, head)
        compared.append(clip)
        rows[name] = {"align_s": seconds, "align_ms_per_frame": 1e3 * seconds / alignment.frame_count}
        pictures = _pictures(source, chosen_frames(clip))
        _write_image(out / f"{name}_points.png", points_sheet(clip, pictures, head))
        plot_openings(clip, out / f"{name}_openings.png")
        if fits != "none" and alignment.valid.any():
            fitted = _fit(alignment, reference, tracks / name, out / name, head, fits == "both", reporter)
            rows[name]["tracks"] = {
                kind: _track_row(track, clip, head, fitted.seconds[kind]) for kind, track in fitted.tracks.items()
            }
            _write_image(out / f"{name}_tracks.png", tracks_sheet(clip, fitted, pictures, head))
        report = clips_report(compared)
        for done in compared:
            report["clips"][done.name] |= rows[done.name]
        write_json(out / "table.json", report)
        text = clips_table(report)
        write_bytes(out / "table.md", text.encode())
    return text


def _aligned(align: Align, source: FrameSource, reference: Alignment, head: HeadModel) -> Alignment:
    """The network's alignment; one without a valid frame where it refuses the clip, so that others get their turn."""
    try:
        return align(source, reference)
    except InputError as error:
        print(f"{source.info.name}: {error}")
    mean = np.zeros((1, reference.frame_count, head.vertex_count, 2), np.float32)
    kept = {name: getattr(reference, name) for name in ("image_size", "frame_times", "frame_ids", "camera_names")}
    valid = np.zeros(mean.shape[:2], bool)
    return make_alignment(mean, np.ones(mean.shape[:3]), valid, point_set="vertices", source="nothing", **kept)


def _fit(
    alignment: Alignment,
    reference: Alignment,
    stored: Path,
    out: Path,
    head: HeadModel,
    refit: bool,
    reporter: Reporter | None,
) -> Fitted:
    config = dataclasses.replace(TRACK_CONFIG, error_bars=False)
    tracks, seconds = {}, {}
    for kind, observed in (("network", alignment), ("mediapipe", reference)):
        if kind == "mediapipe" and not refit and (stored / ARRAYS).is_file():
            track = Track.load(stored)
        else:
            track = fit_alignment(observed, head, config=config, reporter=reporter or SilentReporter())
            track.save(out / kind)
        timings = track.summary["timings"]
        tracks[kind], seconds[kind] = track, timings["initialise_s"] + timings["solve_s"]
    return Fitted(tracks, seconds)


def _track_row(track: Track, clip: ClipComparison, head: HeadModel, seconds: float) -> dict[str, Any]:
    """Residual against what the track was fitted to, jitter, and the distance from MediaPipe's points."""
    errors = []
    for f, world in enumerate(track.each_world_vertices(head)):
        surface = on_surface(np.asarray(world), head.mediapipe)
        points = np.asarray(track.cameras.project(surface))[0]
        errors.append(relative_errors(points, clip.reference[f], clip.side[f])[:MESH_POINTS])
    known = np.asarray(errors)[np.isfinite(errors)]
    summary = track.summary
    return {
        "median_percent_of_face_width": summary["residual"]["median_percent_of_face_width"],
        "p90_percent_of_face_width": summary["residual"]["p90_percent_of_face_width"],
        "jitter_px": jitter_px(track, head),
        "to_mediapipe_median_percent_of_box": float(np.median(known)) if known.size else None,
        "focal_over_width": float(track.cameras.focal[0] / track.cameras.image_size[0, 0]),
        "flagged": len(summary["flags"]),
        "verdict": track.verdict,
        "fit_s": seconds,
    }


def chosen_frames(clip: ClipComparison) -> list[int]:
    """Frames to look at: spread over the clip, and those of MediaPipe's widest mouth and most closed lids."""
    seen = np.flatnonzero(np.isfinite(clip.side))
    _, reference = clip_openings(clip)
    lids = np.nanmean([reference["right lids"], reference["left lids"]], axis=0) if len(seen) else clip.side
    special = []
    if np.isfinite(reference["mouth"]).any() and np.isfinite(lids).any():
        special = [int(np.nanargmax(reference["mouth"])), int(np.nanargmin(lids))]
    spread = np.linspace(0, len(clip.side) - 1, SHOWN_FRAMES - len(special)).round().astype(int).tolist()
    return sorted({*spread, *special})


def _pictures(source: FrameSource, frames: Sequence[int]) -> dict[int, np.ndarray]:
    return {number: frame.image for number, frame in enumerate(source) if number in frames}


def points_sheet(clip: ClipComparison, pictures: dict[int, np.ndarray], head: HeadModel) -> np.ndarray:
    """Each face twice: with the network's vertices and the outlines they give, and with MediaPipe's points."""
    face = np.asarray(head.regions["face"])
    errors, alignment = frame_errors(clip), clip.alignment
    ours, theirs = clip_openings(clip)
    cells = []
    for f, image in pictures.items():
        window = window_on(image, _face_of(clip, f, image), CELL)
        left, right = window.image.copy(), window.image.copy()
        seen = bool(alignment.valid[0, f])
        if seen:
            draw_points(left, window.place(alignment.mean[0, f, face]), MESH, 0.55)
            draw_contours(left, window.place(clip.predicted[f]), WARNING)
        draw_captions(left, [f"frame {f}", f"error {errors[f]:.1f} % {_opened(ours, f)}" if seen else "LOST"])
        draw_points(right, window.place(clip.reference[f]), OBSERVED, 1.0)
        draw_contours(right, window.place(clip.reference[f]), WARNING)
        draw_captions(right, ["MediaPipe", _opened(theirs, f)])
        cells.append(tile_views([left, right]))
    return contact_sheet(cells, columns=3, cell_width=2 * CELL)


def tracks_sheet(clip: ClipComparison, fitted: Fitted, pictures: dict[int, np.ndarray], head: HeadModel) -> np.ndarray:
    """The fitted heads over the same faces: to the network's points left, to MediaPipe's right."""
    wanted = np.asarray(head.regions["face"]) | np.asarray(head.regions["ears"])
    triangles = np.asarray(head.triangles)
    triangles = triangles[wanted[triangles].all(1)]
    cells = []
    for f, image in pictures.items():
        window = window_on(image, _face_of(clip, f, image), CELL, margin=1.5)
        pair = []
        for kind, track in fitted.tracks.items():
            world = track.world_vertices(head, f)
            mesh = window.place(np.asarray(track.cameras.project(world))[0])
            depth = np.asarray(track.cameras.to_camera(world))[0, :, 2]
            visible = visible_triangles(mesh, depth, triangles)
            drawn = draw_overlay(window.image, mesh, triangles, visible, mesh_opacity=0.2)
            draw_contours(drawn, on_surface(mesh, head.mediapipe), WARNING)
            draw_captions(drawn, [f"frame {f}, fit to {kind}"])
            pair.append(drawn)
        cells.append(tile_views(pair))
    return contact_sheet(cells, columns=3, cell_width=2 * CELL)


def _face_of(clip: ClipComparison, frame: int, image: np.ndarray) -> np.ndarray:
    """Points round which the picture is cut: MediaPipe's, else all of the image."""
    if np.isfinite(clip.side[frame]):
        return clip.reference[frame, :MESH_POINTS]
    return np.asarray([[0.0, 0.0], [image.shape[1], image.shape[0]]])


def _opened(values: dict[str, np.ndarray], frame: int) -> str:
    return "mouth {:.1f} lids {:.1f} {:.1f}".format(*(100 * values[name][frame] for name in values))


def plot_openings(clip: ClipComparison, path: Path) -> None:
    """Mouth and lids over time, the network's and MediaPipe's."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    ours, theirs = clip_openings(clip)
    figure, axes = pyplot.subplots(len(ours), 1, figsize=(11, 6.5), sharex=True, constrained_layout=True)
    times = clip.alignment.frame_times
    for axis, name in zip(axes, ours, strict=True):
        axis.plot(times, 100 * theirs[name], color="0.45", linewidth=1.6, label="MediaPipe")
        axis.plot(times, 100 * ours[name], color="tab:red", linewidth=1.0, label="network")
        axis.set_ylabel(f"{name}, % of box")
        axis.grid(alpha=0.3)
    axes[0].legend(loc="upper right", ncols=2)
    axes[0].set_title(clip.name)
    axes[-1].set_xlabel("time, s")
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def clips_table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    rows = {**report["clips"], "**pooled**": report["pooled"]}
    note = "of the other clips" if report["debiased_with_other_clips"] else "of this very clip, which flatters it"
    lines = [
        "Distance of the network's points from MediaPipe's 468, per cent of the longer side of their box: as they are, "
        f"and without the constant offsets {note}. Bad: frames with a mean error above 6 %.",
        "",
        "| clip | frames | lost | bad | median | p90 | debiased median | p90 | within 50 % radius | within 90 % radius "
        "| debiased | | restlessness | MediaPipe's |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        shares = [row[kind][radius] for kind in _COVERAGES for radius in ("within_half", "within_ninety")]
        lines.append(
            f"| {name} | {row['frames']} | {row['lost_frames']} | {row['bad_frames']} "
            f"| {_two(row['raw'])} | {_two(row['debiased'])} | "
            + " | ".join(f"{100 * s:.0f} %" for s in shares)
            + f" | {row['restlessness']['network']:.2f} | {row['restlessness']['mediapipe']:.2f} |"
        )
    groups = list(report["pooled"]["groups"])
    lines += ["", "Medians by part of the face, raw / debiased:", "", "| clip | " + " | ".join(groups) + " |"]
    lines.append("|---" * (1 + len(groups)) + "|")
    for name, row in rows.items():
        parts = [row["groups"][group] for group in groups]
        cells = " | ".join(f"{part['raw']['median']:.2f} / {part['debiased']['median']:.2f}" for part in parts)
        lines.append(f"| {name} | {cells} |")
    lines += _openings_lines(rows) + _tracks_lines(report["clips"])
    factors = ", ".join(f"{name} {'–' if f is None else format(f, '.2f')}" for name, f in report["std_factor"].items())
    return "\n".join(
        [*lines, "", f"Factor on σ that makes the 50 % and 90 % radii right on these clips: {factors}.", ""]
    )


_COVERAGES = ("coverage", "coverage_debiased")


def _openings_lines(rows: dict[str, dict[str, Any]]) -> list[str]:
    """Slopes of openings."""
    names = list(next(iter(rows.values()))["openings"])
    lines = [
        "",
        "Openings: slope of the network's on MediaPipe's movement within clips (correlation; MediaPipe's spread in per "
        "cent of the box: where it is as small as noise, about 0.3, the slope says little):",
        "",
        "| clip | " + " | ".join(names) + " |",
        "|---" * (1 + len(names)) + "|",
    ]
    for name, row in rows.items():
        slopes = [row["openings"][opening]["within_clips"] for opening in names]
        lines.append(
            f"| {name} | "
            + " | ".join(f"{s['slope']:.2f} ({s['correlation']:.2f}; {100 * s['spread']:.2f})" for s in slopes)
            + " |"
        )
    return lines


def _tracks_lines(clips: dict[str, dict[str, Any]]) -> list[str]:
    """Tracks fitted to the network's points and to MediaPipe's."""
    lines = []
    for name, row in clips.items():
        for kind, track in row.get("tracks", {}).items():
            distance = track["to_mediapipe_median_percent_of_box"]
            lines.append(
                f"| {name} | {kind} | {track['median_percent_of_face_width']:.2f} "
                f"| {'–' if distance is None else format(distance, '.2f')} | {track['jitter_px']:.2f} "
                f"| {track['focal_over_width']:.2f} | {track['flagged']} | {track['verdict']} "
                f"| {row['align_s']:.0f} | {track['fit_s']:.0f} |"
            )
    if not lines:
        return []
    title = (
        "Tracks: median residual against what they were fitted to (per cent of the face's width), median distance from "
        "MediaPipe's points (per cent of the box), RMS second difference of the face's vertices:"
    )
    columns = (
        "| clip | fitted to | residual | to MediaPipe | jitter px | focal / width | flagged | verdict "
        "| network's align s | fit s |"
    )
    return ["", title, "", columns, "|---" * 10 + "|", *lines]


def _calibration_text(factors: dict[str, float | None]) -> str:
    """What to multiply the network's standard deviations by, on top of any factor that its file already has."""
    known = {name: "unknown" if factor is None else f"{factor:.3f}" for name, factor in factors.items()}
    return f"std_scale: {known['raw']} (without the convention's offsets: {known['debiased']})\n"


# --- samples ----------------------------------------------------------------------------------------------------------


def evaluate_samples(predictor: Predictor, head: HeadModel, samples: Path, count: int, out: Path) -> str:
    """Judge the network on at most `count` samples spread over an archive; write tables and a sheet."""
    archive = open_archive(samples)
    indices = np.unique(np.linspace(0, len(archive) - 1, min(count, len(archive))).round().astype(int))
    found = crop_errors(answers(archive, predictor, indices), head)
    report = crops_report(found)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "table.json", report)
    text = samples_table(report)
    write_bytes(out / "table.md", text.encode())
    numbers = np.concatenate(list(best_middle_worst(found, SHOWN_SAMPLES).values()))
    cells = [_sample_cell(answer, found, head) for answer in answers(archive, predictor, numbers)]
    _write_image(out / "best_median_worst.png", contact_sheet(cells, columns=6, cell_width=CELL))
    return text


def _sample_cell(answer: Answer, found: CropErrors, head: HeadModel) -> np.ndarray:
    """True points white, predicted ones coloured by their error."""
    face = np.asarray(head.regions["face"]) & answer.known
    scale = CELL / answer.crop.shape[0]
    cell = cv2.resize(answer.crop, (CELL, CELL), interpolation=cv2.INTER_LINEAR)
    truth, mean = answer.truth[face], answer.mean[face]
    draw_points(cell, truth * scale, WHITE, 0.9)
    side = float((truth.max(0) - truth.min(0)).max())
    draw_points(cell, mean * scale, alarm_colours(relative_errors(mean, truth, np.asarray(side)), ERROR_LIMIT), 0.9)
    row = int(np.flatnonzero(found.index == answer.index)[0])
    draw_captions(cell, [f"{answer.index}: {found.error[row]:.1f} %, turn {found.yaw[row]:.0f} deg"])
    return cell


def samples_table(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    shares = report["coverage"]
    lines = [
        f"{report['crops']} crops. Mean distance of the face's vertices from the truth, per cent of the longer side of "
        "their box.",
        "",
        "| crops | number | mean | median | p90 |",
        "|---|---|---|---|---|",
        _statistics_line("all", report["nme"]),
        *(_statistics_line(name, values) for name, values in report["regions"].items()),
        *(_statistics_line(f"turn {name}°", values) for name, values in report["yaw"].items()),
        "",
        f"Within 1 σ {100 * shares['within_one']:.0f} % (39 where σ is right), within 2 σ "
        f"{100 * shares['within_two']:.0f} % (86); within the 50 % radius {100 * shares['within_half']:.0f} %, within "
        f"the 90 % radius {100 * shares['within_ninety']:.0f} %; factor on σ {report['std_factor']:.2f}.",
        "",
        f"Openings on the {report['openings_of_crops']} crops turned by 30° or less: slope (correlation): "
        + ", ".join(f"{name} {s['slope']:.2f} ({s['correlation']:.2f})" for name, s in report["openings"].items())
        + ".",
        "",
    ]
    return "\n".join(lines)


def _statistics_line(name: str, values: dict[str, float]) -> str:
    return f"| {name} | {values['crops']} | {values['mean']:.2f} | {values['median']:.2f} | {values['p90']:.2f} |"


def _two(values: dict[str, float]) -> str:
    return f"{values['median']:.2f} | {values['p90']:.2f}"


def _write_image(path: Path, image: np.ndarray) -> None:
    write_bytes(path, cv2.imencode(".png", image[..., ::-1])[1].tobytes())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    real = kinds.add_parser("real", help="on clips, beside MediaPipe")
    synthetic = kinds.add_parser("synthetic", help="on samples, beside the truth")
    for one in (real, synthetic):
        one.add_argument("--weights", type=Path, required=True, help="trained network (.safetensors)")
        one.add_argument("--head", default="generic", help="head as for flowface track --head")
        one.add_argument("--out", type=Path, required=True, help="folder for tables and pictures")
    real.add_argument("--clips", type=Path, required=True, help="folder with .mp4 files")
    real.add_argument("--names", nargs="+", default=None, help="only these clips, by stem")
    real.add_argument("--tracks", type=Path, required=True, help="folder of tracks by MediaPipe, one per clip")
    real.add_argument("--crops", choices=("network", "mediapipe"), default="network", help="whose boxes make the crops")
    real.add_argument("--no-fits", action="store_true", help="points alone, no tracks")
    real.add_argument("--refit", action="store_true", help="fit MediaPipe's points too, instead of reading the track")
    real.add_argument("--calibrate", action="store_true", help="print the factor on σ; give clips of training")
    synthetic.add_argument("--samples", type=Path, required=True, help="folder of samples of the same head")
    synthetic.add_argument("--count", type=int, default=2000, help="how many of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
