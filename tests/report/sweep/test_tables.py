import csv
import io
import json
from dataclasses import replace

import pytest

from softcam.report.latex import to_latex
from softcam.report.sweep.tables import (
    runs_to_csv,
    tables,
    terminal_rows,
    to_csv,
    validation_table,
)
from softcam.report.table_files import to_markdown
from tests.report.sweep.sample import result


def read(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_the_csv_has_every_number_of_every_recipe():
    rows = {line["recipe"]: line for line in read(to_csv(result()))}
    line = rows["l1-1"]
    assert line["chosen"] == "true" and line["within"] == "true"
    assert float(line["val_auc"]) == pytest.approx(0.9)
    assert float(line["val_auc_sd_over_seeds"]) == pytest.approx(0.1)
    assert float(line["test_deletion_gain_minus_twin_p_holm"]) == pytest.approx(0.4)
    assert float(line["test_deletion_gain_low"]) == pytest.approx(0.1)
    assert json.loads(line["changes"]) == {"l1": 1.0}
    assert rows["black-box"]["test_auc_minus_twin"] == ""
    assert rows["deep"]["val_auc"] == ""  # undefined


def test_every_run_has_a_line():
    lines = read(runs_to_csv(result()))
    assert len(lines) == 27
    line = next(one for one in lines if (one["recipe"], one["seed"]) == ("l1-1", "2"))
    assert float(line["val_deletion_gain"]) == pytest.approx(0.4)
    assert line["folder"] == "runs/l1-1/seed2"


def test_validation_and_test_stand_in_tables_of_their_own():
    first, second = tables(result())
    assert (first.key, second.key) == ("validation", "test")
    assert all(len(line.cells) == len(first.columns) for line in first.rows)
    assert all(len(line.cells) == len(second.columns) for line in second.rows)
    assert "Test images" not in first.caption
    bare = result(rows=tuple(replace(row, test={}) for row in result().rows))
    assert [table.key for table in tables(bare)] == ["validation"]


def test_what_looks_at_annotations_is_called_so():
    heads = [column.label for column in tables(result())[1].columns]
    assert "Pointing game (annotations)" in heads
    assert "No annotation was looked at" in validation_table(result()).caption
    located = validation_table(result(select_by="localisation"))
    assert "used annotations of validation images" in located.caption


def test_the_chosen_recipe_and_those_within_reach_are_told():
    states = {line.name: line.cells[-1].text for line in validation_table(result()).rows}
    assert states["l1-1"] == "yes, chosen"
    assert (states["dense"], states["l1-0.1"], states["black-box"]) == ("yes", "no", "the twin")


def test_markdown_and_latex_hold_rule_values_and_spread():
    text = to_markdown(tables(result()), "Sweep")
    assert "0.900 ± 0.100" in text and "l1-1 is best." in text
    latex = to_latex(tables(result()), "sweep")
    assert r"0.900 $\pm$ 0.100" in latex and r"\& 50 \%" in latex


def test_the_terminal_marks_the_chosen_one():
    heads, rows = terminal_rows(result())
    assert heads == ["Recipe", "val AUC", "val deletion gain", "test AUC", "test deletion gain"]
    assert [row[0] for row in rows if row[0].endswith("*")] == ["l1-1 *"]
