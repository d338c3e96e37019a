from __future__ import annotations

import json
import math

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evaluation.bootstrap import Interval, bootstrap, resamples_of


def test_a_resample_takes_all_images_of_as_many_patients_as_there_are():
    patients = ["a", "b", "a", "c", "b", "a"]
    images = {"a": [0, 2, 5], "b": [1, 4], "c": [3]}
    seen = set()
    for rows in resamples_of(patients, 200, seed=3):
        drawn = [patients[i] for i in rows]
        times = {name: drawn.count(name) / len(images[name]) for name in images}
        assert sum(times.values()) == 3
        for name, count in times.items():
            assert count == int(count)
            assert sorted(i for i in rows if i in images[name]) == sorted(images[name] * int(count))
        seen.add(tuple(sorted(times.items())))
    assert len(seen) == 10  # every way to draw 3 of 3 with replacement


@pytest.mark.parametrize("patients", [["a", "b", "c", "d"], ["a", "a", "b", "c"]])
def test_the_same_seed_gives_the_same_resamples_and_another_seed_others(patients):
    def draw(seed):
        return [rows.tolist() for rows in resamples_of(patients, 20, seed)]

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_interval_is_that_of_a_slow_bootstrap_written_out():
    values = np.random.default_rng(0).normal(size=12)
    patients = [f"p{i // 2}" for i in range(12)]
    found = bootstrap(lambda rows: {"mean": values[rows].mean()}, patients, resamples=400, seed=5)

    rng = np.random.default_rng(5)
    names = sorted(set(patients))
    means = []
    for _ in range(400):
        rows = [
            i
            for pick in rng.integers(6, size=6)
            for i, who in enumerate(patients)
            if who == names[pick]
        ]
        means.append(sum(values[i] for i in rows) / len(rows))
    means.sort()
    low, high = np.percentile(means, [2.5, 97.5])
    assert found["mean"].value == pytest.approx(values.mean())
    assert (found["mean"].low, found["mean"].high) == pytest.approx((low, high))
    assert (found["mean"].n, found["mean"].undefined) == (12, 0)


def test_images_of_one_patient_do_not_count_as_independent():
    rng = np.random.default_rng(1)
    values = np.repeat(rng.normal(size=30), 10)
    whose = [f"p{i // 10}" for i in range(300)]

    def width(patients):
        found = bootstrap(lambda rows: {"m": values[rows].mean()}, patients, resamples=300)["m"]
        return found.high - found.low

    assert width(whose) > 2.5 * width([str(i) for i in range(300)])  # sqrt(10) in theory


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(150):
        effect = rng.normal(size=40)
        values = np.repeat(effect, 3) + rng.normal(size=120)
        patients = [f"p{i // 3}" for i in range(120)]
        found = bootstrap(
            lambda rows, v=values: {"m": v[rows].mean()}, patients, resamples=200, seed=trial
        )["m"]
        covered += found.low <= 0 <= found.high
    assert 0.88 <= covered / 150 <= 0.99


def test_undefined_resamples_are_left_out_and_counted():
    flags = np.array([1.0] + [0.0] * 4)

    def share(rows):
        return {"x": 1.0 if flags[rows].any() else math.nan, "y": 2.0}

    found = bootstrap(share, list("abcde"), resamples=500, seed=0)
    expected = sum(not flags[rows].any() for rows in resamples_of(list("abcde"), 500, 0))
    assert 100 < expected < 250
    assert found["x"] == Interval(1.0, 1.0, 1.0, 5, expected)
    assert found["y"].undefined == 0


def test_more_than_half_undefined_leaves_no_interval():
    calls = iter([0.5, *([math.nan] * 6), *([0.5] * 5)])
    found = bootstrap(lambda rows: {"x": next(calls)}, list("abc"), resamples=11)["x"]
    assert (found.value, found.undefined) == (0.5, 6)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_exactly_half_undefined_still_gives_one():
    calls = iter([0.5, *([math.nan] * 5), *([0.5] * 5)])
    found = bootstrap(lambda rows: {"x": next(calls)}, list("abc"), resamples=10)["x"]
    assert (found.low, found.high, found.undefined) == (0.5, 0.5, 5)


def test_an_undefined_value_has_no_interval_even_if_resamples_have_values():
    calls = iter([math.nan] + [0.5] * 10)
    found = bootstrap(lambda rows: {"x": next(calls)}, list("abc"), resamples=10)["x"]
    assert math.isnan(found.value)
    assert math.isnan(found.low)


def test_one_patient_gives_a_value_without_interval():
    found = bootstrap(lambda rows: {"x": 0.25}, ["a", "a"], resamples=10)["x"]
    assert found.value == 0.25
    assert math.isnan(found.low)


def test_an_interval_is_json_with_null_for_undefined():
    text = json.dumps(Interval(0.5, math.nan, math.nan, 3, 9).to_dict(), allow_nan=False)
    assert json.loads(text) == {"value": 0.5, "low": None, "high": None, "n": 3, "undefined": 9}


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(0.91249, 0.8, 0.95, 9, 0), "0.912 [0.800, 0.950]"),
        (Interval(math.nan, math.nan, math.nan, 9, 0), "n/a"),
        (Interval(0.5, math.nan, math.nan, 9, 600), "0.500 [n/a]"),
    ],
)
def test_an_interval_prints_short(interval, text):
    assert str(interval) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"patients": []}, "no images"),
        ({"patients": ["a"], "resamples": 0}, "resamples is 0"),
        ({"patients": ["a"], "level": 95}, "level is 95"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        bootstrap(lambda rows: {"x": 0.0}, **arguments)
