"""The report as one HTML page that needs nothing beside it: no other file, no script or picture from elsewhere."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any

import numpy as np

from flowface_jax.viewing.report.contents import Cell, Chart, Contents, FlaggedFrames, HeatMap, ReportTable, Section
from flowface_jax.viewing.report.curves import chart_html, number_text
from flowface_jax.viewing.report.pictures import data_uri, heat_map_picture, png_uri, scale_stops, thumbnail_uri
from flowface_jax.viewing.report.video import ReportVideo

# The browser itself forbids everything that is not in the page.
_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_DIGITS = 4


def page_html(contents: Contents, video: ReportVideo | None = None, no_video: str = "") -> str:
    """The whole page. video: of the track's frames in their order. no_video: why there is none, a sentence.

    Everything that is not this package's own text is escaped; the same values make the same page.
    """
    sections = "".join(_section_html(section, contents) for section in contents.sections)
    anchors = [("flags", "Flagged frames"), *((section.key, section.title) for section in contents.sections)]
    links = "".join(f'<a href="#{key}">{html.escape(title)}</a>' for key, title in anchors)
    title = html.escape(contents.name)
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title} – face track</title>",
            f"<style>{_file('report.css')}</style></head><body>",
            f"<header><h1>{title}</h1>{_verdict_html(contents)}{_notes_html(contents)}{_facts_html(contents)}",
            f"<nav>{links}</nav></header>",
            f'<main><div id="watch">{_watch_html(contents, video, no_video)}</div><div>',
            _flags_html(contents),
            sections,
            "</div></main>",
            f'<script type="application/json" id="data">{_data_json(contents, video)}</script>',
            f"<script>{_file('report.js')}</script></body></html>",
            "",
        ]
    )


def _verdict_html(contents: Contents) -> str:
    if contents.verdict is None:
        return "<p>The track was not judged: its record holds no verdict.</p>"
    word = html.escape(contents.verdict)
    reasons = "".join(f"<p>{html.escape(reason)}</p>" for reason in contents.verdict_reasons)
    return f'<span class="verdict {word}">{word}</span>{reasons}'


def _notes_html(contents: Contents) -> str:
    return "".join(f"<p>{html.escape(note)}</p>" for note in contents.notes)


def _facts_html(contents: Contents) -> str:
    items = (f"<div><dt>{html.escape(k)}</dt><dd>{_cell(v)}</dd></div>" for k, v in contents.facts.items())
    return f'<dl class="facts">{"".join(items)}</dl>'


def _watch_html(contents: Contents, video: ReportVideo | None, no_video: str) -> str:
    now = '<div id="now"><b id="frame"></b>%s<span class="why"></span></div>'
    buttons = ((-1, "◀", "previous frame"), (1, "▶", "next frame"))
    steps = " ".join(f'<button data-step="{n}" aria-label="{name}">{sign}</button>' for n, sign, name in buttons)
    if video is None:
        return f'<p class="absent">{html.escape(no_video or "There is no video in this report.")}</p>{now % steps}'
    shown = [f for f in contents.worst if f in video.pictures]
    thumbs = "".join(
        f'<button data-frame="{f}"><img alt="frame {contents.frame_ids[f]}" src="{thumbnail_uri(video.pictures[f])}">'
        f"<span>frame {contents.frame_ids[f]}</span></button>"
        for f in shown
    )
    strip = (
        f'<div class="first"><h3>Frames to look at first</h3><div class="thumbs">{thumbs}</div></div>' if shown else ""
    )
    width, height = video.size
    player = (
        f'<video controls muted loop playsinline preload="auto" width="{width}" height="{height}" '
        f'style="height:auto" src="{data_uri("video/mp4", video.payload)}"></video>'
    )
    return player + now % steps + strip


def _flags_html(contents: Contents) -> str:
    heading = '<section id="flags"><h2>Flagged frames</h2>'
    if not contents.flags:
        return heading + '<p class="absent">No frame is flagged.</p></section>'
    rows = "".join(
        f'<tr><td class="short"><button data-frame="{run.first}">{_frames_text(run, contents)}</button></td>'
        f'<td class="n">{run.last - run.first + 1}</td><td>{html.escape("; ".join(run.reasons))}</td></tr>'
        for run in contents.flags
    )
    return (
        f'{heading}<div class="card flags"><table><tr><th>frames</th><th class="n">number</th><th>why</th></tr>{rows}'
        "</table></div></section>"
    )


def _frames_text(run: FlaggedFrames, contents: Contents) -> str:
    first, last = (int(contents.frame_ids[f]) for f in (run.first, run.last))
    return str(first) if first == last else f"{first}–{last}"


def _section_html(section: Section, contents: Contents) -> str:
    parts = [f'<section id="{section.key}"><h2>{html.escape(section.title)}</h2>']
    parts += [f'<p class="absent">{html.escape(section.absent)}</p>'] if section.absent else []
    parts += [f"<p>{html.escape(section.note)}</p>"] if section.note else []
    parts += [chart_html(chart, key, contents.flags) for key, chart in keyed_charts(section)]
    parts += [_heat_map_html(heat_map, contents) for heat_map in section.heat_maps]
    tables = "".join(_table_html(table) for table in section.tables)
    parts.append(f'<div class="cards">{tables}</div>' if len(section.tables) > 1 else tables)
    return "".join([*parts, "</section>"])


def keyed_charts(section: Section) -> list[tuple[str, Chart]]:
    """A section's charts with their anchors in the page."""
    return [(f"{section.key}-{number}", chart) for number, chart in enumerate(section.charts)]


