"""Charts as inline SVG: lines that stretch with the page, and labels beside them that do not."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np

from flowface_jax.viewing.report.contents import Chart, FlaggedFrames

WIDTH, HEIGHT = 1000, 200
"""Of the SVG's own coordinates; it is stretched to whatever room there is."""
COLOURS = 6
"""Line colours of the style sheet; further curves begin anew, dashed."""
_MOST_POINTS = 2000


def chart_html(chart: Chart, key: str, flags: Sequence[FlaggedFrames] = ()) -> str:
    """A chart as a figure with id `key`. flags: shaded, where the chart is over frames."""
    low, high, ticks = _vertical(chart)
    columns = len(chart.x)
    step = WIDTH / max(columns - 1, 1)
    body = [_band(run, step) for run in flags] if chart.of_frames else []
    body += [f'<path class="grid" d="M0 {_y(t, low, high):.1f}H{WIDTH}"/>' for t, _ in ticks]
    body += [_line(chart, number, low, high, step) for number in range(len(chart.series))]
    body.append(f'<path class="cursor" d="M0 0V{HEIGHT}"/>' if chart.of_frames else "")
    kind = "chart frames" if chart.of_frames else "chart"
    svg = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{html.escape(chart.title)} over {html.escape(chart.x_label)}">{"".join(body)}</svg>'
    )
    up = "".join(f'<span style="top:{100 * _y(t, low, high) / HEIGHT:.2f}%">{label}</span>' for t, label in ticks)
    note = f"<p>{html.escape(chart.note)}</p>" if chart.note else ""
    return (
        f'<figure class="{kind}" id="{key}"><figcaption><b>{html.escape(chart.title)}</b> '
        f'<i>{html.escape(chart.unit)}</i>{_legend(chart)}</figcaption><div class="plot"><div class="up">{up}</div>'
        f'<div class="area">{svg}</div><div class="along">{_along(chart)}</div></div>{note}</figure>'
    )


def number_text(value: float | int | None) -> str:
    """A number as the page shows it: whole ones whole, others to four digits, an en dash where unknown."""
    if value is None or not np.isfinite(value):
        return "–"
    if isinstance(value, int | np.integer):
        return str(int(value))
    if value != 0 and not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3e}"
    decimals = max(0, 3 - int(np.floor(np.log10(abs(value))))) if value else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def line_class(number: int) -> str:
    """The style of curve `number`."""
    return f"s{number % COLOURS}" + (" dashed" if number // COLOURS % 2 else "")


def _legend(chart: Chart) -> str:
    shown = [
        f'<span class="{line_class(k)}"><u></u>{html.escape(series.name)} <output></output></span>'
        for k, series in enumerate(chart.series)
    ]
    return f'<span class="legend">{"".join(shown)}</span>'


def _vertical(chart: Chart) -> tuple[float, float, list[tuple[float, str]]]:
    """Ends of the vertical axis, in what is drawn (the logarithm or the value), and its marks with their labels."""
    values = np.concatenate([_drawn(chart, series.values) for series in chart.series] or [np.zeros(0)])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if chart.from_zero and not chart.logarithmic:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - (0.0 if chart.from_zero and low == 0 else 0.5), high + 0.5
    low, high = (low if low == 0 else low - 0.05 * (high - low)), high + 0.05 * (high - low)
    if not chart.logarithmic:
        return low, high, [(tick, number_text(tick)) for tick in nice_ticks(low, high)]
    return low, high, [(float(np.log10(tick)), number_text(tick)) for tick in _logarithmic_ticks(low, high)]


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """About so many round numbers from low to high."""
    rough = (high - low) / about
    size = 10.0 ** np.floor(np.log10(rough))
    step = size * min((factor for factor in (1, 2, 2.5, 5, 10)), key=lambda factor: abs(factor * size - rough))
    return [float(n * step) for n in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _logarithmic_ticks(low: float, high: float) -> list[float]:
    """Round numbers from 10^low to 10^high: powers of ten, or even steps where there are few of those."""
    powers = [10.0**n for n in range(int(np.ceil(low)), int(np.floor(high)) + 1)]
    if len(powers) >= 3:
        return powers[:: -(-len(powers) // 6)]
    return [tick for tick in nice_ticks(10.0**low, 10.0**high) if tick > 0]


def _along(chart: Chart) -> str:
    """Labels of the horizontal axis: values of x at even places."""
    count = len(chart.x)
    if not count:
        return ""
    chosen = sorted({round(k * (count - 1) / 4) for k in range(5)})
    marks = [
        f'<span style="left:{100 * n / max(count - 1, 1):.2f}%">{number_text(int(chart.x[n]))}</span>' for n in chosen
    ]
    return "".join(marks) + f"<em>{html.escape(chart.x_label)}</em>"


def _band(run: FlaggedFrames, step: float) -> str:
    left, right = max(0.0, (run.first - 0.5) * step), min(float(WIDTH), (run.last + 0.5) * step)
    return f'<rect class="flag" x="{left:.1f}" y="0" width="{max(right - left, 1.0):.1f}" height="{HEIGHT}"/>'


def _line(chart: Chart, number: int, low: float, high: float, step: float) -> str:
    values = _drawn(chart, chart.series[number].values)
    places, values = _thinned(values)
    path, pen = [], False
    for n, value in zip(places, values, strict=True):
        if not np.isfinite(value):
            pen = False
            continue
        path.append(f"{'L' if pen else 'M'}{n * step:.1f} {_y(value, low, high):.1f}")
        # A number between two unknown ones is a dot: a line of no length with round ends.
        path += [] if pen else ["h0"]
        pen = True
    return f'<path class="{line_class(number)}" d="{"".join(path)}"/>'


def _thinned(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places and values that look the same when there are more of them than can be seen: each bin's extremes."""
    places = np.arange(len(values))
    if len(values) <= _MOST_POINTS:
        return places, values
    kept = []
    for group in np.array_split(places, _MOST_POINTS // 2):
        known = group[np.isfinite(values[group])]
        kept += (
            sorted({int(known[values[known].argmin()]), int(known[values[known].argmax()])})
            if len(known)
            else [int(group[0])]
        )
    return np.asarray(kept), values[kept]


def _drawn(chart: Chart, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float64)
    return np.log10(values) if chart.logarithmic else values


def _y(value: float, low: float, high: float) -> float:
    return HEIGHT * (1 - (value - low) / (high - low))
