"""Measures of many models at once are those that `softcam evaluate` gives each of them."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import log_loss

from softcam.errors import InputError
from softcam.evaluation.classification import classification
from softcam.evaluation.comparison.answers import log_losses, stack_answers
from softcam.evaluation.comparison.resampled import resample
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import Task

TASKS = [Task.BINARY, Task.MULTICLASS, Task.ORDINAL, Task.MULTILABEL]


def drawn(task, seed=0, images=50):
    random = np.random.default_rng(seed)
    classes = ("a", "b") if task is Task.BINARY else ("a", "b", "c", "d")
    logits = random.normal(size=(2, images, len(classes)))
    if task is Task.MULTILABEL:
        labels = (random.random((images, 4)) < 0.4).astype(float)
        labels[random.random(labels.shape) < 0.2] = np.nan
    else:
        labels = random.integers(0, len(classes), images)
    patients = [f"p{number}" for number in random.integers(0, 20, images)]
    limits = {"b": 0.4}
    scores = [probabilities(one, task) for one in logits]
    calls = [decide(one, task, classes, "b", limits) for one in scores]
    answers = stack_answers(task, classes, "b", labels, scores, calls)
    return answers, logits, labels, patients, limits


@pytest.mark.parametrize("task", TASKS)
def test_values_and_intervals_are_those_of_the_evaluation(task):
    answers, _, labels, patients, limits = drawn(task)
    found = resample(answers.scores, patients, resamples=40, seed=5)
    for model in range(2):
        expected = classification(
            answers.probabilities[model],
            labels,
            task=task,
            classes=answers.classes,
            positive=answers.positive,
            thresholds=limits if task in (Task.BINARY, Task.MULTILABEL) else None,
            patients=patients,
            resamples=40,
            seed=5,
        ).intervals
        assert set(expected) | {"loss"} == set(found)
        for key, interval in expected.items():
            ours = found[key].intervals()[model]
            assert ours.undefined == interval.undefined, key
            wanted = (interval.value, interval.low, interval.high)
            assert (ours.value, ours.low, ours.high) == pytest.approx(wanted, abs=1e-6), key


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS])
def test_the_loss_is_that_of_scikit_learn(task):
    answers, logits, labels, _, _ = drawn(task)
    found = answers.scores(np.ones((1, len(labels))))["loss"][0]
    for model in range(2):
        expected = log_loss(labels, softmax(logits[model], axis=1), labels=range(logits.shape[2]))
        assert found[model] == pytest.approx(expected, abs=1e-12)
        assert log_losses(logits[model], labels, task).mean() == pytest.approx(expected, abs=1e-12)


def test_the_loss_of_several_labels_is_the_mean_over_known_ones():
    answers, logits, labels, _, _ = drawn(Task.MULTILABEL)
    labels[0] = np.nan
    fast = log_losses(logits[0], labels, Task.MULTILABEL)
    assert np.isnan(fast[0])
    for image in range(1, len(labels)):
        terms = [
            -np.log(expit(logit) if label else expit(-logit))
            for logit, label in zip(logits[0, image], labels[image], strict=True)
            if not np.isnan(label)
        ]
        expected = np.mean(terms) if terms else np.nan
        assert fast[image] == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert answers.image_losses[0, 1:] == pytest.approx(fast[1:], abs=1e-9, nan_ok=True)


def test_one_logit_speaks_for_the_second_class_and_stays_finite():
    logits = np.array([[800.0], [-800.0], [0.0]])
    labels = np.array([0, 0, 1])
    found = log_losses(logits, labels, Task.BINARY)
    assert found == pytest.approx([800.0, 0.0, np.log(2)])


@pytest.mark.parametrize("task", TASKS)
def test_one_class_only_is_undefined_where_it_must_be(task):
    answers, _, labels, patients, _ = drawn(task)
    only = np.zeros_like(labels)
    few = stack_answers(
        task, answers.classes, "b", only, list(answers.probabilities), list(answers.calls)
    )
    found = few.scores(np.ones((1, len(patients))))
    assert np.isnan(found["auc"]).all()
    assert np.isnan(found["auprc"]).all()
    assert np.isfinite(found["loss"]).all()
    if task is Task.BINARY:
        assert np.isfinite(found["specificity"]).all()
        assert np.isnan(found["sensitivity"]).all()


def test_models_with_other_images_are_refused():
    answers, _, labels, _, _ = drawn(Task.BINARY)
    both = [answers.probabilities[0], answers.probabilities[1][:-1]]
    with pytest.raises(InputError, match="different shapes"):
        stack_answers(Task.BINARY, ("a", "b"), "b", labels, both, list(answers.calls))
    with pytest.raises(InputError, match="Calls of shape"):
        stack_answers(
            Task.BINARY,
            ("a", "b"),
            "b",
            labels,
            list(answers.probabilities),
            [np.zeros(3, dtype=int)] * 2,
        )
