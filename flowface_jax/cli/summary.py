"""What a command says about a track when it is done."""

from __future__ import annotations

import os

from flowface_jax.fitting.track import Track

SHOWN_FLAGS = 5


def track_summary(track: Track, folder: str | os.PathLike[str]) -> str:
    """A few lines: residual, convergence, verdict, notes, flagged frames, where the files are."""
    summary = track.summary
    residual, solver, quality = summary["residual"], summary["solver"], summary.get("quality", {})
    percent, percent_p90, pixels, chi_square = (
        _number(value)
        for value in (
            residual["median_percent_of_face_width"],
            residual["p90_percent_of_face_width"],
            residual["median_px"],
            quality.get("reduced_chi_square_median"),
        )
    )
    seconds = ", ".join(f"{name.removesuffix('_s')} {value:.1f} s" for name, value in summary["timings"].items())
    lines = [
        f"{track.frame_count} frame(s), {track.cameras.count} camera(s), head '{summary['head']['name']}'",
        f"residual: median {percent} %, 90th percentile {percent_p90} % of the face's width ({pixels} px), "
        f"reduced χ² {chi_square}",
        f"solver: {solver['steps']} steps, {'converged' if solver['converged'] else 'not converged'}; {seconds}",
    ]
    if quality:
        lines.append(": ".join(["verdict", quality["verdict"], *filter(None, ["; ".join(quality["verdict_reasons"])])]))
    lines += [f"note: {note}" for note in summary["notes"]]
    flags = summary["flags"]
    lines += [f"frame {flag['frame']}: {'; '.join(flag['reasons'])}" for flag in flags[:SHOWN_FLAGS]]
    if len(flags) > SHOWN_FLAGS:
        lines.append(f"… {len(flags)} flagged frames in all, see track.json")
    lines.append(f"written to {folder}")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    """Two decimals, or a dash where the number is unknown."""
    return "–" if value is None else f"{value:.2f}"
