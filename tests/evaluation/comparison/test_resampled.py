"""Paired resampling against a slow bootstrap of repeated images, and its degenerate cases."""

import numpy as np
import pytest
from scipy.stats import kstest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.comparison.resampled import draw_members, resample, resample_means


@pytest.fixture
def drawn():
    random = np.random.default_rng(0)
    values = random.normal(size=(30, 3))
    values[random.random(values.shape) < 0.1] = np.nan
    return values, [f"p{number}" for number in random.integers(0, 12, size=30)]


def slow_p(differences):
    below = sum(value <= 0 for value in differences)
    above = sum(value >= 0 for value in differences)
    return min(1.0, 2 * (1 + min(below, above)) / (1 + len(differences)))


def test_differences_errors_and_p_agree_with_a_slow_bootstrap(drawn):
    values, patients = drawn
    gaps = resample_means(values, patients, resamples=300, seed=3).minus(1)
    rows = ~np.isnan(values).any(axis=1)
    for column in (0, 2):
        paired = np.where(rows, values[:, column] - values[:, 1], np.nan)
        draws = [np.nanmean(paired[drawn]) for drawn in resamples_of(patients, 300, 3)]
        found = gaps.intervals()[column]
        assert found.value == pytest.approx(np.nanmean(paired), abs=1e-12)
        assert (found.low, found.high) == pytest.approx(
            np.quantile(draws, [0.025, 0.975]), abs=1e-12
        )
        assert found.n == rows.sum()
        assert gaps.errors()[column] == pytest.approx(np.std(draws, ddof=1), abs=1e-12)
        assert gaps.p_values()[column] == slow_p(draws)


def test_a_model_does_not_differ_from_its_copy_at_all(drawn):
    values, patients = drawn
    gaps = resample_means(values[:, [0, 0, 1, 0]], patients, resamples=200).minus(0)
    for column in (0, 1, 3):
        found = gaps.intervals()[column]
        assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
        assert gaps.errors()[column] == 0
        assert gaps.p_values()[column] == 1.0
    assert gaps.values[2] != 0


def test_p_is_never_zero_and_small_for_a_sure_difference():
    values = np.stack([np.zeros(20), np.ones(20)], axis=1)
    gaps = resample_means(values, [str(i) for i in range(20)], resamples=99).minus(0)
    assert gaps.p_values()[1] == pytest.approx(2 / 100)


def test_p_is_nearly_uniform_where_nothing_differs():
    found = []
    for seed in range(300):
        values = np.random.default_rng(seed).normal(size=(40, 2))
        gaps = resample_means(values, [str(i) for i in range(40)], resamples=199, seed=seed).minus(
            0
        )
        found.append(gaps.p_values()[1])
    assert kstest(found, "uniform").statistic < 0.09
    assert 0.02 < np.mean(np.array(found) <= 0.05) < 0.10


def test_one_patient_gives_no_interval_no_error_and_no_p():
    gaps = resample_means(np.array([[1.0, 2.0], [2.0, 4.0]]), ["a", "a"], resamples=20).minus(0)
    assert gaps.values[1] == 1.5
    assert np.isnan([gaps.intervals()[1].low, gaps.errors()[1], gaps.p_values()[1]]).all()


def test_undefined_resamples_are_counted_and_too_many_leave_no_interval():
    patients = [str(i) for i in range(5)]

    def needs_image_0(weights):  # and is undefined in about a third of the resamples
        return {"it": np.where(weights[:, [0]] > 0, weights[:, [0]], np.nan)}

    def needs_three(weights):
        return {"it": np.where(weights[:, [0]] > 2, 1.0, np.nan)}

    some = resample(needs_image_0, patients, resamples=200)["it"]
    missing = sum(0 not in drawn for drawn in resamples_of(patients, 200))
    assert 20 < missing < 100
    assert some.intervals()[0].undefined == missing
    assert not np.isnan(some.p_values()[0])
    many = resample(needs_three, patients, resamples=200)["it"]
    assert np.isnan(many.values[0])
    assert np.isnan([many.intervals()[0].low, many.errors()[0], many.p_values()[0]]).all()


def test_groups_have_the_mean_of_their_members_on_every_resample(drawn):
    values, patients = drawn
    values = np.nan_to_num(values)
    found = resample_means(values, patients, resamples=100, seed=2)
    grouped = found.averaged([[0, 2], [1]])
    alone = resample_means(
        np.stack([values[:, [0, 2]].mean(axis=1), values[:, 1]], axis=1),
        patients,
        resamples=100,
        seed=2,
    )
    np.testing.assert_allclose(grouped.values, alone.values, atol=1e-12)
    np.testing.assert_allclose(grouped.drawn, alone.drawn, atol=1e-12)


def test_groups_of_the_same_seeds_draw_the_same_members():
    first, second, other = draw_members([[0, 1, 2], [0, 1, 2], [5, 6]], 50, seed=1)
    np.testing.assert_array_equal(first, second)
    assert first.shape == (50, 3)
    assert other.shape == (50, 2)
    assert set(first.ravel()) == {0, 1, 2}


def test_drawing_seeds_widens_the_interval_of_a_group_that_varies():
    random = np.random.default_rng(0)
    values = random.normal(size=(200, 1)) * 0.1 + np.array([0.0, 1.0, 2.0])
    found = resample_means(values, [str(i) for i in range(200)], resamples=400)
    fixed = found.averaged([[0, 1, 2]]).intervals()[0]
    both = found.averaged([[0, 1, 2]], draw_members([[0, 1, 2]], 400)).intervals()[0]
    assert fixed.value == both.value
    assert both.high - both.low > 10 * (fixed.high - fixed.low)


def test_values_that_do_not_fit_the_patients_are_refused():
    with pytest.raises(InputError, match="one row per image"):
        resample_means(np.zeros((3, 2)), ["a", "b"])
