"""Which images are explained, for which class, and with which masks."""

import numpy as np
import pytest

from softcam.data.annotations import Annotations, Box
from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.benchmark.choose import choose

INFO = ModelInfo(task=Task.BINARY, classes=("healthy", "ill"), positive="ill")
SPEC = DatasetSpec(Task.BINARY, ("healthy", "ill"), "ill", {"spot": "ill", "disc": "distractor"})


def table(labels, boxes=None, spec=SPEC):
    records = tuple(
        Record(f"{i}.png", f"{i}.png", label, "test", f"p{i}", i + 2)
        for i, label in enumerate(labels)
    )
    return Table("t.csv", records, spec, Annotations(boxes=boxes or {}), ())


def boxes_of(*names, finding="spot"):
    return {name: ((finding, Box(0, 0, 2, 2)),) for name in names}


def test_a_binary_model_is_asked_for_its_positive_class_everywhere():
    chosen = choose(table([0, 1, 1], boxes_of("1.png")), INFO, limit=0, seed=0)
    assert [case.class_name for case in chosen.cases] == ["ill"] * 3
    assert chosen.classes.tolist() == [1, 1, 1]
    assert [case.present for case in chosen.cases] == [False, True, True]
    assert [case.annotated for case in chosen.cases] == [False, True, False]


def test_a_mark_that_is_no_lesion_does_not_annotate():
    chosen = choose(table([1, 0], boxes_of("0.png", finding="disc")), INFO, limit=0, seed=0)
    assert not any(case.annotated for case in chosen.cases)


def test_other_tasks_are_asked_for_the_images_own_class():
    spec = DatasetSpec(Task.MULTICLASS, ("a", "b", "c"), None, {})
    info = ModelInfo(task=Task.MULTICLASS, classes=("a", "b", "c"))
    chosen = choose(table([2, 0], spec=spec), info, limit=0, seed=0)
    assert chosen.classes.tolist() == [2, 0]
    assert all(case.present for case in chosen.cases)


def test_several_labels_give_the_first_that_is_there_or_known_to_be_absent():
    nan = float("nan")
    spec = DatasetSpec(Task.MULTILABEL, ("a", "b", "c"), None, {})
    info = ModelInfo(task=Task.MULTILABEL, classes=("a", "b", "c"))
    data = table([(nan, 1.0, 1.0), (nan, 0.0, nan), (nan, nan, nan)], spec=spec)
    chosen = choose(data, info, limit=0, seed=0)
    assert chosen.classes.tolist() == [1, 1]
    assert [case.present for case in chosen.cases] == [True, False]
    assert chosen.left_out == 1


def test_a_limit_takes_annotated_images_first_and_as_many_of_the_others():
    labels = [1] * 20 + [0] * 20
    marked = boxes_of("3.png", "11.png", "17.png")
    chosen = choose(table(labels, marked), INFO, limit=8, seed=1)
    names = {case.image for case in chosen.cases}
    assert {"3.png", "11.png", "17.png"} <= names
    assert sum(case.present for case in chosen.cases) == 4
    assert len(chosen.cases) == len(chosen.table) == 8
    assert [record.name for record in chosen.table.records] == [c.image for c in chosen.cases]
    again = choose(table(labels, marked), INFO, limit=8, seed=1)
    assert again.cases == chosen.cases
    other = choose(table(labels, marked), INFO, limit=8, seed=2)
    assert other.cases != chosen.cases


@pytest.mark.parametrize(("labels", "present"), [([1] * 9 + [0], 5), ([1] + [0] * 9, 1)])
def test_a_limit_fills_up_with_the_other_kind(labels, present):
    chosen = choose(table(labels), INFO, limit=6, seed=0)
    assert len(chosen.cases) == 6
    assert sum(case.present for case in chosen.cases) == present


def test_a_table_without_labels_is_refused():
    with pytest.raises(InputError, match="no image has a label"):
        choose(table([None, None]), INFO, limit=0, seed=0)
    assert np.size(choose(table([1, None]), INFO, limit=0, seed=0).classes) == 1
