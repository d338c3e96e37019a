"""A table in three formats has the same numbers, and its text means nothing to any of them."""

import csv
import io
import re

import pytest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval
from softcam.report.latex import to_latex
from softcam.report.table import Cell, Column, Row, Table, measured, p_value
from softcam.report.table_files import (
    markdown_table,
    to_csv,
    to_markdown,
    write_tables,
)
from tests.report.explanations.test_tables import check_latex

NAN = float("nan")
HOSTILE = "a|b_c & 100% #1 ~ ^ {x} $y$ \\input{z} <script>"


@pytest.fixture
def table():
    return mixed()


def mixed():
    """A table of intervals, numbers and words, with names that mean something to TeX."""
    rows = (
        Row(
            "AUC",
            (measured(Interval(0.91, 0.85, 0.95, 50, 0)), p_value(0.0123456789), Cell("yes")),
            "dense",
        ),
        Row(HOSTILE, (measured(Interval(NAN, NAN, NAN, 0, 0)), p_value(NAN), Cell("n/a")), "dense"),
        Row(
            "Loss", (measured(Interval(0.3, NAN, NAN, 50, 0)), p_value(1e-5), Cell("no")), "sparse"
        ),
        Row(
            "Gap", (measured(Interval(-0.1, -0.2, 0.1, 9, 0)), Cell("2e-05"), Cell("a-1")), "sparse"
        ),
    )
    columns = (Column("Value", "↑"), Column("p, 100%"), Column("word"))
    return Table("main", "Title_1", "Means, 50 % of them.", "Measure", columns, rows, ("A_note.",))


def test_csv_has_every_number_with_six_digits_and_undefined_empty(table):
    head, first, second, third, _ = list(csv.reader(io.StringIO(to_csv(table))))
    assert head == [
        "subject", "Measure", "Value", "Value low", "Value high", "p, 100%", "word",
    ]  # fmt: skip
    assert first == ["dense", "AUC", "0.91", "0.85", "0.95", "0.0123457", "yes"]
    assert second == ["dense", HOSTILE, "", "", "", "", ""]
    assert third == ["sparse", "Loss", "0.3", "", "", "1e-05", "no"]


def test_all_three_formats_show_the_same_numbers(table):
    latex = to_latex([table])
    check_latex(latex)
    bare = latex.replace("{\\tiny ", "").replace("]}", "]").replace("$-$", "-")
    assert "$-$0.100 {\\tiny [$-$0.20, 0.10]} & 2e-05 & a-1" in latex
    for text in (to_markdown([table], "All"), bare):
        assert "-0.100 [-0.20, 0.10]" in text
        assert "0.910 [0.85, 0.95]" in text
        assert "0.012" in text
        assert "0.300 [n/a]" in text
    assert "<0.001" in markdown_table(table)
    assert r"\textless{}0.001" in latex


def test_notes_stand_below_in_markdown_and_latex(table):
    assert to_markdown([table], "All").rstrip().endswith(r"- A\_note.")
    latex = to_latex([table], "compare")
    assert latex.index(r"A\_note.") > latex.index(r"\end{tabular}")
    assert r"\label{tab:compare-main}" in latex
    assert r"\caption{Title\_1. Means, 50 \% of them.}" in latex


def test_names_are_escaped_in_markdown(table):
    lines = markdown_table(table).splitlines()
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {5}
    assert "<script>" not in "\n".join(lines)


def test_a_table_without_rows_is_still_a_table(table):
    empty = Table(**{**vars(table), "rows": ()})
    assert markdown_table(empty).count("\n") == 1
    check_latex(to_latex([empty]))
    assert to_csv(empty) == 'Measure,Value,"p, 100%",word\r\n'


def test_files_are_named_by_stem_and_key(table, tmp_path):
    other = Table(**{**vars(table), "key": "seeds"})
    written = write_tables([table, other], tmp_path, "compare", title="All")
    assert [path.name for path in written] == [
        "compare.csv", "compare-seeds.csv", "compare.md", "compare.tex",
    ]  # fmt: skip
    assert (tmp_path / "compare.csv").read_bytes() == to_csv(table).encode()
    with pytest.raises(InputError, match="cannot write"):
        write_tables([table], tmp_path / "missing", "compare", title="All")
