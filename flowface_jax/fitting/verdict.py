"""One word for a whole track, by explicit limits on a few figures."""

from __future__ import annotations

import dataclasses

import numpy as np

VERDICTS = ("good", "usable", "poor", "failed")
"""From best to worst. good: nothing needs looking at. usable: fit for use once the flagged frames have been looked at.
poor: much of it is wrong. failed: it does not show the person's motion at all."""

ACCEPTED = ("good", "usable")
"""Verdicts that `--strict` lets pass."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What the verdict rests on. Shares are from 0 to 1.

    finite: whether every number of the track is. residual_percent: median over all images of the median residual in per
    cent of the face's width. residual_p90_percent: the same of the 90th percentile within the image. camera_percent:
    residual_percent of the worst camera alone. residual_sigmas: median over frames of the residual in units of its σ,
    from medians within the frame; it counts where residual_percent is above FINE_PERCENT. bad_frames: share of the
    frames with a face whose residual is large, where outliers abound, or that lie within a jump. jumps: per step
    between neighbouring frames. hidden_frames: share of the frames with a face where much of it is hidden or not
    followed. unseen_frames: share of all frames without a face.
    """

    finite: bool
    residual_percent: float
    residual_p90_percent: float
    camera_percent: float
    residual_sigmas: float
    bad_frames: float
    jumps: float
    hidden_frames: float
    unseen_frames: float


FINE_PERCENT = 0.5
"""Below half a per cent of the face's width (a millimetre) a residual is fine, however sure the aligner was."""


@dataclasses.dataclass(frozen=True)
class Limit:
    """The largest value of a figure that is still good, usable and poor; anything above has failed.

    text: how the figure is stated, with the value in the unit of `scale` x figure.
    """

    good: float
    usable: float
    poor: float
    text: str
    scale: float = 1.0

    def verdict(self, value: float) -> str:
        """One of VERDICTS; NaN has failed."""
        bounds = (self.good, self.usable, self.poor)
        return next((word for word, bound in zip(VERDICTS, bounds, strict=False) if value <= bound), VERDICTS[-1])

    def reason(self, value: float) -> str:
        """The figure with the limit that it breaks."""
        word = self.verdict(value)
        better = VERDICTS[VERDICTS.index(word) - 1]
        bound = self.scale * getattr(self, better)
        return f"{self.text.format(self.scale * value)} ({better}: at most {bound:g})"


LIMITS = {
    # Good fits of MediaPipe's points leave 0.4 to 0.6 %, mostly what the model cannot express; points in random order
    # leave 10 % and more. At 2 % (4 mm) a closed eye may be open in the track.
    "residual_percent": Limit(1.0, 2.0, 5.0, "median residual {:.3g} % of the face's width"),
    # The worst tenth of the points: 1 to 1.3 % in good fits, on face oval and cheeks. Above 2 % a part is wrong.
    "residual_p90_percent": Limit(2.0, 5.0, np.inf, "90th percentile of the residual {:.3g} % of the face's width"),
    # One camera of many may be at odds with the others (a wrong calibration) without spoiling the track.
    "camera_percent": Limit(1.5, 5.0, np.inf, "median residual in one camera {:.3g} % of the face's width"),
    # Stated σ are often heuristics, so only a contradiction counts: residuals that the aligner itself rules out.
    "residual_sigmas": Limit(3.0, 6.0, np.inf, "typical residual {:.3g} σ"),
    # A blurred frame in fifty is common and does no harm; one in ten shows in any use.
    "bad_frames": Limit(
        0.02, 0.1, 0.5, "{:.3g} % of the frames with a face are bad (residual, outliers or jumps)", 100.0
    ),
    # Heads do not jump: one jump asks for a look, one in twenty steps for another recording.
    "jumps": Limit(0.0, 0.05, np.inf, "jumps at {:.3g} % of the steps between frames", 100.0),
    # A hand before the face for a moment is bridged; most of a face unseen for a third of the film is guesswork.
    "hidden_frames": Limit(
        0.05, 0.3, np.inf, "much of the face hidden or not followed in {:.3g} % of its frames", 100.0
    ),
    # Where there is no face the pose is interpolated, which is right for the blink of an eye.
    "unseen_frames": Limit(0.1, 0.5, 0.95, "no face in {:.3g} % of the frames", 100.0),
}


def judge(figures: Figures) -> tuple[str, list[str]]:
    """The worst verdict of any figure, and the reasons why it is not good, worst first."""
    if not figures.finite:
        return VERDICTS[-1], ["the track holds numbers that are not finite"]
    found = []
    for name, limit in LIMITS.items():
        if name == "residual_sigmas" and figures.residual_percent <= FINE_PERCENT:
            continue
        value = float(getattr(figures, name))
        word = limit.verdict(value)
        if word != VERDICTS[0]:
            found.append((word, limit.reason(value)))
    found.sort(key=lambda item: -VERDICTS.index(item[0]))
    return (found[0][0] if found else VERDICTS[0]), [reason for _, reason in found]
