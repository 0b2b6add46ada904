"""`write_report`: a track's folder, and the truth where there is one, to one HTML file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowface_jax.alignment.alignment import Alignment
from flowface_jax.alignment.source import load_alignment
from flowface_jax.errors import InputError
from flowface_jax.evaluation.mesh_sequence import sequence_of_track
from flowface_jax.evaluation.scoring.inputs import Reading, Source, opened
from flowface_jax.evaluation.ssme import SsmeConfig
from flowface_jax.fitting.track import Track
from flowface_jax.heads.model import HeadModel
from flowface_jax.job_folders import ALIGNMENT_FILE, OVERLAY_FILE, REQUEST_FILE
from flowface_jax.reporting import Reporter, SilentReporter
from flowface_jax.storage import read_json, write_bytes
from flowface_jax.viewing.report.gathering import report_contents
from flowface_jax.viewing.report.page import page_html
from flowface_jax.viewing.report.truth import TruthComparison, compare_with_truth
from flowface_jax.viewing.report.video import ReportVideo, clip_video, overlay_video

_PARTS = 4


def write_report(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str] | None,
    head: HeadModel,
    truth: Source | None = None,
    *,
    truth_reading: Reading | None = None,
    camera: int = 0,
    motion_error: SsmeConfig | None = None,
    alignment: str | os.PathLike[str] | None = None,
    videos: Sequence[str | os.PathLike[str]] = (),
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Path:
    """Write the report of the track in `folder` and return its path; `out` is by default report.html in the folder.

    head: the track's. truth: a mesh sequence of the same frames, or what `open_sequence` reads; truth_reading: what its
    files do not say; camera: of the truth, for the motion error. alignment: the file that was fitted, where it is not
    in the folder. videos: the tracked clips, one per camera, where the folder holds no overlay.mp4 (or instead of it).
    The file appears when it is complete. Raises InputError for a folder without a track, a head, truth, alignment or
    clip that are not the track's, and a file that exists already unless `overwrite`.
    """
    folder = Path(folder)
    track = Track.load(folder)
    folder = folder if folder.is_dir() else folder.parent
    file = _output(folder / "report.html" if out is None else Path(out), overwrite)
    reporter = reporter or SilentReporter()
    bar = reporter.bar("report", _PARTS, "parts")
    try:
        observed = _alignment(folder, alignment)
        compared = _compared(track, head, truth, truth_reading, camera, motion_error)
        bar.advance_to(1, "truth")
        contents = report_contents(track, head, observed, compared, _request(folder), folder.resolve().name)
        bar.advance_to(2, "numbers")
        video, no_video = _video(folder, videos, track, head, observed, contents.worst)
        bar.advance_to(3, "video")
        write_bytes(file, page_html(contents, video, no_video).encode("utf-8"))
        bar.advance_to(_PARTS, "page")
    finally:
        bar.close()
    return file


def _output(file: Path, overwrite: bool) -> Path:
    if file.is_dir():
        raise InputError(f"the output {file} is a folder; name a file, such as {file / 'report.html'}")
    if file.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"the output {file}: expected a name that ends in .html")
    if file.exists() and not overwrite:
        raise InputError(f"{file} exists already; name another, or pass --overwrite")
    return file


def _alignment(folder: Path, named: str | os.PathLike[str] | None) -> Alignment | None:
    if named is not None:
        return load_alignment(named)
    return load_alignment(folder / ALIGNMENT_FILE) if (folder / ALIGNMENT_FILE).is_file() else None


def _compared(
    track: Track,
    head: HeadModel,
    truth: Source | None,
    reading: Reading | None,
    camera: int,
    config: SsmeConfig | None,
) -> TruthComparison | None:
    if truth is None:
        return None
    return compare_with_truth(sequence_of_track(track, head, "the track"), opened(truth, reading), camera, config)


def _request(folder: Path) -> dict[str, Any]:
    if not (folder / REQUEST_FILE).is_file():
        return {}
    request = read_json(folder / REQUEST_FILE, "the job's request")
    return request if isinstance(request, dict) else {}


def _video(
    folder: Path,
    clips: Sequence[str | os.PathLike[str]],
    track: Track,
    head: HeadModel,
    alignment: Alignment | None,
    wanted: Sequence[int],
) -> tuple[ReportVideo | None, str]:
    """The video, or the sentence that says why there is none."""
    if clips:
        video = clip_video(clips, track, head, alignment, wanted)
    elif (folder / OVERLAY_FILE).is_file():
        video = overlay_video(folder / OVERLAY_FILE, wanted)
    else:
        return None, "The folder holds no overlay.mp4; --video CLIP draws the track over the clip."
    return video, "" if video is not None else "The video is too long to be kept in one page."
