"""Tables beside the published ones, written as text, CSV, LaTeX and JSON; and how the programs end."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flowface_jax.errors import FlowfaceError, InputError
from flowface_jax.evaluation.tables import Column, Row, Table, to_csv, to_json, to_latex, to_text
from flowface_jax.storage import write_bytes

FORMATS: dict[str, Callable[[Table], str]] = {"csv": to_csv, "tex": to_latex, "json": to_json}
OTHER_DATA = "measured on other data than the table above: compare the order, not values"
SYNTHETIC = "output/benchmark"
"""Where synthetic_benchmark.py writes unless told otherwise, and where the tables look for its captures."""


def beside(
    published: Table, rows: Sequence[Row], notes: Sequence[str] = (), extra: Sequence[Column] = ()
) -> dict[str, Table]:
    """Own rows measured on the published table's data, under its rows in one table, by its name "" in file names.

    rows: with values for the table's columns and then for `extra`, which the published rows have none of.
    """
    return {"": _extended(published, rows, notes, extra)}


def apart(
    published: Table, title: str, rows: Sequence[Row], notes: Sequence[str] = (), extra: Sequence[Column] = ()
) -> dict[str, Table]:
    """Own rows measured on other data: a table of its own, so that no best value is chosen across data, and the
    published one after it, by their names in file names.
    """
    own = _extended(dataclasses.replace(published, title=title, rows=(), notes=()), rows, notes, extra)
    theirs = dataclasses.replace(published, notes=(*published.notes, OTHER_DATA))
    return {"": own, "published": theirs}


def write_tables(folder: Path, name: str, tables: Mapping[str, Table]) -> str:
    """Write NAME.txt with all tables and NAME[_PART].csv, .tex and .json of each; returns the text."""
    text = "\n".join(to_text(table) for table in tables.values())
    write_bytes(folder / f"{name}.txt", text.encode())
    for part, table in tables.items():
        stem = "_".join(filter(None, (name, part)))
        for ending, form in FORMATS.items():
            write_bytes(folder / f"{stem}.{ending}", form(table).encode())
    return text


def named_paths(items: Sequence[str], option: str) -> dict[str, Path]:
    """The paths of options NAME=PATH. Raises InputError for other forms, a name twice, or a path that is not there."""
    found: dict[str, Path] = {}
    for item in items:
        name, separator, path = item.partition("=")
        if not separator or not name or not path or name in found:
            raise InputError(f"{option}: expected NAME=PATH with a name of its own, found '{item}'")
        if not Path(path).exists():
            raise InputError(f"{option} {name}: no such file or folder: {path}; check the path")
        found[name] = Path(path)
    return found


def add_output(parser: argparse.ArgumentParser, name: str) -> None:
    """The options that all tables have."""
    parser.add_argument("--out", type=Path, default=Path("output/tables"), help=f"folder for {name}.txt, .csv, …")
    parser.add_argument(
        "--synthetic", type=Path, default=Path(SYNTHETIC), metavar="DIR", help="output of synthetic_benchmark.py"
    )


def run(main: Callable[[], object]) -> None:
    """Run a program; errors that a user can mend end it with one line."""
    try:
        main()
    except FlowfaceError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


def _extended(table: Table, rows: Sequence[Row], notes: Sequence[str], extra: Sequence[Column]) -> Table:
    wider = tuple(dataclasses.replace(row, values=(*row.values, *([None] * len(extra)))) for row in table.rows)
    return Table(table.title, (*table.columns, *extra), (*wider, *rows), (*table.notes, *notes))
