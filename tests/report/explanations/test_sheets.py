from __future__ import annotations

from dataclasses import replace

import pytest

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.measures import MEASURE
from softcam.report.explanations.sheets import (
    answers_sheet,
    best_of,
    cost_sheet,
    flags,
    group_sheets,
    lesions_sheet,
    overview,
    sheets,
    skipped_sheet,
    undefined_sheet,
)
from softcam.report.table import number, span
from tests.report.explanations.sample import make

NAN = float("nan")


@pytest.fixture(scope="module")
def result():
    return make(gallery=0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2534, "0.253"),
        (NAN, "n/a"),
        (0.0, "0.000"),
        (-0.0, "0.000"),
        (3.2e-7, "3.2e-07"),
        (-1e-4, "-0.0001"),
        (123456.0, "1.2e+05"),
    ],
)
def test_a_number_is_never_hidden_by_its_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.211, 0.304), "[0.21, 0.30]"),
        ((0.2511, 0.2539), "[0.251, 0.254]"),
        ((NAN, NAN), "[n/a]"),
        ((-0.0003, 0.11), "[0.00, 0.11]"),
        ((0.0, 0.0), "[0.000, 0.000]"),
        ((1e-7, 3e-7), "[1e-07, 3e-07]"),
        ((-0.3, -0.1), "[-0.30, -0.10]"),
    ],
)
def test_an_interval_has_two_digits_or_as_many_as_it_needs(ends, text):
    assert span(Interval(0.25, *ends, 10, 0)) == text


def test_an_undefined_value_has_no_interval():
    assert span(Interval(NAN, 0.1, 0.2, 10, 0)) == ""


def test_groups_come_in_their_order_with_their_measures_arrows_and_every_method(result):
    found = group_sheets(result)
    assert [sheet.key for sheet in found] == ["localisation", "faithfulness", "consistency"]
    heads = {head.label: head.arrow for sheet in found for head in sheet.columns}
    assert heads["Pixel AP"] == "↑"
    assert heads["Deletion AUC"] == "↓"
    assert heads["Gini"] == ""
    for sheet in found:
        assert len(sheet.rows) == len(result.rows)
        assert all(len(line.cells) == len(sheet.columns) for line in sheet.rows)
    kinds = [line.kind for line in found[0].rows]
    assert kinds == ["reference", *[""] * (len(kinds) - 2), "floor"]


def test_cells_hold_the_means_of_their_method_and_measure(result):
    for sheet in group_sheets(result):
        for row, line in zip(result.rows, sheet.rows, strict=True):
            for head, cell in zip(sheet.columns[:-1], line.cells, strict=False):
                key = next(k for k, m in MEASURE.items() if m.label == head.label)
                assert cell.text == number(row.means[key].value)
            assert line.cells[-1].text == number(result.mean_rank(row, sheet.key), 2)


def test_bold_are_the_first_rank_and_the_ranks_whose_interval_reaches_it(result):
    def ranked(*ranks):
        rows = [
            replace(row, ranks={"pixel_ap": Interval(value, low, high, 6, 0)})
            for row, (value, low, high) in zip(result.rows, ranks, strict=False)
        ]
        return replace(result, rows=tuple(rows))

    found = ranked((2, 1, 3), (1, 1, 2), (3, 2, 4), (4, NAN, NAN))
    assert best_of(found, "pixel_ap") == {found.rows[0].method, found.rows[1].method}
    same = ranked((1.5, 1.5, 1.5), (1.5, 1.5, 1.5), (3, 3, 3))  # the same map by construction
    assert best_of(same, "pixel_ap") == {same.rows[0].method, same.rows[1].method}
    assert best_of(ranked((1, 1, 1)), "pixel_ap") == set()
    assert best_of(result, "gini") == set()


def test_the_overview_is_sorted_by_mean_rank_and_puts_unranked_methods_last(result):
    unranked = replace(result.rows[0], ranks={})
    sheet = overview(replace(result, rows=(unranked, *result.rows[1:])))
    assert [head.label for head in sheet.columns] == [
        "Localisation", "Faithfulness", "Consistency", "All",
    ]  # fmt: skip
    ranks = [line.cells[-1].text for line in sheet.rows]
    assert ranks[-1] == "n/a"
    assert [float(rank) for rank in ranks[:-1]] == sorted(float(rank) for rank in ranks[:-1])
    assert sheet.rows[-1].kind == "reference"


def test_without_annotations_there_is_no_localisation():
    bare = make(gallery=0, annotated=False)
    assert [sheet.key for sheet in group_sheets(bare)] == ["faithfulness", "consistency"]
    assert "Localisation" not in [head.label for head in overview(bare).columns]


def test_undefined_cases_are_counted_and_the_common_count_is_said_once(result):
    said = {line.name: line.cells[0].text for line in undefined_sheet(result).rows}
    assert said["Pixel AP"] == "6 for every method"
    assert said["Gini"] == "0 for most methods. 12 for SoftCAM: Uniform map"
    assert "Deletion AUC" not in said


def test_answers_times_and_reasons_stand_in_their_tables(result):
    answers = answers_sheet(result)
    assert str(answers.rows[0].cells[0]) == "0.912 [0.87, 0.94]"
    assert [str(cell) for cell in answers.rows[1].cells] == ["n/a", "0.850 [0.80, 0.90]"]
    cost = cost_sheet(result)
    assert [cell.text for cell in cost.rows[1].cells] == ["n/a", "12"]
    assert [cell.text for cell in cost.rows[0].cells] == ["0.01", "0"]
    assert skipped_sheet(result).rows[0].name == "LRP 100%"
    assert flags(result) == ["Twin & co_1: Grad-CAM, own: its map survives random weights."]


def test_tables_with_nothing_in_them_are_left_out(result):
    rows = tuple(replace(row, undefined={}) for row in result.rows)
    bare = replace(result, rows=rows, answers=(), skipped=())
    assert [sheet.key for sheet in sheets(bare)] == [
        "overview", "localisation", "faithfulness", "consistency", "lesions", "cost",
    ]  # fmt: skip
    unmarked = replace(bare, recalls=())
    assert "lesions" not in [sheet.key for sheet in sheets(unmarked)]


def test_recall_is_given_for_each_finding_and_size_that_has_lesions(result):
    sheet = lesions_sheet(result)
    heads = [head.label for head in sheet.columns]
    assert heads[:3] == [
        "spot, below 0.1 % (n = 4)", "spot, 0.1 to 1 % (n = 3)", "spot, from 1 % (n = 2)",
    ]  # fmt: skip
    assert len(heads) == 5  # of the other finding there is no large lesion
    assert [len(line.cells) for line in sheet.rows] == [5] * len(result.rows)
    assert str(sheet.rows[0].cells[0]) == "0.50 [0.25, 0.75]"
