"""Means, ranks and differences of many methods against a slow bootstrap of single columns."""

import numpy as np
import pytest
from scipy.stats import rankdata

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.explanations.paired import compare


@pytest.fixture
def drawn():
    random = np.random.default_rng(0)
    values = random.normal(size=(30, 4))
    values[random.random(values.shape) < 0.2] = np.nan
    patients = [f"p{number}" for number in random.integers(0, 12, size=30)]
    return values, patients


def slow_mean(column):
    known = [value for value in column if not np.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


def test_means_and_intervals_agree_with_one_bootstrap_per_column(drawn):
    values, patients = drawn
    found = compare(values, patients, resamples=300, seed=3)
    for column in range(values.shape[1]):
        means = [slow_mean(values[rows, column]) for rows in resamples_of(patients, 300, 3)]
        low, high = np.quantile(means, [0.025, 0.975])
        interval = found.means[column]
        assert interval.value == pytest.approx(slow_mean(values[:, column]), abs=1e-12)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)
        assert interval.n == (~np.isnan(values[:, column])).sum()


def test_differences_use_only_the_cases_that_both_define(drawn):
    values, patients = drawn
    found = compare(values, patients, reference=2, resamples=200, seed=1)
    for column in range(values.shape[1]):
        gaps = values[:, 2] - values[:, column]
        draws = [slow_mean(gaps[rows]) for rows in resamples_of(patients, 200, 1)]
        low, high = np.quantile(draws, [0.025, 0.975])
        interval = found.differences[column]
        assert interval.value == pytest.approx(slow_mean(gaps), abs=1e-12)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize("higher", [True, False])
def test_ranks_agree_with_ranking_every_resample(drawn, higher):
    values, patients = drawn
    found = compare(values, patients, higher_is_better=higher, resamples=200, seed=1)
    sign = -1 if higher else 1
    ranks = []
    for rows in resamples_of(patients, 200, 1):
        means = np.array([slow_mean(values[rows, column]) for column in range(4)])
        ranks.append(rankdata(sign * means))
    low, high = np.quantile(ranks, [0.025, 0.975], axis=0)
    point = rankdata(sign * np.array([slow_mean(values[:, column]) for column in range(4)]))
    for column, interval in enumerate(found.ranks):
        assert interval.value == point[column]
        assert (interval.low, interval.high) == (low[column], high[column])


def test_a_method_that_is_never_defined_takes_no_rank_and_is_counted():
    values = np.array([[1.0, np.nan, 2.0], [3.0, np.nan, 4.0]])
    found = compare(values, ["a", "b"], resamples=20)
    assert np.isnan(found.means[1].value)
    assert np.isnan(found.ranks[1].value)
    assert [rank.value for rank in (found.ranks[0], found.ranks[2])] == [2.0, 1.0]
    assert found.undefined == (0, 2, 0)


def test_one_patient_tells_nothing_about_others():
    found = compare(np.array([[1.0, 2.0], [2.0, 3.0]]), ["a", "a"], resamples=20)
    assert found.means[0].value == 1.5
    assert np.isnan(found.means[0].low)


def test_rows_that_do_not_fit_the_patients_are_refused():
    with pytest.raises(InputError, match="one row per case"):
        compare(np.zeros((3, 2)), ["a", "b"])
