import math

import numpy as np
import pytest

from softcam.workflows.find_lr import smooth, steepest


def test_smoothing_is_a_weighted_mean_of_what_was_seen():
    losses = np.random.default_rng(0).random(30).tolist()
    for n, value in enumerate(smooth(losses)):
        weights = [0.9 ** (n - i) for i in range(n + 1)]
        expected = sum(w * x for w, x in zip(weights, losses, strict=False)) / sum(weights)
        assert value == pytest.approx(expected)
    assert smooth([2.0, 2.0, 2.0]) == pytest.approx([2, 2, 2])


def test_the_steepest_rate_is_in_the_middle_of_a_smooth_fall():
    rates = np.geomspace(1e-6, 1, 100)
    curve = 1 / (1 + np.exp(2 * np.log(rates / 1e-3)))  # falls fastest at 1e-3
    curve[rates > 0.1] = 2.0  # and then diverges
    found = steepest(rates.tolist(), curve.tolist())
    assert found == pytest.approx(1e-3, rel=0.15)


def test_a_rise_behind_the_least_loss_does_not_count():
    rates = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
    assert steepest(rates, [1.0, 0.9, 0.5, 3.0, 0.6]) == pytest.approx(1e-3)
    assert steepest(rates, [1.0, 0.9, 0.5, math.inf, math.nan]) == 1e-2


def test_a_loss_that_never_falls_gives_no_rate():
    assert steepest([1e-3, 1e-2, 1e-1], [1.0, 1.1, 1.2]) is None
    assert steepest([1e-3, 1e-2, 1e-1], [1.0, math.nan, math.nan]) is None
