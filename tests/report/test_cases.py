from __future__ import annotations

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evidence.decision import decide
from softcam.evidence.info import Task
from softcam.report.cases import Case, choose_cases

ILL = np.array([0.95, 0.9, 0.95, 0.1, 0.02, 0.8, 0.3, 0.05, 0.52, 0.45, 0.5])
TRUE = np.array([1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1])


def binary(k=2, ill=ILL, true=TRUE, **more):
    scores = np.stack([1 - ill, ill], axis=1)
    more = {"classes": ("healthy", "ill"), "task": Task.BINARY} | more
    calls = decide(
        scores, more["task"], more["classes"], more.get("positive"), more.get("thresholds")
    )
    groups = choose_cases(scores, true, calls, k, **more)
    return {group.title: [case.index for case in group.cases] for group in groups}


def test_binary_cases_are_the_surest_of_each_kind_and_those_nearest_the_threshold():
    assert binary() == {
        "Rightly called ill": [0, 2],
        "Rightly called healthy": [4, 3],
        "Wrongly called ill": [5, 8],
        "Wrongly called healthy": [7, 6],
        "Undecided": [10, 9],
    }


def test_the_threshold_decides_what_is_undecided():
    assert binary(thresholds={"ill": 0.88})["Undecided"] == [1, 5]


def test_the_positive_class_may_be_the_first():
    found = binary(ill=1 - ILL, true=1 - TRUE, classes=("ill", "healthy"), positive="ill")
    assert found == binary()


def test_equal_probabilities_go_by_row():
    found = binary(k=3, ill=np.full(8, 0.7), true=np.array([0, 1, 1, 0, 1, 1, 0, 1]))
    assert found["Rightly called ill"] == [1, 2, 4]
    assert found["Wrongly called ill"] == [0, 3, 6]
    assert found["Undecided"] == [5, 7]


def test_a_rule_that_fits_no_image_keeps_its_place():
    found = binary(ill=np.array([0.9, 0.1]), true=np.array([1, 0]))
    assert found["Wrongly called ill"] == []
    assert found["Undecided"] == []


def test_the_order_of_the_rows_does_not_matter_without_ties():
    rng = np.random.default_rng(0)
    ill, true = rng.random(60), rng.integers(0, 2, 60)
    order = rng.permutation(60)
    shuffled = binary(ill=ill[order], true=true[order])
    assert {title: order[rows].tolist() for title, rows in shuffled.items()} == binary(
        ill=ill, true=true
    )


@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.ORDINAL])
def test_several_classes_show_each_right_call_the_surest_mistakes_and_close_calls(task):
    scores = np.array(
        [
            [0.8, 0.1, 0.1],
            [0.9, 0.05, 0.05],
            [0.1, 0.7, 0.2],
            [0.2, 0.1, 0.7],
            [0.1, 0.3, 0.6],
            [0.35, 0.33, 0.32],
            [0.0, 0.95, 0.05],
        ]
    )
    labels = np.array([0, 0, 1, 2, 0, 0, 2])
    groups = choose_cases(
        scores, labels, scores.argmax(axis=1), 1, task=task, classes=("a", "b", "c")
    )
    assert [(group.title, group.cases) for group in groups] == [
        ("Rightly called a", (Case(1, 0),)),
        ("Rightly called b", (Case(2, 1),)),
        ("Rightly called c", (Case(3, 2),)),
        ("Wrongly called", (Case(6, 1),)),
        ("Undecided", (Case(5, 0),)),
    ]


def test_labels_are_questions_of_their_own_and_unknown_ones_are_left_out():
    scores = np.array([[0.9, 0.2], [0.99, 0.7], [0.3, 0.05]])
    labels = np.array([[1, 0], [np.nan, 0], [1, np.nan]])
    groups = choose_cases(
        scores, labels, scores >= 0.5, 1, task=Task.MULTILABEL, classes=("mass", "nodule")
    )
    assert [group.cases for group in groups] == [
        (Case(0, 0),),
        (Case(0, 1),),
        (Case(1, 1),),
        (Case(2, 0),),
        (),
    ]


def test_every_rule_is_a_sentence():
    for task in Task:
        scores = np.array([[0.6, 0.4], [0.2, 0.8]])
        truth = np.eye(2) if task is Task.MULTILABEL else np.arange(2)
        calls = decide(scores, task, ("a", "b"))
        for group in choose_cases(scores, truth, calls, task=task, classes=("a", "b")):
            assert group.rule[0].isupper()
            assert group.rule.endswith(".")


@pytest.mark.parametrize(
    ("labels", "calls"),
    [(np.zeros(3, int), np.zeros(2, int)), (np.zeros(2, int), np.zeros(3, int))],
)
def test_shapes_that_do_not_fit_are_named(labels, calls):
    with pytest.raises(InputError, match="do not fit a binary task with 2 classes"):
        choose_cases(np.ones((2, 2)) / 2, labels, calls, task=Task.BINARY, classes=("a", "b"))


def test_showing_no_case_is_refused():
    with pytest.raises(InputError, match="k is 0"):
        binary(k=0)
