"""What a command says about a track when it is done."""

from __future__ import annotations

import os

from flowface_jax.fitting.track import Track

SHOWN_FLAGS = 5


def track_summary(track: Track, folder: str | os.PathLike[str]) -> str:
    """A few lines: residual, convergence, notes, flagged frames, where the files are."""
    summary = track.summary
    residual, solver = summary["residual"], summary["solver"]
    seconds = ", ".join(f"{name.removesuffix('_s')} {value:.1f} s" for name, value in summary["timings"].items())
    lines = [
        f"{track.frame_count} frame(s), {track.cameras.count} camera(s), head '{summary['head']['name']}'",
        f"residual: median {residual['median_percent_of_face_width']:.2f} %, 90th percentile "
        f"{residual['p90_percent_of_face_width']:.2f} % of the face's width ({residual['median_px']:.2f} px)",
        f"solver: {solver['steps']} steps, {'converged' if solver['converged'] else 'not converged'}; {seconds}",
    ]
    lines += [f"note: {note}" for note in summary["notes"]]
    flags = summary["flags"]
    lines += [f"frame {flag['frame']}: {'; '.join(flag['reasons'])}" for flag in flags[:SHOWN_FLAGS]]
    if len(flags) > SHOWN_FLAGS:
        lines.append(f"… {len(flags)} flagged frames in all, see track.json")
    lines.append(f"written to {folder}")
    return "\n".join(lines) + "\n"
