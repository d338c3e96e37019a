"""Our figures stand beside the published ones, and what is not known is an empty cell."""

from __future__ import annotations

import csv
import io

import pytest

from softcam.report.latex import to_latex
from softcam.report.reproduction.content import ROLES
from softcam.report.reproduction.tables import ordered, performance_table, tables
from softcam.report.table_files import to_csv
from tests.report.reproduction.sample import BOX, FLOOR, SPARSE, reproduction


def rows(table) -> dict[str, dict[str, str]]:
    key = table.corner
    return {row[key]: row for row in csv.DictReader(io.StringIO(to_csv(table)))}


def test_a_published_figure_stands_beside_ours_and_an_unknown_one_is_empty():
    table = performance_table(reproduction())
    found = rows(table)
    assert list(found) == list(ROLES.values())
    sparse, dense = found["Sparse SoftCAM (l1)"], found["Dense SoftCAM"]
    assert (sparse["AUC"], sparse["AUC, published"]) == ("0.77", "0.938")
    assert (dense["AUC"], dense["AUC, published"]) == ("0.76", "")
    assert (dense["AUC, less the black box's"], dense["p (Holm)"]) == ("0.01", "0.25")
    assert found["Black box"]["AUC, less the black box's"] == ""


def test_notes_count_the_empty_cells_and_name_the_sources():
    notes = " ".join(performance_table(reproduction()).notes)
    assert "4 of 5 published figures are not known" in notes
    assert "Published figures (1) from: reading notes." in notes
    assert "A note & more." in notes
    without = " ".join(performance_table(reproduction(published=False)).notes)
    assert "5 of 5 published figures" in without and "from:" not in without


def test_own_maps_are_shown_models_first_and_floors_last():
    assert ordered(reproduction().parts[0]) == [SPARSE, BOX, FLOOR]


def test_explanations_have_published_figures_of_methods_too():
    found = {table.key: rows(table) for table in tables(reproduction())}
    box = found["explanation"]["Grad-CAM (black box)"]
    name = "Activation precision"
    assert (box[name], box[f"{name} low"], box[f"{name}, published"]) == ("0.25", "0.15", "0.3")
    assert found["explanation"]["Sparse SoftCAM (l1)"][f"{name}, published"] == ""
    assert found["consistency"]["Sparse SoftCAM (l1)"]["Positive share, diseased"] == "0.75"


def test_several_seeds_give_their_mean_and_deviation():
    result = reproduction(seeds=3)  # 0.5, 0.7, 0.9
    value, spread = result.parts[0].explanation(SPARSE, "activation_precision")
    assert (value.value, spread) == (pytest.approx(0.7), pytest.approx(0.2))
    table = next(table for table in tables(result) if table.key == "explanation")
    assert table.rows[0].cells[0].text == "0.700 ± 0.200"
    assert "the mean of 3 seeds" in table.caption


def test_penalties_say_where_they_come_from():
    table = next(table for table in tables(reproduction()) if table.key == "penalties")
    assert [cell.text for cell in table.rows[0].cells] == ["1e-06", "0", "notes"]


def test_latex_escapes_and_closes_every_table():
    text = to_latex(tables(reproduction()), "tables")
    assert text.count("\\begin{table}") == text.count("\\end{table}") > 0
    assert "\\textless{}onset\\textgreater{}" in text
