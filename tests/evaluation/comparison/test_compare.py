"""Whole comparisons: paired, over seeds, corrected; and where nothing differs."""

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.comparison.answers import stack_answers
from softcam.evaluation.comparison.compare import (
    Spread,
    adjusted,
    compare_answers,
    compare_means,
)
from softcam.evaluation.comparison.holm import holm
from softcam.evaluation.measures import of_a_class
from softcam.evidence.info import Task


def binary(models=3, images=80, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, images)
    patients = [f"p{number}" for number in random.integers(0, 30, images)]
    shift = np.arange(models)[:, None] * 0.5
    positive = 1 / (1 + np.exp(-(random.normal(size=(models, images)) + shift * labels)))
    scores = [np.stack([1 - one, one], axis=1) for one in positive]
    calls = [(one >= 0.5).astype(int) for one in positive]
    return stack_answers(Task.BINARY, ("no", "yes"), "yes", labels, scores, calls), patients


def by_key(compared):
    return {one.key: one for one in compared}


def test_a_difference_is_that_of_a_slow_paired_bootstrap():
    answers, patients = binary()
    found = by_key(compare_answers(answers, patients, reference=1, resamples=60, seed=2))["auc"]

    def auc(model, rows):
        truth = answers.labels[rows] == 1
        return of_a_class(answers.probabilities[model, rows, 1], truth, truth)["auc"]

    every = np.arange(80)
    for model in (0, 2):
        draws = [auc(model, rows) - auc(1, rows) for rows in resamples_of(patients, 60, 2)]
        low, high = np.quantile(draws, [0.025, 0.975])
        gap = found.differences[model]
        assert gap.value == pytest.approx(auc(model, every) - auc(1, every), abs=1e-6)
        assert (gap.low, gap.high) == pytest.approx((low, high), abs=1e-6)
        assert found.difference_errors[model] == pytest.approx(np.std(draws, ddof=1), abs=1e-6)


def test_delong_stands_beside_the_auc_only_and_agrees_with_it():
    answers, patients = binary(images=400)
    compared = compare_answers(answers, patients, resamples=400)
    assert [one.key for one in compared if one.cross_check is not None] == ["auc"]
    auc = by_key(compared)["auc"]
    assert auc.cross_check.method == "Obuchowski 1997"
    np.testing.assert_allclose(
        auc.cross_check.differences, [gap.value for gap in auc.differences], atol=1e-12
    )
    np.testing.assert_allclose(
        auc.cross_check.difference_errors[1:], auc.difference_errors[1:], rtol=0.25
    )


