"""Frames that are not evenly spaced in time: what an acceleration is then, and what a user should know of it."""

from __future__ import annotations

import numpy as np

ROUNDING_S = 1.1e-3
"""Containers round times to a millisecond: intervals that differ by no more are the same."""
ROUNDING_SHARE = 0.05
"""And so are intervals that differ from the usual one by no more than this share of it."""
SHORTEST, LONGEST = 0.25, 4.0
"""Intervals count as at least and at most this many usual ones: frames at nearly one time would else be glued together,
and frames far apart not be linked at all."""
STRONGLY_IRREGULAR = 0.5
"""An interval that differs from the usual one by more than this share of it, a dropped frame for example."""
NOTED_SHARE = 0.05
"""So many of the intervals, strongly irregular, are worth a note."""

REGULAR = np.asarray([1.0, -2.0, 1.0], np.float32)


def acceleration_stencils(times: np.ndarray) -> np.ndarray:
    """Factors [F,3] of the frames before, at and after each frame that make its acceleration per usual interval².

    times: [F] s, ascending. The second derivative of the parabola through the three positions at their times, times the
    square of the median interval: exactly (1, −2, 1) where frames are even. Zero at either end, which has no neighbour.
    """
    stencils = np.zeros((len(times), 3), np.float32)
    if len(times) < 3:
        return stencils
    intervals = np.diff(np.asarray(times, np.float64))
    usual = float(np.median(intervals))
    even = np.abs(intervals - usual) <= max(ROUNDING_S, ROUNDING_SHARE * usual)
    relative = np.clip(np.where(even, 1.0, intervals / usual), SHORTEST, LONGEST)
    before, after = relative[:-1], relative[1:]
    stencils[1:-1, 0] = 2.0 / (before * (before + after))
    stencils[1:-1, 1] = -2.0 / (before * after)
    stencils[1:-1, 2] = 2.0 / (after * (before + after))
    return stencils


def irregularity_note(times: np.ndarray) -> str | None:
    """A sentence for the track where many frames are unevenly spaced in time [F] s, else None."""
    intervals = np.diff(np.asarray(times, np.float64))
    if len(intervals) < 2 or not (intervals > 0).all():
        return None
    usual = float(np.median(intervals))
    off = np.abs(intervals - usual) > max(ROUNDING_S, STRONGLY_IRREGULAR * usual)
    if not off.sum() > NOTED_SHARE * len(intervals):
        return None
    return (
        f"The frames are uneven in time: {int(off.sum())} of {len(intervals)} intervals are far from the usual "
        f"{1000 * usual:.3g} ms ({1000 * intervals.min():.3g} to {1000 * intervals.max():.3g} ms). Accelerations are "
        "those of the frames' own times; programs that expect a constant rate need frame_times_s."
    )
