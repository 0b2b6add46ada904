"""The table as text, CSV, JSON and LaTeX."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from flowface_jax.storage import write_bytes, write_json
from flowface_jax.training.sweeps.table import MemberRow, Row, Spread, Table

NUMBERS = {"nme": 3, "within_one": 1, "within_two": 1, "seconds": 0}
"""The measured columns and their decimals."""
_HEADINGS = {"nme": "NME %", "within_one": "in 1σ %", "within_two": "in 2σ %", "seconds": "seconds"}
_LATEX_HEADINGS = {
    "nme": r"NME (\%)",
    "within_one": r"in $1\sigma$ (\%)",
    "within_two": r"in $2\sigma$ (\%)",
    "seconds": "seconds",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}


def write_table(table: Table, folder: Path) -> None:
    """Write table.txt, table.csv, table.json and table.tex into the folder, each in one step."""
    for ending, text in (("txt", as_text(table)), ("csv", as_csv(table)), ("tex", as_latex(table))):
        write_bytes(folder / f"table.{ending}", text.encode())
    write_json(folder / "table.json", as_mapping(table))


def as_text(table: Table) -> str:
    """Columns for a terminal, and below them the failed members with their reasons."""
    lines = [[*table.varied, "state", "steps", *_HEADINGS.values()]]
    lines += [[*_values(row), row.status, _count(row.step), *_spreads(row, " ± ")] for row in table.rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    left = len(table.varied) + 1
    told = [
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    told.insert(1, "  ".join("-" * width for width in widths))
    if table.seeded:
        told += ["", "mean ± standard deviation over the seeds that are done"]
    if table.failed:
        told += ["", *map(_failure, table.failed)]
    return "\n".join(told) + "\n"


def as_csv(table: Table) -> str:
    """A line for each row: plain numbers, standard deviations in columns of their own, reasons of failures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    measured = [f"{name}_{part}" for name in NUMBERS for part in ("mean", "std")]
    writer.writerow([*table.varied, "state", "members", "steps", *measured, "reason"])
    for row in table.rows:
        spreads = [getattr(row, name) for name in NUMBERS]
        numbers = [number for spread in spreads for number in (spread.mean, spread.std)]
        reasons = "; ".join(member.state.reason for member in row.members if member.state.reason)
        writer.writerow([*_values(row), row.status, len(row.members), row.step, *numbers, reasons])
    return text.getvalue()


def as_mapping(table: Table) -> dict[str, Any]:
    """The rows with all of their members, for JSON."""
    return {"varied": list(table.varied), "rows": [_row_mapping(table, row) for row in table.rows]}


def as_latex(table: Table) -> str:
    """A tabular of booktabs; failed members are comments."""
    headings = [*map(_escaped, table.varied), "state", "steps", *_LATEX_HEADINGS.values()]
    lines = [
        rf"\begin{{tabular}}{{{'l' * (len(table.varied) + 1)}{'r' * (1 + len(NUMBERS))}}}",
        r"\toprule",
        " & ".join(headings) + r" \\",
        r"\midrule",
    ]
    for row in table.rows:
        cells = [*map(_escaped, (*_values(row), row.status)), _count(row.step), *_spreads(row, r" $\pm$ ")]
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    return "\n".join([*(f"% {_failure(row)}" for row in table.failed), *lines]) + "\n"


def _row_mapping(table: Table, row: Row) -> dict[str, Any]:
    return {
        "settings": dict(zip(table.varied, row.values, strict=True)),
        "state": row.status,
        "steps": row.step,
        **{name: {"mean": getattr(row, name).mean, "std": getattr(row, name).std} for name in NUMBERS},
        "members": [_member_mapping(member) for member in row.members],
    }


def _member_mapping(row: MemberRow) -> dict[str, Any]:
    state, measured = row.state, row.measured
    return {
        "name": row.member.name,
        "config": row.member.label,
        "seed": row.member.flat_settings.get("run.seed"),
        "state": state.status,
        "attempts": state.attempts,
        "exit_code": state.exit_code,
        "reason": state.reason,
        "seconds": state.seconds,
        "host": state.host,
        "steps": measured.step,
        "nme": measured.nme,
        "within_one": measured.within_one,
        "within_two": measured.within_two,
    }


def _values(row: Row) -> list[str]:
    return [",".join(map(str, value)) if isinstance(value, list | tuple) else str(value) for value in row.values]


def _spreads(row: Row, sign: str) -> list[str]:
    return [_spread(getattr(row, name), decimals, sign) for name, decimals in NUMBERS.items()]


def _spread(spread: Spread, decimals: int, sign: str) -> str:
    if spread.mean is None:
        return "–"
    deviation = "" if spread.std is None else f"{sign}{spread.std:.{decimals}f}"
    return f"{spread.mean:.{decimals}f}{deviation}"


def _count(number: int | None) -> str:
    return "–" if number is None else str(number)


def _failure(row: MemberRow) -> str:
    state = row.state
    tries = "1 attempt" if state.attempts == 1 else f"{state.attempts} attempts"
    return f"failed: {row.member.name} on {state.host}, exit code {state.exit_code} after {tries}: {state.reason}"


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
