"""Means and bands of curves against a slow bootstrap."""

import numpy as np
import pytest

from softcam.evaluation.bootstrap import resamples_of
from softcam.evaluation.explanations.result import Method
from softcam.workflows.benchmark.assemble import (
    curve_sets,
    interval_of,
    rows_of,
    size_recalls,
    tables,
)
from softcam.workflows.benchmark.settings import BenchmarkSettings

SETTINGS = BenchmarkSettings(steps=3, every_step=True, curve=2, resamples=60)
PATIENTS = ["a", "a", "b", "c", "d", "d"]
ONE, TWO = Method("SoftCAM", "evidence", "Evidence", "own"), Method("SoftCAM", "cam", "CAM", "own")


def values_of(seed):
    rng = np.random.default_rng(seed)
    found = {
        f"{kind}_{what}_mean": rng.random((6, 4))
        for kind in ("deletion", "insertion")
        for what in ("confidence", "accuracy")
    }
    found["deletion_confidence_mean"][2] = np.nan  # a case that is not of the class
    found["topk_taken"] = np.array([[1, 2]] * 5 + [[0, 0]], dtype=float)
    found["topk_hits"] = np.minimum(rng.integers(0, 3, (6, 2)), found["topk_taken"])
    found["topk_hits"][3], found["topk_taken"][3] = np.nan, np.nan  # nothing is marked
    return found


VALUES = {ONE: values_of(0), TWO: values_of(1)}


def slow(statistic):
    """A value and its band, resample by resample."""
    drawn = [statistic(rows) for rows in resamples_of(PATIENTS, 60, 0)]
    drawn = [value for value in drawn if not np.isnan(value)]
    return statistic(np.arange(6)), *np.quantile(drawn, [0.025, 0.975])


@pytest.fixture(scope="module")
def sets():
    return {one.key: one for one in curve_sets(VALUES, [ONE, TWO], PATIENTS, SETTINGS)}


def test_curves_have_the_mean_and_the_band_of_a_slow_bootstrap(sets):
    for number, method in enumerate((ONE, TWO)):
        curve = sets["deletion_confidence_mean"].curves[number]
        values = VALUES[method]["deletion_confidence_mean"]
        for point in range(4):
            with np.errstate(all="ignore"):
                expected = slow(lambda rows, v=values, p=point: np.nanmean(v[rows, p]))
            got = curve.mean[point], curve.low[point], curve.high[point]
            np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert sets["deletion_confidence_mean"].x.tolist() == [0, 1, 2, 3]
    assert not sets["deletion_confidence_mean"].higher_is_better
    assert sets["insertion_confidence_mean"].higher_is_better


def test_top_patches_are_averaged_per_image_or_pooled(sets):
    found = VALUES[ONE]
    hits, taken = found["topk_hits"][:, 1], found["topk_taken"][:, 1]
    known = ~np.isnan(taken)

    def per_image(rows):
        rows = [row for row in rows if known[row] and taken[row]]
        return np.mean([hits[row] / taken[row] for row in rows]) if rows else np.nan

    def pooled(rows):
        rows = [row for row in rows if known[row] and taken[row]]
        return sum(hits[rows]) / sum(taken[rows]) if rows else np.nan

    for key, statistic in (("topk_per_image", per_image), ("topk_pooled", pooled)):
        curve = sets[key].curves[0]
        got = curve.mean[1], curve.low[1], curve.high[1]
        np.testing.assert_allclose(got, slow(statistic), rtol=1e-9)


def test_a_single_patient_has_no_band():
    for one in curve_sets(VALUES, [ONE], ["a"] * 6, SETTINGS):
        assert np.isnan(one.curves[0].low).all()
        assert not np.isnan(one.curves[0].mean).all()
    assert np.isnan(interval_of(np.arange(6.0), ["a"] * 6, SETTINGS).low)


def test_curves_that_nobody_has_a_point_of_are_left_out():
    empty = {ONE: {key: np.full_like(value, np.nan) for key, value in VALUES[ONE].items()}}
    assert curve_sets(empty, [ONE], PATIENTS, SETTINGS) == []


def test_lesions_are_added_up_and_resampled_by_patient():
    nothing, rest = [np.nan] * 3, [[0] * 3] * 2
    values = {
        ONE: {
            "lesions of spot": np.array([[2, 0, 1], [1, 0, 0], nothing, [3, 0, 1], *rest]),
            "found of spot": np.array([[1, 0, 1], [1, 0, 0], nothing, [0, 0, 1], *rest]),
            "lesions of none": np.full((6, 3), np.nan),
            "found of none": np.full((6, 3), np.nan),
        }
    }
    small, middle, large = size_recalls(values, [ONE], ["spot", "none"], PATIENTS, SETTINGS)
    assert (small.lesions, small.found) == (6, 2)
    assert (middle.lesions, large.lesions, large.found) == (0, 2, 2)
    assert np.isnan(middle.recall.value)
    assert large.recall.value == 1

    def recall(rows):
        there, hit = (values[ONE][f"{name} of spot"][:, 0] for name in ("lesions", "found"))
        return np.nansum(hit[rows]) / np.nansum(there[rows]) if np.nansum(there[rows]) else np.nan

    got = small.recall.value, small.recall.low, small.recall.high
    np.testing.assert_allclose(got, slow(recall), rtol=1e-9)


def test_ranks_go_by_each_measures_own_direction():
    good, bad = np.linspace(0.8, 0.9, 6), np.linspace(0.1, 0.2, 6)
    values = {
        ONE: {"pixel_ap": good, "deletion_auc": good, "gini": good},
        TWO: {"pixel_ap": bad, "deletion_auc": bad, "gini": bad},
    }
    found = tables(values, [ONE, TWO])
    assert set(found) == {"pixel_ap", "deletion_auc", "gini"}
    first, second = rows_of(found, [ONE, TWO], PATIENTS, SETTINGS)
    assert (first.ranks["pixel_ap"].value, second.ranks["pixel_ap"].value) == (1, 2)
    assert (first.ranks["deletion_auc"].value, second.ranks["deletion_auc"].value) == (2, 1)
    assert "gini" not in first.ranks
    assert second.differences["pixel_ap"].value == pytest.approx(0.7)
