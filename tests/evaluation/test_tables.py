"""Tables of results and what they are printed as."""

from __future__ import annotations

import csv
import io

import pytest

from flowface_jax.errors import InputError
from flowface_jax.evaluation import published
from flowface_jax.evaluation.tables import Column, Row, Table, from_json, to_csv, to_json, to_latex, to_text

TABLE = Table(
    "Faces & errors",
    (Column("CD", "mm"), Column("PSNR", "dB", "higher", 1), Column("images", "", "", 0)),
    (
        Row("theirs_1", (1.234, 30.0, 10), published=True, source="a paper"),
        Row("ours", (1.2301, float("nan"), 12), source="here"),
        Row("none", (None, 29.96, None)),
    ),
    ("a note",),
)


def test_the_best_is_that_of_the_printed_values():
    assert (TABLE.best(0), TABLE.best(1), TABLE.best(2)) == (1.23, 30.0, None)
    text = to_text(TABLE)
    lines = text.splitlines()
    assert lines[1].split() == ["CD", "(mm)", "↓", "PSNR", "(dB)", "↑", "images"]
    assert lines[3].split() == ["theirs_1", "†", "*1.23*", "*30.0*", "10"]
    assert lines[4].split() == ["ours", "*1.23*", "-", "12"]
    assert lines[5].split() == ["none", "-", "*30.0*", "-"]
    assert "† as published, not measured here: a paper" in text and text.endswith("a note\n")
    assert len({len(line) for line in lines[3:5]} | {len(lines[2])}) <= 2


def test_latex_is_escaped_and_marked():
    text = to_latex(TABLE)
    assert r"\begin{tabular}{lrrr}" in text and r"theirs\_1$^\dagger$ & \textbf{1.23} & \textbf{30.0} & 10 \\" in text
    assert r"Method & CD (mm) $\downarrow$ & PSNR (dB) $\uparrow$ & images \\" in text


def test_csv_has_full_precision_and_says_what_is_published():
    rows = list(csv.reader(io.StringIO(to_csv(TABLE))))
    assert rows[0] == ["method", "CD (mm)", "PSNR (dB)", "images", "published", "source"]
    assert rows[1] == ["theirs_1", "1.234", "30.0", "10.0", "yes", "a paper"]
    assert rows[2] == ["ours", "1.2301", "", "12.0", "no", "here"]


def test_json_gives_the_table_back():
    again = from_json(to_json(TABLE))
    assert again.columns == TABLE.columns and again.notes == TABLE.notes
    assert again.rows[0] == TABLE.rows[0] and again.rows[1].values == (1.2301, None, 12)
    for wrong in ("{}", "[]", "no", '{"format": "other/1"}', to_json(TABLE).replace('"name"', '"title"')):
        with pytest.raises(InputError):
            from_json(wrong)


def test_rows_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="expected 3 values, found 1"):
        TABLE.with_row(Row("short", (1.0,)))


def test_published_tables_are_marked_as_such_and_take_more_rows():
    tables = [value for value in vars(published).values() if isinstance(value, Table)]
    assert len(tables) >= 6
    assert all(row.published and row.source for table in tables for row in table.rows)
    longer = published.FACESCAPE.with_row(Row("mine", (2.0, 0.09)))
    assert "mine " in to_text(longer) and longer.best(0) == 2.0
