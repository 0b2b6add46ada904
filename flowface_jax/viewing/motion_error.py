"""Pictures of motion errors: curves over the windows, paths of single pixels, and errors over the frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np

from flowface_jax.errors import InputError, MissingDependencyError
from flowface_jax.evaluation.ssme import SsmeResult
from flowface_jax.viewing.colours import TEXT, alarm_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Colours that colour-blind readers tell apart (Okabe and Ito); beyond them, the line's style changes."""
_STYLES = ("-", "--", ":")
_TRUTH = "#111111"
_DPI = 110
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_motion_error_curves(
    results: Mapping[str, SsmeResult], region: str = "face", frames_per_second: float | None = None
) -> np.ndarray:
    """SSME_h of one region over the windows h, one curve for each method (figure 4 of the paper): [H,W,3] RGB uint8.

    results: by the method's name. frames_per_second: adds a scale in seconds. Raises InputError for a region that a
    result has not, MissingDependencyError without matplotlib.
    """
    if not results:
        raise InputError("expected at least one result to draw, found none")

    def draw(axes: Axes) -> None:
        for number, (name, result) in enumerate(results.items()):
            mean = result.of(region)
            curve = result.ssme[result.regions.index(region)]
            axes.plot(result.windows, curve, label=f"{name}  (mean {mean:.2f} px)", **_line(number))
        axes.set(xlabel="window h [frames]", ylabel=f"SSME of the {region} [px]", ylim=(0, None))
        axes.set_xlim(1, max(2, *(int(result.windows[-1]) for result in results.values())))
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)
        if frames_per_second:
            seconds = axes.secondary_xaxis(
                "top", functions=(lambda h: h / frames_per_second, lambda s: s * frames_per_second)
            )
            seconds.set_xlabel("seconds")

    return _figure(draw, (6.4, 4.2))


def draw_trajectories(
    frame: np.ndarray, truth: np.ndarray, predictions: Mapping[str, np.ndarray], margin: float = 0.25
) -> np.ndarray:
    """The path of one pixel in the truth and by each method (figure 15 of the paper): [H,W,3] RGB uint8.

    frame: [H,W,3] RGB uint8, shown at the left with a ring at the pixel. truth: [1+H,2] px from `trajectory`.
    predictions: such paths by name; NaN leaves a gap. margin: empty border of the plot, in its longer side. The dots
    are frames, the last one larger. Raises InputError where a path is not [N,2] or begins at another pixel.
    """
    paths = {"truth": np.asarray(truth, np.float64)} | {n: np.asarray(p, np.float64) for n, p in predictions.items()}
    for name, path in paths.items():
        if path.ndim != 2 or path.shape[1] != 2 or not np.allclose(path[0], paths["truth"][0], atol=0.01):
            raise InputError(f"{name}: expected a path [N,2] px from {paths['truth'][0]}, found {path.shape}")
    known = np.concatenate([path[np.isfinite(path).all(1)] for path in paths.values()])
    low, high = known.min(0), known.max(0)
    side = max(float((high - low).max()), 1.0) * (1 + 2 * margin)

    def draw(axes: Axes) -> None:
        for number, (name, path) in enumerate(paths.items()):
            style = dict(color=_TRUTH, linewidth=2.2) if name == "truth" else _line(number - 1)
            axes.plot(*path.T, label=name, marker=".", markersize=4, **style)
            ends = path[np.isfinite(path).all(1)]
            axes.plot(*ends[-1], marker="o", markersize=7, color=style["color"])
        axes.plot(*paths["truth"][0], marker="o", markersize=10, markerfacecolor="none", color="#e02020")
        middle = (low + high) / 2
        axes.set(xlim=(middle[0] - side / 2, middle[0] + side / 2), ylim=(middle[1] + side / 2, middle[1] - side / 2))
        axes.set(xlabel="x [px]", ylabel="y [px]", aspect="equal")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)

    plot = _figure(draw, (5.2, 5.2))
    height = plot.shape[0]
    scale = height / frame.shape[0]
    size = (max(1, round(frame.shape[1] * scale)), height)
    shown = cv2.resize(
        np.ascontiguousarray(frame), size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    )
    centre = tuple(int(round(float(v))) for v in paths["truth"][0] * scale - 0.5)
    cv2.circle(shown, centre, 8, (224, 32, 32), 2, cv2.LINE_AA)
    return np.concatenate([shown, plot], axis=1)


def draw_error_map(
    frame: np.ndarray, errors: np.ndarray, limit: float | None = None, opacity: float = 0.75, caption: str = ""
) -> np.ndarray:
    """Errors of single pixels over the frame, from cyan at 0 to red (figure 5 of the paper): [H,W,3] RGB uint8.

    frame: [H,W,3] RGB uint8. errors: [H,W] px ≥ 0, NaN where the frame shows through. limit: px of the reddest colour,
    by default the 98th percentile. caption: top left. Raises InputError for other shapes or a map without any number.
    """
    errors = np.asarray(errors, np.float64)
    if errors.shape != frame.shape[:2]:
        raise InputError(f"expected errors of the frame's {frame.shape[:2]} px, found {errors.shape}")
    known = np.isfinite(errors)
    if not known.any():
        raise InputError("expected at least one pixel with an error, found none")
    limit = max(float(np.percentile(errors[known], 98)), 1e-6) if limit is None else limit
    image = np.ascontiguousarray(frame).copy()
    image[known] = np.round((1 - opacity) * image[known] + opacity * alarm_colours(errors[known], limit))
    _draw_bar(image, limit)
    if caption:
        _write(image, caption, (10, round(40 * _text_scale(image)) + 6))
    return image


def _draw_bar(image: np.ndarray, limit: float) -> None:
    """The scale of colours at the lower edge, with its ends named."""
    height, width = image.shape[:2]
    length, thick = max(40, width // 3), max(6, height // 90)
    if width < length + 20 or height < 4 * thick + 20:
        return
    left, top = 10, height - thick - 10
    image[top : top + thick, left : left + length] = alarm_colours(np.linspace(0, limit, length), limit)
    _write(image, "0", (left, top - 6))
    text = f"{limit:.3g} px"
    (extent, _), _ = cv2.getTextSize(text, _FONT, _text_scale(image), 1)
    _write(image, text, (left + length - extent, top - 6))


def _text_scale(image: np.ndarray) -> float:
    return float(np.clip(image.shape[0] / 1200, 0.4, 2.0))


def _write(image: np.ndarray, text: str, place: tuple[int, int]) -> None:
    for colour, thickness in (((0, 0, 0), 3), (TEXT, 1)):
        cv2.putText(image, text, place, _FONT, _text_scale(image), colour, thickness, cv2.LINE_AA)


def _line(number: int) -> dict:
    style = _STYLES[(number // len(PALETTE)) % len(_STYLES)]
    return dict(color=PALETTE[number % len(PALETTE)], linestyle=style, linewidth=1.6)


def _figure(draw: Callable[[Axes], None], inches: tuple[float, float]) -> np.ndarray:
    """What `draw` puts into empty axes: [H,W,3] RGB uint8. Draws without a window or pyplot's global state."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("drawing plots needs matplotlib: pip install matplotlib") from None
    figure = Figure(figsize=inches, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    draw(figure.add_subplot())
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
