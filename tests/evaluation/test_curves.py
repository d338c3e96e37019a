from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from softcam.errors import InputError
from softcam.evaluation.curves import reliability, roc_band, roc_curve
from softcam.evaluation.measures import calibration_error


def case(seed, n=150):
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.4
    return np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.25), 0, 1), 2), truth


@pytest.mark.parametrize("seed", range(4))
def test_the_curve_is_sklearns(seed):
    score, truth = case(seed)
    fpr, tpr = roc_curve(score, truth)
    theirs = sk.roc_curve(truth, score, drop_intermediate=False)
    np.testing.assert_allclose(fpr, theirs[0])
    np.testing.assert_allclose(tpr, theirs[1])
    assert np.trapezoid(tpr, fpr) == pytest.approx(sk.roc_auc_score(truth, score))


def test_the_band_holds_the_curve_and_narrows_with_more_patients():
    def width(n):
        score, truth = case(0, n)
        band = roc_band(score, truth, [str(i) for i in range(n)], resamples=100)
        middle = slice(10, 90)
        inside = np.interp(band.grid, band.fpr, band.tpr)[middle]
        assert (inside >= band.low[middle] - 0.02).all()
        assert (inside <= band.high[middle] + 0.02).all()
        return (band.high - band.low)[middle].mean()

    assert width(1500) < 0.5 * width(150)


def test_a_perfect_ranking_has_no_width():
    truth = np.arange(20) >= 10
    band = roc_band(np.arange(20) / 20, truth, [str(i) for i in range(20)], resamples=50)
    np.testing.assert_array_equal(band.low, 1)
    np.testing.assert_array_equal(band.high, 1)


def test_a_band_from_too_few_resamples_is_undefined():
    truth = np.array([True] + [False] * 3)
    band = roc_band(np.array([0.9, 0.1, 0.2, 0.3]), truth, ["a", "b", "b", "b"], resamples=50)
    assert np.isnan(band.low).all()
    assert band.tpr.max() == 1


@pytest.mark.parametrize("kind", [True, False])
def test_one_kind_of_image_has_no_curve(kind):
    with pytest.raises(InputError, match="needs both kinds"):
        roc_curve(np.ones(3), np.full(3, kind))


def test_the_bins_of_the_reliability_give_the_calibration_error():
    score, truth = case(1)
    score[:3] = [0, 1, 1]
    found = reliability(score, truth)
    assert found.count.sum() == 150
    gap = np.nansum(found.count * np.abs(found.frequency - found.confidence)) / 150
    assert gap == pytest.approx(calibration_error(score, truth), abs=1e-6)
    empty = found.count == 0
    assert np.isnan(found.frequency[empty]).all()
