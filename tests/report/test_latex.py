"""LaTeX tables are as narrow as a page, keep every cell, and say what they said before."""

import re
import shutil
import subprocess

import pytest

from softcam.evaluation.bootstrap import Interval
from softcam.report.latex import to_latex
from softcam.report.table import Cell, Column, Row, Table, figure, measured
from tests.report.test_table_files import mixed

HALF = measured(Interval(0.5, 0.4, 0.6, 9, 0))


@pytest.fixture
def table():
    return mixed()


def widths(latex):
    """Columns of each part."""
    found = re.findall(r"\\begin\{tabular\}\{(.*)\}", latex)
    return [len(re.sub(r"p\{[^}]*\}", "p", columns)) for columns in found]


def pages(latex, folder):
    """What pdflatex says of an article with these tables."""
    (folder / "page.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        f"\\begin{{document}}{latex}\\end{{document}}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return (folder / "page.log").read_text(encoding="latin-1")


def test_subjects_are_headings_in_latex_only_where_rows_are_grouped(table):
    assert r"\multicolumn{4}{l}{\textit{dense}}" in to_latex([table])
    alone = Table(**{**vars(table), "grouped": False})
    assert "multicolumn" not in to_latex([alone])
    assert "dense: AUC" in to_latex([alone])


def test_notes_of_a_divided_table_stand_below_its_last_part(table):
    rows = tuple(Row(row.name, (figure(0.5),) * 9) for row in table.rows)
    latex = to_latex([Table("k", "T", "", "Name", (Column("x"),) * 9, rows, ("Only once.",))])
    assert latex.count("Part ") == 2
    assert latex.count("Only once.") == 1
    assert latex.index("Only once.") > latex.rindex(r"\end{tabular}")


def test_numbers_take_less_room_than_intervals():
    def parts(cell, count):
        columns = tuple(Column(str(i)) for i in range(count))
        one = Table("k", "T", "", "Name", columns, (Row("A method's name", (cell,) * count),))
        return len(widths(to_latex([one])))

    assert parts(figure(0.5), 8) == 1
    assert parts(HALF, 4) == 1
    assert parts(HALF, 8) == 2


def test_a_head_is_broken_between_words_and_its_arrow_stays_with_the_last():
    columns = (Column("Activation precision", "↑"), Column("AUC", "↑"))
    latex = to_latex([Table("k", "T", "", "Name", columns, (Row("r", (figure(0.5),) * 2),))])
    assert r"\shortstack[r]{Activation \\ precision $\uparrow$} & AUC $\uparrow$" in latex


def test_long_names_and_words_break_inside_their_column():
    row = Row(
        "Integrated gradients, contrast, of the other twin", (Cell("words " * 20, numeric=False),)
    )
    latex = to_latex([Table("k", "T", "", "Name", (Column("Why"),), (row,))])
    shares = [float(share) for share in re.findall(r"p\{([\d.]+)\\linewidth\}", latex)]
    assert len(shares) == 2 and sum(shares) < 1
    assert r"\raggedright Integrated" in latex and r"\raggedright words" in latex


def test_rows_that_take_several_lines_are_counted_so():
    def parts(name):
        rows = tuple(Row(f"{name} {i}", (figure(0.5),)) for i in range(40))
        return len(widths(to_latex([Table("k", "T", "", "Name", (Column("x"),), rows)])))

    assert parts("short") == 1
    assert parts("a name that needs no less than two lines of its column") == 2


def test_every_cell_of_a_divided_table_stands_in_one_part():
    rows = tuple(Row(f"r{i}", tuple(figure(100 * i + j, 0) for j in range(30))) for i in range(90))
    columns = tuple(Column(f"c{j}") for j in range(30))
    latex = to_latex([Table("k", "T", "", "Name", columns, rows)])
    assert len(widths(latex)) > 3
    for i in range(90):
        for j in range(30):
            assert len(re.findall(rf"& {100 * i + j}(?= )", latex)) == 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("count", [1, 3, 7, 12, 20])
def test_no_table_is_wider_than_the_page(count, table, tmp_path):
    labels = ("Activation precision", "AUC", "Deletion gain, less the twin's", "p (Holm)")
    columns = tuple(Column(labels[i % 4], "↑") for i in range(count))
    cells = (measured(Interval(-0.123, -0.234, -0.012, 9, 0)), HALF, figure(12.345))
    names = ("Guided Grad-CAM, contrast", "Evidence, own", "Integrated gradients, contrast")
    rows = tuple(Row(name, tuple(cells[i % 3] for i in range(count))) for name in names)
    log = pages(to_latex([Table("k", "T", "", "Method", columns, rows), table]), tmp_path)
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt", log)]
    assert max(wide, default=0.0) < 2
