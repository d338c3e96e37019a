"""The tables of a comparison say what they hold, and leave out what there is not."""

import numpy as np
import pytest

from softcam.evaluation.comparison.answers import stack_answers
from softcam.evaluation.comparison.compare import compare_answers
from softcam.evaluation.comparison.result import Group, ModelComparison
from softcam.evidence.info import Task
from softcam.report.comparison import comparison_tables, difference_table, models_table


def make(groups=((0,), (1, 2)), measures=("auc", "loss"), labels=None, own_patients=False):
    random = np.random.default_rng(0)
    truth = random.integers(0, 2, 40) if labels is None else labels
    scores = [random.dirichlet([1, 1], 40) for _ in range(3)]
    answers = stack_answers(
        Task.BINARY, ("no", "yes"), "yes", truth, scores, [one.argmax(1) for one in scores]
    )
    patients = [str(i if own_patients else i // 2) for i in range(40)]
    found = compare_answers(answers, patients, measures=measures, groups=groups, resamples=50)
    return ModelComparison(
        tuple(Group(f"m{i}", tuple(map(str, each))) for i, each in enumerate(groups)),
        0,
        tuple(found),
        {"images": 40, "patients": len(set(patients))},
        {"positive": "yes", "split": "test", "resamples": 50},
    )


def labels(table):
    return [column.label for column in table.columns]


def test_each_measure_has_a_row_for_each_model():
    table = difference_table(make())
    assert [(row.subject, row.name) for row in table.rows] == [
        ("AUC (ROC) ↑", "m0"),
        ("AUC (ROC) ↑", "m1 (2 seeds)"),
        ("Log loss ↓", "m0"),
        ("Log loss ↓", "m1 (2 seeds)"),
    ]
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert [row.kind for row in table.rows] == ["reference", "", "reference", ""]


def test_cells_are_the_numbers_of_the_comparison():
    result = make()
    table = difference_table(result)
    one = result.measures[0]
    cells = dict(zip(labels(table), table.rows[1].cells, strict=True))
    assert cells["Value"].numbers[0] == one.values[1].value
    gap = one.differences[1]
    assert cells["Difference"].numbers == (gap.value, gap.low, gap.high)
    assert cells["p"].numbers == (one.p[1],)
    assert cells["p (Holm)"].numbers == (one.adjusted[1],)
    assert cells["p (DeLong)"].numbers == (one.cross_check.p[1],)
    assert cells["SD over seeds"].numbers == (one.spreads[1].sd,)
    assert [str(cell) for cell in table.rows[0].cells[1:]] == [""] * 7
    assert str(table.rows[3].cells[-1]) == ""  # DeLong's test is of the AUC


def test_columns_without_content_are_left_out():
    plain = difference_table(make(groups=((0,), (1,)), measures=["loss"]))
    assert labels(plain) == ["Value", "Difference", "p", "p (Holm)"]


@pytest.mark.parametrize(
    ("own", "method"), [(True, "DeLong 1988;"), (False, "Obuchowski 1997 for several images")]
)
def test_notes_say_which_variance_and_how_many_comparisons(own, method):
    notes = " ".join(difference_table(make(own_patients=own)).notes)
    assert method in notes
    assert "the 2 differences of this table" in notes
    assert "over patients, for these seeds" in notes
    assert "of the class yes" in notes


def test_notes_count_what_was_undefined():
    few = np.zeros(40, dtype=int)
    few[0] = 1
    notes = " ".join(difference_table(make(labels=few)).notes)
    assert "Undefined in some resamples and left out there: AUC (ROC) in " in notes


def test_the_overview_has_one_row_for_each_model():
    result = make()
    table = models_table(result)
    assert labels(table) == ["AUC (ROC)", "Log loss"]
    assert [column.arrow for column in table.columns] == ["↑", "↓"]
    assert [row.name for row in table.rows] == ["m0", "m1 (2 seeds)"]
    assert table.rows[1].cells[1].numbers[0] == result.measures[1].values[1].value
    assert "40 images (test) of 20 patients" in table.caption
    assert [one.key for one in comparison_tables(result)] == ["differences", "models"]
