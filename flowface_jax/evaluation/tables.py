"""Tables of results: numbers with their units and which way is better, printed for people, programs and papers."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from typing import Any, Literal

from flowface_jax.errors import InputError

Better = Literal["lower", "higher", ""]
FORMAT = "flowface-table/1"
_ARROWS = {"lower": "↓", "higher": "↑", "": ""}
_LATEX_ARROWS = {"lower": r"$\downarrow$", "higher": r"$\uparrow$", "": ""}
_LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_MARK = "†"
_PUBLISHED = "as published, not measured here"


@dataclasses.dataclass(frozen=True)
class Column:
    """name: of the measure. unit: "mm", "px", "" for plain numbers. better: which way, "" where neither is. digits:
    after the point.
    """

    name: str
    unit: str = ""
    better: Better = "lower"
    digits: int = 2

    def heading(self, arrow: str) -> str:
        parts = [self.name, f"({self.unit})" if self.unit else "", arrow]
        return " ".join(part for part in parts if part)


@dataclasses.dataclass(frozen=True)
class Row:
    """name: of the method. values: one for each column, None where there is none. published: taken from a publication,
    not measured here. source: where it is from, or how it was measured.
    """

    name: str
    values: tuple[float | None, ...]
    published: bool = False
    source: str = ""


@dataclasses.dataclass(frozen=True)
class Table:
    """title: what was measured, on what. columns, rows: as they are printed. notes: printed under the table.

    Raises InputError where a row has not as many values as there are columns.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise InputError(
                    f"table '{self.title}', row '{row.name}': expected {len(self.columns)} values, "
                    f"found {len(row.values)}"
                )

    def with_row(self, row: Row) -> Table:
        """The table with one more row at its end."""
        return dataclasses.replace(self, rows=(*self.rows, row))

    def best(self, column: int) -> float | None:
        """The best value of a column as it is printed; None where neither way is better or no row has one."""
        better, digits = self.columns[column].better, self.columns[column].digits
        values = [round(v, digits) for row in self.rows if _is_number(v := row.values[column])]
        if not better or not values:
            return None
        return min(values) if better == "lower" else max(values)

    def cells(self) -> list[list[str]]:
        """rows × columns the values as printed, "-" for none."""
        return [[_printed(v, c) for v, c in zip(row.values, self.columns, strict=True)] for row in self.rows]


def to_text(table: Table) -> str:
    """For a terminal: aligned, best values between asterisks, published rows marked."""
    header = ["", *(column.heading(_ARROWS[column.better]) for column in table.columns)]
    body = []
    for row, cells in zip(table.rows, table.cells(), strict=True):
        marked = [f"*{cell}*" if _is_best(table, row, i) else f"{cell} " for i, cell in enumerate(cells)]
        body.append([row.name + (f" {_MARK}" if row.published else ""), *marked])
    widths = [max(len(line[i]) for line in [header, *body]) for i in range(len(header))]
    lines = [table.title, "  ".join(_aligned(header, widths)).rstrip(), "-" * (sum(widths) + 2 * len(header) - 2)]
    lines += ["  ".join(_aligned(line, widths)).rstrip() for line in body]
    return "\n".join([*lines, *_notes(table)]) + "\n"


def to_csv(table: Table) -> str:
    """For spreadsheets: full precision, units in the headings, a column that says which rows are published."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["method", *(column.heading("") for column in table.columns), "published", "source"])
    for row in table.rows:
        values = [repr(float(v)) if _is_number(v) else "" for v in row.values]
        writer.writerow([row.name, *values, "yes" if row.published else "no", row.source])
    return buffer.getvalue()


def to_latex(table: Table) -> str:
    """For papers: a `tabular` with booktabs' rules, best values bold, published rows marked."""
    header = ["Method", *(f"{_escaped(c.heading(''))} {_LATEX_ARROWS[c.better]}".strip() for c in table.columns)]
    lines = [rf"% {table.title}", rf"\begin{{tabular}}{{l{'r' * len(table.columns)}}}", r"\toprule"]
    lines += [" & ".join(header) + r" \\", r"\midrule"]
    for row, cells in zip(table.rows, table.cells(), strict=True):
        shown = [rf"\textbf{{{cell}}}" if _is_best(table, row, i) else cell for i, cell in enumerate(cells)]
        lines.append(" & ".join([_escaped(row.name) + (r"$^\dagger$" if row.published else ""), *shown]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in _notes(table))]
    return "\n".join(lines) + "\n"


def to_json(table: Table) -> str:
    """For programs: everything, in full precision; values that are no numbers are null."""
    rows = [
        dataclasses.asdict(row) | {"values": [float(v) if _is_number(v) else None for v in row.values]}
        for row in table.rows
    ]
    content = {
        "format": FORMAT,
        "title": table.title,
        "columns": [dataclasses.asdict(column) for column in table.columns],
        "rows": rows,
        "notes": list(table.notes),
    }
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def from_json(text: str) -> Table:
    """The table that `to_json` wrote. Raises InputError where the text is none."""
    try:
        content: dict[str, Any] = json.loads(text)
        if content["format"] != FORMAT:
            raise InputError(f"expected a table of format {FORMAT}, found {content['format']}")
        columns = tuple(Column(**column) for column in content["columns"])
        rows = tuple(Row(**(row | {"values": tuple(row["values"])})) for row in content["rows"])
        return Table(str(content["title"]), columns, rows, tuple(content["notes"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("expected a table as JSON, found something else; write it with this program") from None


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _printed(value: float | None, column: Column) -> str:
    return f"{value:.{column.digits}f}" if _is_number(value) else "-"


def _is_best(table: Table, row: Row, column: int) -> bool:
    value, best = row.values[column], table.best(column)
    return best is not None and _is_number(value) and round(value, table.columns[column].digits) == best


def _aligned(line: list[str], widths: list[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]


def _notes(table: Table) -> list[str]:
    sources = dict.fromkeys(row.source for row in table.rows if row.published and row.source)
    published = any(row.published for row in table.rows)
    mark = [f"{_MARK} {_PUBLISHED}" + (f": {'; '.join(sources)}" if sources else "")] if published else []
    return [*mark, *table.notes]


def _escaped(text: str) -> str:
    return "".join(_LATEX_SPECIAL.get(letter, letter) for letter in text.replace("\\", "/"))