@pytest.mark.parametrize("task", [Task.BINARY, Task.ORDINAL])
def test_identical_models_differ_by_exactly_nothing(task):
    random = np.random.default_rng(1)
    count = 2 if task is Task.BINARY else 4
    scores = random.dirichlet(np.ones(count), 50)
    labels = random.integers(0, count, 50)
    calls = scores.argmax(axis=1)
    names = tuple("abcd"[:count])
    answers = stack_answers(task, names, "b", labels, [scores] * 2, [calls] * 2)
    for one in compare_answers(answers, [str(i // 2) for i in range(50)], resamples=200):
        gap = one.differences[1]
        assert (gap.value, gap.low, gap.high) == (0.0, 0.0, 0.0), one.key
        assert one.p[1] == 1.0
        assert one.adjusted[1] == 1.0
        if one.cross_check is not None:
            assert one.cross_check.p[1] == 1.0


def test_seeds_are_averaged_measure_by_measure_and_their_spread_is_told():
    answers, patients = binary(models=4)
    alone = by_key(compare_answers(answers, patients, resamples=20))["auc"]
    each = [value.value for value in alone.values]
    found = by_key(
        compare_answers(answers, patients, groups=[[0, 1], [2, 3]], resamples=20, reference=0)
    )["auc"]
    assert found.values[1].value == pytest.approx(np.mean(each[2:]), abs=1e-12)
    spread = found.spreads[1]
    assert (spread.low, spread.high, spread.seeds) == (min(each[2:]), max(each[2:]), 2)
    assert spread.sd == pytest.approx(np.std(each[2:], ddof=1), abs=1e-12)
    assert found.differences[1].value == pytest.approx(
        np.mean(each[2:]) - np.mean(each[:2]), abs=1e-12
    )


def test_means_over_seeds_are_means_of_values_averaged_by_image():
    random = np.random.default_rng(3)
    values = random.normal(size=(40, 4))
    patients = [f"p{i // 2}" for i in range(40)]
    grouped = compare_means(values, patients, groups=[[0, 1], [2, 3]], resamples=80)
    averaged = np.stack([values[:, :2].mean(axis=1), values[:, 2:].mean(axis=1)], axis=1)
    plain = compare_means(averaged, patients, resamples=80)
    for ours, theirs in zip(grouped.differences, plain.differences, strict=True):
        assert (ours.value, ours.low, ours.high) == pytest.approx(
            (theirs.value, theirs.low, theirs.high), abs=1e-12
        )


def test_drawing_seeds_keeps_the_values_and_widens_the_intervals():
    answers, patients = binary(models=4, images=400)
    how = {"groups": [[0, 3], [1, 2]], "resamples": 300, "measures": ["auc"]}
    fixed = compare_answers(answers, patients, **how)[0]
    both = compare_answers(answers, patients, seeds=[[0, 1], [2, 3]], **how)[0]
    assert fixed.values[0].value == both.values[0].value
    assert both.errors[0] > 1.5 * fixed.errors[0]


def test_holm_is_over_all_measures_and_models_but_not_the_reference():
    answers, patients = binary()
    compared = compare_answers(answers, patients, resamples=50)
    p = np.concatenate([one.p[1:] for one in compared])
    assert np.isfinite(p).all()
    assert all(np.isnan(one.p[0]) and np.isnan(one.adjusted[0]) for one in compared)
    np.testing.assert_array_equal(np.concatenate([one.adjusted[1:] for one in compared]), holm(p))
    assert adjusted([]) == []


def test_one_class_only_is_undefined_and_no_comparison():
    answers, patients = binary()
    only = stack_answers(
        Task.BINARY,
        ("no", "yes"),
        "yes",
        np.ones(80, dtype=int),
        list(answers.probabilities),
        list(answers.calls),
    )
    found = by_key(compare_answers(only, patients, resamples=30))
    assert np.isnan(found["auc"].p).all()
    assert np.isnan(found["auc"].cross_check.p).all()
    assert np.isnan(found["auc"].values[0].value)
    assert np.isfinite(found["accuracy"].p[1])


def test_one_patient_gives_values_but_neither_intervals_nor_p():
    answers, _ = binary()
    for one in compare_answers(answers, ["a"] * 80, resamples=30):
        assert np.isfinite(one.values[1].value), one.key
        assert np.isnan([one.differences[1].low, one.errors[1], one.p[1]]).all()
        if one.cross_check is not None:
            assert np.isnan(one.cross_check.p[1])


def test_spread_of_one_seed_and_of_an_undefined_one():
    assert Spread.of(np.array([0.5])).mean == 0.5
    assert np.isnan(Spread.of(np.array([0.5])).sd)
    broken = Spread.of(np.array([0.5, np.nan]))
    assert np.isnan(broken.mean)
    assert (broken.seeds, broken.undefined) == (2, 1)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"measures": ["auc", "kappa"]}, "ordinal tasks only"),
        ({"measures": ["dice"]}, "no such measure"),
        ({"reference": 7}, "reference is 7"),
        ({"groups": [[0], []]}, "groups"),
        ({"groups": [[0, 1], [2]], "seeds": [[0], [1]]}, "one seed for each"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(how, message):
    answers, patients = binary()
    with pytest.raises(InputError, match=message):
        compare_answers(answers, patients, resamples=10, **how)
