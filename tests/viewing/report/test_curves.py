"""Charts: the curve goes through its numbers, with gaps where they are unknown."""

from __future__ import annotations

import re

import numpy as np
import pytest

from flowface_jax.viewing.report.contents import Chart, FlaggedFrames, Series, grouped_flags
from flowface_jax.viewing.report.curves import HEIGHT, WIDTH, chart_html, nice_ticks, number_text


def _chart(values, **options):
    values = np.asarray(values, np.float64)
    return Chart("a <title>", "px", np.arange(len(values), dtype=float), "frame", (Series("s & t", values),), **options)


def _points(page):
    path = re.search(r'<path class="s0" d="([^"]*)"', page).group(1)
    return [(command, float(x), float(y)) for command, x, y in re.findall(r"([ML])([-\d.]+) ([-\d.]+)", path)]


def test_a_curve_goes_through_its_values():
    points = _points(chart_html(_chart([0, 1, 2]), "c"))
    assert [x for _, x, _ in points] == [0, WIDTH / 2, WIDTH]
    heights = [y for *_, y in points]
    assert heights[0] == HEIGHT and heights[1] == pytest.approx((heights[0] + heights[2]) / 2, abs=0.1)


def test_unknown_values_leave_a_gap():
    points = _points(chart_html(_chart([1, np.nan, 2, 3]), "c"))
    assert [command for command, *_ in points] == ["M", "M", "L"]


def test_equal_steps_of_a_logarithmic_chart_are_equal_factors():
    chart = _chart([1, 10, 100], logarithmic=True)
    heights = [y for *_, y in _points(chart_html(chart, "c"))]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)


@pytest.mark.parametrize("values", [[], [5], [np.nan, np.nan], [2, 2, 2], [-1, 1]])
def test_charts_of_little_or_nothing_are_drawn(values):
    for options in ({}, {"from_zero": False}):
        assert "nan" not in chart_html(_chart(values, **options), "c").replace("<title>", "")


def test_long_curves_keep_their_peaks():
    values = np.zeros(50_000)
    values[31_415] = 7
    points = _points(chart_html(_chart(values), "c"))
    assert len(points) <= 2100
    assert min(y for *_, y in points) == pytest.approx(HEIGHT * (1 - 1 / 1.05), abs=0.2)


def test_flagged_frames_are_shaded_and_texts_escaped():
    page = chart_html(_chart([0, 1, 2, 3, 4]), "c", (FlaggedFrames(1, 2, ("why",)),))
    left, width = (
        float(v) for v in re.search(r'<rect class="flag" x="([\d.]+)" y="0" width="([\d.]+)"', page).groups()
    )
    assert (left, width) == (WIDTH / 8, WIDTH / 2)
    assert "a &lt;title&gt;" in page and "s &amp; t" in page and "<title>" not in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (3, "3"),
        (0.0, "0"),
        (1.25, "1.25"),
        (123456.7, "123457"),
        (1.5e-6, "1.500e-06"),
    ],
)
def test_numbers_are_written_to_four_digits(value, text):
    assert number_text(value) == text


def test_ticks_are_round_and_within():
    assert nice_ticks(0, 7.3) == [0, 2, 4, 6]
    assert nice_ticks(-0.04, 0.04)[0] >= -0.04


def test_neighbours_with_one_reason_are_one_run():
    flags = [{"frame": n, "reasons": [why]} for n, why in ((10, "a"), (11, "a"), (12, "b"), (14, "b"), (99, "a"))]
    runs = grouped_flags(flags, np.arange(10, 16))
    assert [(run.first, run.last, run.reasons) for run in runs] == [(0, 1, ("a",)), (2, 2, ("b",)), (4, 4, ("b",))]
