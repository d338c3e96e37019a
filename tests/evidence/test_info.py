"""What a model file says for a model that was never told its task or classes."""

import pytest

from softcam.evidence.info import ModelInfo, Task


@pytest.mark.parametrize(
    ("task", "outputs", "meant", "classes"),
    [
        (None, 1, Task.BINARY, 2),
        (None, 2, Task.MULTICLASS, 2),
        (None, 5, Task.MULTICLASS, 5),
        (Task.BINARY, 2, Task.BINARY, 2),
        (Task.MULTILABEL, 1, Task.MULTILABEL, 1),
        (Task.MULTILABEL, 3, Task.MULTILABEL, 3),
    ],
)
def test_a_model_without_a_task_or_names_gets_them_from_its_number_of_logits(
    task, outputs, meant, classes
):
    info = ModelInfo(task=task)
    assert info.task_of(outputs) is meant
    assert info.classes_of(outputs) == tuple(f"class {i}" for i in range(classes))


def test_names_that_are_known_stay():
    info = ModelInfo(classes=("healthy", "diseased"))
    assert info.classes_of(1) == info.classes_of(2) == ("healthy", "diseased")
