"""Concentrated evidence: against a slow loop in float64, and what it promises."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from softcam.errors import InputError
from softcam.evidence.concentration import concentrate
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM


def slow(plain: torch.Tensor, sharpness: float) -> torch.Tensor:
    """Weigh position by position, in Python's floats."""
    result = torch.zeros_like(plain, dtype=torch.float64)
    for b in range(plain.shape[0]):
        for k in range(plain.shape[1]):
            values = [float(v) for v in plain[b, k].flatten()]
            highest = max(values)
            weights = [math.exp(sharpness * (v - highest)) for v in values]
            total = math.fsum(weights)
            row = [len(values) * w / total * v for w, v in zip(weights, values, strict=True)]
            result[b, k] = torch.tensor(row, dtype=torch.float64).view(plain.shape[2:])
    return result


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 1.0, 8.0])
@pytest.mark.parametrize("size", [(5,), (4, 3), (2, 3, 2), (1, 1)])
def test_equals_the_weighted_terms_of_a_slow_loop(sharpness: float, size: tuple[int, ...]) -> None:
    plain = torch.randn((3, 2, *size), generator=torch.Generator().manual_seed(1)).double() * 3
    torch.testing.assert_close(
        concentrate(plain, sharpness), slow(plain, sharpness), rtol=1e-12, atol=1e-12
    )


def test_without_sharpness_the_maps_are_the_plain_ones_bit_for_bit() -> None:
    plain = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    assert concentrate(plain, 0.0) is plain


def test_the_logit_lies_between_the_plain_mean_and_the_maximum_and_rises_with_sharpness() -> None:
    plain = torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(3)).double()
    logits = [concentrate(plain, s).mean((2, 3)) for s in (0.0, 0.5, 1.0, 5.0, 500.0)]
    for lower, higher in itertools.pairwise(logits):
        assert (higher > lower).all()
    torch.testing.assert_close(logits[0], plain.mean((2, 3)))
    torch.testing.assert_close(logits[-1], plain.amax((2, 3)), atol=1e-3, rtol=0)


def test_a_map_of_one_value_stays_as_it_is() -> None:
    plain = torch.full((1, 2, 3, 3), -1.5)
    torch.testing.assert_close(concentrate(plain, 4.0), plain)


def test_large_evidence_neither_overflows_nor_loses_the_mean() -> None:
    plain = torch.tensor([[[1e4, -1e4, 0.0, 9.9e3]]])
    found = concentrate(plain, 1.0)
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found.mean(2), torch.tensor([[1e4]]))


def test_gradients_agree_with_finite_differences() -> None:
    plain = torch.randn(2, 2, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    assert torch.autograd.gradcheck(
        lambda a: concentrate(a, 0.7).square().sum() + concentrate(a, 0.7).mean(),
        plain.requires_grad_(),
    )


@pytest.mark.parametrize("wrong", [-0.1, float("nan"), float("inf")])
def test_a_sharpness_that_is_no_number_of_at_least_0_is_refused(wrong: float) -> None:
    with pytest.raises(InputError, match="concentration must be a finite number"):
        EvidenceLayer(4, 2, concentration=wrong)


@pytest.mark.parametrize("sharpness", [0.0, 1.0])
def test_logits_are_the_mean_of_concentrated_maps_and_plain_logits_that_of_the_read_out(
    sharpness: float,
) -> None:
    torch.manual_seed(5)
    model = SoftCAM(nn.Conv2d(3, 8, 3, padding=1), EvidenceLayer(8, 2, concentration=sharpness))
    images = torch.randn(3, 3, 7, 5)
    output, plain = model.forward_with_plain(images)
    read_out = model.head.conv(model.backbone(images))
    torch.testing.assert_close(output.logits, model(images).logits)
    torch.testing.assert_close(
        output.evidence, slow(read_out, sharpness).float(), rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))
    torch.testing.assert_close(plain, read_out.mean((2, 3)))
    assert model.evidence_kind == ("concentrated" if sharpness else "affine")


def test_several_stages_are_added_before_they_are_concentrated() -> None:
    torch.manual_seed(6)
    head = StageEvidence([4, 6], 2, concentration=1.0)
    features = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)]
    torch.testing.assert_close(
        head(features), slow(head.plain(features), 1.0).float(), rtol=1e-4, atol=1e-5
    )
    assert head.kind == "concentrated"


def test_concentration_stays_in_float32_under_autocast() -> None:
    torch.manual_seed(7)
    model = SoftCAM(nn.Conv2d(3, 8, 3, padding=1), EvidenceLayer(8, 2, concentration=2.0))
    with torch.autocast("cpu", torch.bfloat16):
        output, plain = model.forward_with_plain(torch.randn(2, 3, 6, 6))
    assert output.evidence.dtype == plain.dtype == torch.float32
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)), rtol=1e-6, atol=1e-6)
