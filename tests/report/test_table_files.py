"""A table in three formats has the same numbers, and its text means nothing to any of them."""

import csv
import io
import re

import pytest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval
from softcam.report.table import Cell, Column, Row, Table, figure, measured, p_value
from softcam.report.table_files import (
    markdown_table,
    to_csv,
    to_latex,
    to_markdown,
    write_tables,
)
from tests.report.explanations.test_tables import check_latex

NAN = float("nan")
HOSTILE = "a|b_c & 100% #1 ~ ^ {x} $y$ \\input{z} <script>"


@pytest.fixture
def table():
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


def test_subjects_are_headings_in_latex_only_where_rows_are_grouped(table):
    assert r"\multicolumn{4}{l}{\textit{dense}}" in to_latex([table])
    alone = Table(**{**vars(table), "grouped": False})
    assert "multicolumn" not in to_latex([alone])
    assert "dense: AUC" in to_latex([alone])


def test_a_table_without_rows_is_still_a_table(table):
    empty = Table(**{**vars(table), "rows": ()})
    assert markdown_table(empty).count("\n") == 1
    check_latex(to_latex([empty]))
    assert to_csv(empty) == 'Measure,Value,"p, 100%",word\r\n'


def test_numbers_take_less_room_than_intervals_in_latex():
    def parts(cell, count):
        columns = tuple(Column(str(i)) for i in range(count))
        one = Table("k", "T", "", "Name", columns, (Row("r", (cell,) * count),))
        return to_latex([one]).count(r"\begin{tabular}")

    assert parts(figure(0.5), 8) == 1
    assert parts(figure(0.5), 9) == 2
    assert parts(measured(Interval(0.5, 0.4, 0.6, 9, 0)), 4) == 1
    assert parts(measured(Interval(0.5, 0.4, 0.6, 9, 0)), 5) == 2


def test_notes_of_a_divided_table_stand_below_its_last_part(table):
    rows = tuple(Row(row.name, (figure(0.5),) * 9) for row in table.rows)
    latex = to_latex([Table("k", "T", "", "Name", (Column("x"),) * 9, rows, ("Only once.",))])
    assert latex.count("Part ") == 2
    assert latex.count("Only once.") == 1
    assert latex.index("Only once.") > latex.rindex(r"\end{tabular}")


def test_files_are_named_by_stem_and_key(table, tmp_path):
    other = Table(**{**vars(table), "key": "seeds"})
    written = write_tables([table, other], tmp_path, "compare", title="All")
    assert [path.name for path in written] == [
        "compare.csv", "compare-seeds.csv", "compare.md", "compare.tex",
    ]  # fmt: skip
    assert (tmp_path / "compare.csv").read_bytes() == to_csv(table).encode()
    with pytest.raises(InputError, match="cannot write"):
        write_tables([table], tmp_path / "missing", "compare", title="All")
