import dataclasses
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from softcam.errors import InputError
from softcam.evaluation.bootstrap import resamples_of
from softcam.workflows.sweep.figures import COMPARED, auc_with_error, aucs, figures_of
from tests.workflows.sweep.sample import judged


def auc(run, rows=slice(None)):
    return roc_auc_score(run.labels[rows], run.probabilities[rows, 1])


@pytest.fixture(scope="module")
def runs():
    return {
        "black-box": {seed: judged(seed, skill=1.0) for seed in (0, 1)},
        "sparse": {seed: judged(10 + seed, skill=1.5, gain=0.5) for seed in (0, 1)},
        "odd": {1: judged(20, skill=0.1, located=False)},
    }


@pytest.fixture(scope="module")
def found(runs):
    return figures_of(runs, "black-box", resamples=200)


def test_the_auc_is_the_mean_over_seeds(runs, found):
    for name, seeds in runs.items():
        each = [auc(run) for run in seeds.values()]
        assert found[name]["auc"].each == pytest.approx(each, abs=1e-12)
        assert found[name]["auc"].mean.value == pytest.approx(np.mean(each), abs=1e-12)
    assert aucs(list(runs["sparse"].values())) == pytest.approx(
        [auc(run) for run in runs["sparse"].values()]
    )


def test_intervals_and_errors_are_those_of_a_slow_bootstrap_over_patients(runs, found):
    sparse, twin = list(runs["sparse"].values()), list(runs["black-box"].values())
    drawn, differences = [], []
    for rows in resamples_of(sparse[0].patients, 200, 0):
        drawn.append(np.mean([auc(run, rows) for run in sparse]))
        differences.append(drawn[-1] - np.mean([auc(run, rows) for run in twin]))
    figure = found["sparse"]["auc"]
    assert (figure.mean.low, figure.mean.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]))
    assert (figure.difference.low, figure.difference.high) == pytest.approx(
        np.quantile(differences, [0.025, 0.975])
    )
    mean, error = auc_with_error(sparse, resamples=200)
    assert mean == pytest.approx(figure.mean.value)
    assert error == pytest.approx(np.std(drawn, ddof=1))


def test_map_measures_are_averaged_over_cases_and_seeds(runs, found):
    values = [run.measures["deletion_gain"] for run in runs["sparse"].values()]
    other = [run.measures["deletion_gain"] for run in runs["black-box"].values()]
    figure = found["sparse"]["deletion_gain"]
    assert figure.mean.value == pytest.approx(np.mean(values))
    assert figure.difference.value == pytest.approx(np.mean(values) - np.mean(other))
    assert figure.spread == pytest.approx(np.std([v.mean() for v in values], ddof=1))


def test_differences_are_between_runs_of_the_same_seed(runs, found):
    figure = found["odd"]["auc"]
    expected = auc(runs["odd"][1]) - auc(runs["black-box"][1])
    assert figure.difference.value == pytest.approx(expected)


def test_the_twin_has_no_difference(found):
    assert all(figure.difference is None for figure in found["black-box"].values())


def test_a_measure_without_values_is_undefined_and_harms_no_other(found):
    figure = found["odd"]["activation_precision"]
    assert math.isnan(figure.mean.value) and math.isnan(figure.difference.value)
    assert not math.isnan(found["sparse"]["activation_precision"].mean.value)


def test_p_values_are_corrected_over_the_whole_table(found):
    pairs = [
        (figures[m].p, figures[m].adjusted)
        for name, figures in found.items()
        for m in COMPARED
        if m in figures and not math.isnan(figures[m].p)
    ]
    assert len(pairs) == 7  # four of one recipe, three of the other
    raw = sorted(p for p, _ in pairs)
    worst, expected = 0.0, {}
    for place, p in enumerate(raw):
        worst = max(worst, min(1.0, (len(raw) - place) * p))
        expected[p] = worst
    for p, corrected in pairs:
        assert corrected == pytest.approx(expected[p])


def test_a_lone_recipe_without_the_twin_is_summarised(runs):
    figure = figures_of({"sparse": runs["sparse"]}, "black-box", resamples=50)["sparse"]["auc"]
    assert figure.difference is None and not math.isnan(figure.mean.low)


def test_runs_of_other_images_are_refused(runs):
    other = dataclasses.replace(runs["odd"][1], labels=1 - runs["odd"][1].labels)
    with pytest.raises(InputError, match="different images"):
        figures_of({**runs, "odd": {1: other}}, "black-box", resamples=20)
