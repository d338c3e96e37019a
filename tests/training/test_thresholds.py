import numpy as np

from softcam.evidence.info import Task
from softcam.training.thresholds import choose_thresholds, youden_threshold


def slow_index(scores, truth, cut):
    called = scores >= cut
    sensitivity = (called & truth).sum() / truth.sum()
    specificity = (~called & ~truth).sum() / (~truth).sum()
    return sensitivity + specificity - 1


def test_the_threshold_maximises_youdens_index():
    generator = np.random.default_rng(0)
    for _ in range(50):
        truth = generator.random(40) < 0.4
        scores = np.round(generator.random(40) * 0.6 + truth * 0.3, 1)  # with ties
        values = np.unique(scores)
        every = [slow_index(scores, truth, cut) for cut in (values[1:] + values[:-1]) / 2]
        found = slow_index(scores, truth, youden_threshold(scores, truth))
        assert abs(found - max(every)) < 1e-12


def test_the_threshold_lies_between_two_scores():
    scores = np.array([0.1, 0.2, 0.8, 0.9])
    assert youden_threshold(scores, np.array([False, False, True, True])) == 0.5


def test_one_kind_of_example_gives_no_threshold():
    assert youden_threshold(np.array([0.1, 0.9]), np.array([True, True])) is None


def test_equal_scores_leave_the_default():
    assert youden_threshold(np.array([0.3, 0.3]), np.array([True, False])) == 0.5


def test_a_binary_task_has_one_threshold_for_its_positive_class():
    scores = np.array([[0.9, 0.1], [0.7, 0.3], [0.4, 0.6]])
    found = choose_thresholds(scores, np.array([0, 1, 1]), Task.BINARY, ("healthy", "ill"))
    assert list(found) == ["ill"]
    assert 0.1 < found["ill"] < 0.3


def test_multilabel_has_one_each_and_ignores_unknown_labels():
    scores = np.array([[0.1, 0.5], [0.9, 0.5], [0.95, 0.5]])
    labels = np.array([[0.0, np.nan], [1.0, 1.0], [np.nan, 1.0]])
    found = choose_thresholds(scores, labels, Task.MULTILABEL, ("a", "b"))
    assert found == {"a": 0.5, "b": 0.5}


def test_several_classes_need_no_threshold():
    assert choose_thresholds(np.eye(3), np.arange(3), Task.MULTICLASS, ("a", "b", "c")) == {}