def _heat_map_html(heat_map: HeatMap, contents: Contents) -> str:
    picture = png_uri(heat_map_picture(heat_map, contents.neutral, contents.triangles))
    title, unit = html.escape(heat_map.title), html.escape(heat_map.unit)
    known = heat_map.values[np.isfinite(heat_map.values)]
    note = f"{heat_map.note}; median {number_text(float(np.median(known)))} {heat_map.unit}" if len(known) else ""
    return (
        f'<figure class="map"><figcaption><b>{title}</b> <i>{unit}</i></figcaption>'
        f'<img alt="{title} on the head, from three sides" src="{picture}">'
        f'<div class="scale">0 <div style="background:linear-gradient(90deg,{",".join(scale_stops())})"></div> '
        f"{number_text(heat_map.limit)} {unit}</div><p>{html.escape(note)}; grey where nothing is known</p></figure>"
    )


def _table_html(table: ReportTable) -> str:
    numeric = [_is_numeric(row[k] for row in table.rows) for k in range(len(table.columns))]
    kinds = [' class="n"' if number else "" for number in numeric]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for kind, name in zip(kinds, table.columns, strict=True))
    rows = "".join(
        "<tr>" + "".join(f"<td{kind}>{_cell(cell)}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    title = f"<h3>{html.escape(table.title)}</h3>" if table.title else ""
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f'<div class="card">{title}<table><tr>{head}</tr>{rows}</table>{note}</div>'


def _is_numeric(cells: Iterable[Cell]) -> bool:
    return all(cell is None or isinstance(cell, int | float) for cell in cells)


def _cell(value: Cell) -> str:
    if isinstance(value, str):
        return html.escape(value)
    return number_text(value)


def _data_json(contents: Contents, video: ReportVideo | None) -> str:
    """What the page's script needs: numbers of the curves, times, flags. No text in it can end the script element."""
    reasons, place = [""], {}
    flags = np.zeros(contents.frame_count, int)
    for run in contents.flags:
        text = "; ".join(run.reasons)
        if text not in place:
            place[text] = len(reasons)
            reasons.append(text)
        flags[run.first : run.last + 1] = place[text]
    charts = {
        key: [_rounded(series.values) for series in chart.series]
        for section in contents.sections
        for key, chart in keyed_charts(section)
        if chart.of_frames
    }
    data: dict[str, Any] = {
        "ids": [int(number) for number in contents.frame_ids],
        "times": [round(float(time), 4) for time in contents.frame_times],
        "rate": video.frame_rate if video is not None else 1.0,
        "flags": flags.tolist(),
        "reasons": reasons,
        "charts": charts,
    }
    text = json.dumps(data, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _rounded(values: Sequence[float] | np.ndarray) -> list[float | None]:
    """Numbers to four digits, None where unknown."""
    return [float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None for value in np.asarray(values, np.float64)]


def _file(name: str) -> str:
    return (resources.files("flowface_jax.viewing.report") / "page_files" / name).read_text(encoding="utf-8")
