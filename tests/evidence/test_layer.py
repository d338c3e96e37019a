import itertools

import pytest
import torch
from torch import nn

from softcam.evidence.layer import EvidenceLayer, StageEvidence


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_evidence_is_the_linear_layer_applied_position_by_position(dims):
    linear = nn.Linear(5, 3).double()
    layer = EvidenceLayer.from_linear(linear, dims=dims)
    features = torch.randn(2, 5, *range(2, 2 + dims), dtype=torch.float64)
    evidence = layer(features)
    for place in itertools.product(*(range(n) for n in features.shape[2:])):
        at = (slice(None), slice(None), *place)
        torch.testing.assert_close(evidence[at], linear(features[at]), rtol=0, atol=1e-12)


def test_from_linear_shares_the_weights():
    linear = nn.Linear(4, 2)
    layer = EvidenceLayer.from_linear(linear)
    with torch.no_grad():
        linear.weight.zero_()
    assert layer.conv.weight.abs().sum() == 0


def test_a_classifier_without_bias_gives_a_layer_without_bias():
    assert EvidenceLayer.from_linear(nn.Linear(4, 2, bias=False)).conv.bias is None


def test_dropped_channels_are_dropped_at_every_position():
    layer = EvidenceLayer(64, 1, bias=False, dropout=0.5).train()
    nn.init.ones_(layer.conv.weight)
    evidence = layer(torch.rand(1, 64, 1, 1).expand(1, 64, 4, 4))
    assert torch.equal(evidence, evidence[:, :, :1, :1].expand_as(evidence))
    assert not torch.equal(evidence, layer(torch.ones(1, 64, 4, 4)))


def test_dropout_matches_dropout_of_the_pooled_vector():
    layer = EvidenceLayer(32, 2, dropout=0.4).double().train()
    features = torch.randn(3, 32, 4, 5, dtype=torch.float64)
    torch.manual_seed(1)
    logits = layer(features).mean((2, 3))
    torch.manual_seed(1)
    mask = nn.functional.dropout2d(torch.ones(3, 32, 1, 1, dtype=torch.float64), 0.4, True)
    pooled = features.mean((2, 3)) * mask[:, :, 0, 0]
    expected = pooled @ layer.conv.weight[:, :, 0, 0].T + layer.conv.bias
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)


def test_evidence_is_float32_under_autocast():
    layer = EvidenceLayer(8, 2)
    features = torch.randn(2, 8, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        evidence = layer(features.bfloat16())
    assert evidence.dtype == torch.float32
    torch.testing.assert_close(evidence, layer(features.bfloat16().float()), rtol=0, atol=0)


def test_evidence_of_half_precision_weights_is_computed_in_float32():
    layer = EvidenceLayer(8, 2).bfloat16()
    assert layer(torch.randn(1, 8, 3, 3).bfloat16()).dtype == torch.float32


def test_features_of_another_dimension_are_refused_with_the_shape():
    with pytest.raises(ValueError, match=r"expects a tensor with 4 dimensions, got shape \(2, 8\)"):
        EvidenceLayer(8, 2)(torch.randn(2, 8))


@pytest.mark.parametrize("arguments", [{"dims": 4}, {"dropout": 1.0}, {"dropout": -0.1}])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        EvidenceLayer(8, 2, **arguments)


def test_stages_are_repeated_to_the_finest_and_added():
    head = StageEvidence([3, 5], 2).double()
    fine = torch.randn(2, 3, 4, 6, dtype=torch.float64)
    coarse = torch.randn(2, 5, 2, 3, dtype=torch.float64)
    evidence = head([fine, coarse])
    first, second = (layer(x) for layer, x in zip(head.layers, (fine, coarse), strict=True))
    for row, column in itertools.product(range(4), range(6)):
        expected = first[:, :, row, column] + second[:, :, row // 2, column // 2]
        torch.testing.assert_close(evidence[:, :, row, column], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        evidence.mean((2, 3)), first.mean((2, 3)) + second.mean((2, 3)), rtol=0, atol=1e-12
    )


def test_stage_evidence_refuses_another_number_of_stages():
    with pytest.raises(ValueError, match="expected features of 2 stages, got 1"):
        StageEvidence([3, 5], 2)([torch.randn(1, 3, 2, 2)])
