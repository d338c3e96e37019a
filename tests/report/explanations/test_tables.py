from __future__ import annotations

import csv
import math
import re
import shutil
import subprocess

import pytest

from softcam.errors import InputError
from softcam.evaluation.explanations.measures import MEASURE
from softcam.report.explanations.tables import to_latex, to_markdown, write_csv
from tests.report.explanations.sample import FORMULA, HOSTILE, KEYS, TEX, make


@pytest.fixture(scope="module")
def result():
    return make(gallery=0)


@pytest.fixture(scope="module")
def large():
    return make(60, keys=tuple(MEASURE), gallery=0, cases=4)


@pytest.fixture(scope="module")
def files(result, tmp_path_factory):
    folder = tmp_path_factory.mktemp("csv")
    paths = write_csv(result, folder)
    return {path.name: list(csv.DictReader(path.open(newline=""))) for path in paths}


def test_markdown_tables_have_as_many_cells_in_every_line_as_in_their_head(result):
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", to_markdown(result), re.MULTILINE)
    assert len(blocks) == 9
    for block in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1


def test_markdown_says_the_conclusions_first_and_means_nothing_by_names(result):
    text = to_markdown(result)
    assert text.index("What may be concluded") < text.index("Is the answer right?")
    assert "No method beats the floor in every measure." in text
    assert HOSTILE not in text
    assert r"\<script\>" in text
    assert r"a\_b \| c" in text
    assert "Activation precision ↑" in text
    assert "Deletion AUC ↓" in text
    assert re.search(r"\| \*\*\d\.\d{3}\*\* \[\d\.\d\d, \d\.\d\d\] \|", text)


def check_latex(text):
    """Braces and environments close in order; no sign is left that would mean something."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert not re.search(r"(?<!\\)[%#_^~]", body)
    assert set(re.findall(r"(?<!\\)\$([^$]*)\$", body)) <= {r"\uparrow", r"\downarrow", r"\pm", "-"}


def test_latex_closes_what_it_opens_and_escapes_names(result):
    text = to_latex(result)
    check_latex(text)
    assert r"\toprule" in text
    assert r"\caption{Is the map right? Localisation. Means over 12 cases" in text
    assert r"Twin \& co\_1" in text
    assert r"LRP 100\%" in text
    assert r"\textless{}script\textgreater{}" in text


@pytest.mark.parametrize("sign", [TEX, FORMULA, "\\", "line\nbreak", '100 % {a}_b^c~d|e"f\x07'])
def test_latex_takes_any_text(sign):
    given = make(3, gallery=0)
    check_latex(to_latex(type(given)(**{**vars(given), "conclusions": (sign,)})))


def test_latex_rows_have_as_many_cells_as_their_table_has_columns(large):
    text = to_latex(large)
    check_latex(text)
    tables = re.findall(r"\\begin\{tabular\}\{([^\n]*)\}\n(.*?)\\end\{tabular\}", text, re.DOTALL)
    assert len(tables) > 10
    for columns, body in tables:
        width = len(re.sub(r"p\{[^}]*\}", "p", columns))
        rows = [line for line in body.splitlines() if line.endswith(r"\tabularnewline")]
        assert len(rows) <= 45 + 3
        for row in rows:
            if "multicolumn" not in row:
                assert len(re.findall(r"(?<!\\)&", row)) == width - 1


def test_a_divided_latex_table_keeps_every_cell_and_gives_each_part_its_label(large):
    text = to_latex(large).replace("$-$", "-")
    labels = re.findall(r"\\label\{(.*)\}", text)
    assert len(labels) == len(set(labels))
    assert "Part 1 of" in text
    for row in large.rows:
        found = row.means["dice_best"]
        assert f"{found.value:.3f}" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(large, tmp_path):
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{booktabs}"
        f"\\begin{{document}}{to_latex(large)}\\end{{document}}",
        encoding="utf-8",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, timeout=120)


def test_methods_csv_has_a_row_for_every_method_and_measure(result, files):
    rows = files["methods.csv"]
    assert len(rows) == len(result.rows) * len(KEYS)
    assert list(rows[0]) == [
        "subject", "method", "map", "measure", "group", "value", "low", "high", "n", "undefined",
        "rank", "rank_low", "rank_high", "difference", "difference_low", "difference_high",
        "seconds_per_map", "peak_mib",
    ]  # fmt: skip
    by_key = {(r["subject"], r["method"], r["map"], r["measure"]): r for r in rows}
    for row in result.rows:
        for key in KEYS:
            m = row.method
            got, mean = by_key[m.subject, m.name, m.map, key], row.means[key]
            assert got["group"] == MEASURE[key].group
            assert (got["value"] == "") == math.isnan(mean.value)
            if got["value"]:
                assert float(got["value"]) == pytest.approx(mean.value, rel=1e-5)
                assert float(got["low"]) == pytest.approx(mean.low, rel=1e-5)
            assert int(got["undefined"]) == row.undefined[key]
            assert (got["rank"] == "") == (key == "gini")
    assert by_key["SoftCAM", "native", "contrast", "gini"]["seconds_per_map"] == ""


def test_cases_csv_holds_every_value_and_names_as_they_are_in_the_table(result, files):
    rows = files["cases.csv"]
    assert len(rows) == len(result.cases) * len(result.rows) * len(KEYS)
    assert {FORMULA, TEX, HOSTILE} <= {row["image"] for row in rows}
    assert {row["patient"] for row in rows} == {case.patient for case in result.cases}
    chosen = [
        row
        for row in rows
        if row["image"] == FORMULA and row["measure"] == "pixel_ap" and row["method"] == "uniform"
    ]
    assert len(chosen) == 1
    assert float(chosen[0]["value"]) == pytest.approx(result.values["pixel_ap"][0, -1], rel=1e-5)
    assert (chosen[0]["present"], chosen[0]["annotated"]) == ("1", "1")
    empty = [row for row in rows if row["image"] == TEX and row["measure"] == "pixel_ap"]
    assert {row["value"] for row in empty} == {""}
    assert {row["annotated"] for row in empty} == {"0"}


def test_curves_csv_holds_every_point(result, files):
    rows = files["curves.csv"]
    assert len(rows) == sum(len(c.x) * len(c.curves) for c in result.curves)
    assert [row["mean"] for row in rows].count("") == 2 * 2
    assert {row["curve"] for row in rows} == {"deletion_confidence", "insertion_confidence"}


def test_lesions_csv_counts_by_method_finding_and_size(result, files):
    rows = files["lesions.csv"]
    assert len(rows) == len(result.recalls) == len(result.rows) * 2 * 3
    first = {key: rows[1][key] for key in ("method", "finding", "size_from", "size_below")}
    assert first == {
        "method": "native", "finding": "spot", "size_from": "0.001", "size_below": "0.01",
    }  # fmt: skip
    assert (rows[1]["lesions"], rows[1]["found"], rows[1]["recall"]) == ("3", "1", "0.5")
    assert (rows[5]["lesions"], rows[5]["recall"]) == ("0", "")


def test_a_folder_that_does_not_exist_is_said(result, tmp_path):
    with pytest.raises(InputError, match="cannot write here"):
        write_csv(result, tmp_path / "nowhere")
