from __future__ import annotations

import math

import captum.attr
import pytest
import torch
from torch import nn

from softcam.errors import InputError
from softcam.evaluation.consistency.completeness import attribution_error, evidence_error


@pytest.mark.parametrize("sides", [(5, 7), (3, 4, 5)])
def test_the_mean_of_the_maps_has_no_error_and_a_wrong_logit_has_its_own(sides):
    evidence = torch.randn(4, 3, *sides, dtype=torch.float64)
    logits = evidence.flatten(2).mean(2)
    assert evidence_error(evidence, logits).max() < 1e-12
    wrong = logits.clone()
    wrong[2, 1] += 0.5
    found = evidence_error(evidence, wrong)
    assert found[2].item() == pytest.approx(0.5 / wrong.abs().max().item(), abs=1e-12)
    assert found[[0, 1, 3]].max() < 1e-12


def test_logits_that_are_all_zero_leave_the_error_undefined():
    assert evidence_error(torch.zeros(2, 1, 3, 3), torch.zeros(2, 1)).isnan().all()


def test_attributions_agree_with_captum_and_its_convergence_delta():
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()
    images = torch.randn(5, 6, dtype=torch.float64)
    baseline = torch.zeros_like(images)
    method = captum.attr.IntegratedGradients(model)
    attributions, delta = method.attribute(
        images, baseline, n_steps=8, return_convergence_delta=True
    )
    output, start = model(images), model(baseline)
    expected = (delta / (output - start)).abs()
    found = attribution_error(attributions, output, start)
    torch.testing.assert_close(found, expected.detach())
    assert not found.requires_grad


def test_equal_outputs_leave_the_error_undefined():
    found = attribution_error(torch.ones(2, 3), torch.tensor([1.0, 4.0]), torch.ones(2))
    assert found.tolist() == pytest.approx([math.nan, 0], nan_ok=True)


@pytest.mark.parametrize(
    ("evidence", "logits"), [((2, 3, 4), (2, 3)), ((2, 3, 4, 4), (2, 2)), ((0, 3, 4, 4), (0, 3))]
)
def test_shapes_that_do_not_fit_are_refused(evidence, logits):
    with pytest.raises(InputError, match="Evidence of shape"):
        evidence_error(torch.zeros(evidence), torch.zeros(logits))
    with pytest.raises(InputError, match="Attributions of shape"):
        attribution_error(torch.zeros(2, 3), torch.zeros(2), torch.zeros(1))


def test_nan_is_refused():
    with pytest.raises(InputError, match="for image 1 "):
        evidence_error(torch.zeros(2, 1, 2, 2), torch.tensor([[0.0], [math.nan]]))
    with pytest.raises(InputError, match="for image 0 "):
        attribution_error(torch.full((1, 2), math.nan), torch.ones(1), torch.zeros(1))
