"""Close to zero and far from it, gates keep the mean and the gradients."""

import pytest
import torch
from torch import nn

from softcam.evidence.steps import (
    GateStep,
)
from tests.evidence.heads import (
    ACTIVATIONS,
    FEW,
    deviation,
    every_activation,
    evidence_of,
    plain_head,
    pool,
)


def features_with_means(means):
    """Features of several magnitudes at the positions whose pooled values are these."""
    offsets = torch.tensor([0.0, 1.0, -1.0, 0.5, -0.5], dtype=means.dtype)
    return (means[..., None] + offsets)[..., None]


TINY = [0.0, -0.0, 1e-9, -1e-9, 1e-5, -1e-5, 5e-7, -5e-7, 5e-4, -5e-4]


@every_activation
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_units_at_zero_or_beside_it_keep_mean_and_gradients(activation, dtype):
    make = nn.PReLU if activation == "prelu" else ACTIVATIONS[activation]
    plain = plain_head([make(), nn.Linear(len(TINY), FEW)], dtype)
    features = features_with_means(torch.tensor([TINY], dtype=dtype)).requires_grad_()
    evidence = evidence_of(plain)(features)
    means, logits = pool(evidence), plain(pool(features))
    precision = 1e-12 if dtype == torch.float64 else 1e-6
    torch.testing.assert_close(means, logits, rtol=0, atol=precision)
    assert evidence.isfinite().all()
    wanted = [features, *plain.parameters()]
    found = torch.autograd.grad(means.sum(), wanted, retain_graph=True)
    expected = torch.autograd.grad(logits.sum(), wanted)
    for one, other in zip(found, expected, strict=True):
        assert one.isfinite().all()
        torch.testing.assert_close(one, other, rtol=0, atol=max(1e-3, precision))


@every_activation
@pytest.mark.parametrize(
    ("dtype", "size", "tolerance"), [(torch.float64, 5e-7, 1e-12), (torch.float32, 5e-4, 1e-5)]
)
def test_the_mean_is_exact_when_every_unit_is_close_to_zero(activation, dtype, size, tolerance):
    make = nn.PReLU if activation == "prelu" else ACTIVATIONS[activation]
    plain = plain_head([make(), nn.Linear(8, FEW, bias=False)], dtype)
    means = torch.linspace(-size, size, 8, dtype=dtype)[None]
    features = means[..., None, None].expand(-1, -1, 2, 2)
    evidence = evidence_of(plain)(features)
    assert deviation(pool(evidence), plain(pool(features))) < tolerance


@every_activation
@pytest.mark.parametrize("number", [1e4, -1e4, 60.0, -60.0])
def test_saturated_units_keep_the_mean(activation, number):
    make = nn.PReLU if activation == "prelu" else ACTIVATIONS[activation]
    plain = plain_head([make(), nn.Linear(1, FEW)], torch.float32)
    features = torch.full((1, 1, 2, 2), number)
    assert deviation(pool(evidence_of(plain)(features)), plain(pool(features))) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_gate_at_zero_is_torchs_derivative(dtype):
    for activation, slope in [
        (nn.ReLU(), 0.0),
        (nn.LeakyReLU(0.25), 0.25),
        (nn.PReLU(init=0.25), 0.25),
        (nn.ReLU6(), 0.0),
    ]:
        zero = torch.zeros(1, 1, dtype=dtype, requires_grad=True)
        activation = activation.to(dtype)
        assert float(torch.autograd.grad(activation(zero).sum(), zero)[0]) == slope
        gate = GateStep(activation).hold(zero).scale
        assert gate.item() == pytest.approx(slope, abs=1e-6)
