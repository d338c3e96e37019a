import math

import pytest
import torch

from softcam.errors import InputError
from softcam.evidence.penalty import ElasticNet


def test_the_penalty_is_the_mean_over_batch_classes_and_positions():
    evidence = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    absolute = squares = 0.0
    for value in evidence.flatten().tolist():
        absolute += abs(value)
        squares += value * value
    expected = 0.3 * absolute / evidence.numel() + 0.7 * squares / evidence.numel()
    assert math.isclose(float(ElasticNet(0.3, 0.7)(evidence)), expected, rel_tol=1e-12)


def test_a_weight_means_the_same_at_any_map_size():
    evidence = torch.randn(2, 3, 4, 4)
    larger = evidence.repeat_interleave(3, dim=2).repeat_interleave(3, dim=3)
    penalty = ElasticNet(0.5, 0.5)
    torch.testing.assert_close(penalty(evidence), penalty(larger))


def test_no_weights_give_no_penalty():
    assert ElasticNet()(torch.randn(1, 2, 3, 3)) == 0


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_impossible_weights_are_refused(value):
    with pytest.raises(InputError, match="finite number of at least 0"):
        ElasticNet(l1=value)
    with pytest.raises(InputError, match="finite number of at least 0"):
        ElasticNet(l2=value)


@pytest.mark.parametrize(("l1", "l2"), [(0.3, 0.0), (0.0, 0.7), (0.3, 0.7)])
def test_gradients_of_the_penalty_are_those_of_finite_differences(l1, l2):
    evidence = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    evidence = evidence + 0.1 * evidence.sign()  # away from the kink of |A|
    assert torch.autograd.gradcheck(ElasticNet(l1, l2), evidence.requires_grad_())
