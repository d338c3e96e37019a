import itertools
import math

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


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_1x1_convolution_gives_a_layer_that_shares_its_weights(dims):
    convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims](5, 3, 1).double()
    layer = EvidenceLayer.from_linear(convolution, dims=dims, dropout=0.25)
    features = torch.randn(2, 5, *range(2, 2 + dims), dtype=torch.float64)
    torch.testing.assert_close(layer.eval()(features), convolution(features), rtol=0, atol=1e-12)
    assert (layer.dims, layer.dropout, layer.num_outputs) == (dims, 0.25, 3)
    assert layer.conv.weight.data_ptr() == convolution.weight.data_ptr()
    assert layer.conv.bias.data_ptr() == convolution.bias.data_ptr()


def test_a_1x1_convolution_reads_a_map_of_another_number_of_dimensions():
    convolution = nn.Conv2d(5, 3, 1, bias=False).double()
    layer = EvidenceLayer.from_linear(convolution, dims=1)
    features = torch.randn(2, 5, 7, dtype=torch.float64)
    expected = convolution(features[..., None])[..., 0]
    torch.testing.assert_close(layer(features), expected, rtol=0, atol=1e-12)
    assert layer.conv.bias is None


@pytest.mark.parametrize("frozen", [False, True])
def test_a_frozen_classifier_stays_frozen(frozen):
    linear = nn.Linear(4, 2).requires_grad_(not frozen)
    layer = EvidenceLayer.from_linear(linear)
    assert [p.requires_grad for p in layer.parameters()] == [not frozen] * 2


@pytest.mark.parametrize("activation", [nn.ReLU, lambda: nn.ReLU(inplace=True), nn.Softplus])
def test_an_activation_in_front_of_the_pool_acts_on_each_cell(activation):
    classifier = nn.Conv2d(6, 4, 1).double()
    layer = EvidenceLayer.from_linear(classifier, activation=activation())
    features = torch.randn(3, 6, 4, 5, dtype=torch.float64)
    before = features.clone()
    evidence = layer(features)
    for row, column in itertools.product(range(4), range(5)):
        vector = features[:, :, row, column]
        cell = vector @ classifier.weight[:, :, 0, 0].T + classifier.bias
        torch.testing.assert_close(
            evidence[:, :, row, column], activation()(cell), rtol=0, atol=1e-12
        )
    # SqueezeNet: classifier, ReLU and average pool, in this order.
    squeezenet = nn.Sequential(classifier, activation(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.testing.assert_close(evidence.mean((2, 3)), squeezenet(features), rtol=0, atol=1e-12)
    assert torch.equal(features, before)


def test_an_activation_is_trained_as_in_the_black_box():
    classifier = nn.Conv2d(6, 4, 1).double()
    layer = EvidenceLayer.from_linear(classifier, activation=nn.ReLU())
    features = torch.randn(3, 6, 4, 5, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(3, 4, dtype=torch.float64)
    found = torch.autograd.grad(
        (layer(features).mean((2, 3)) * weights).sum(), [features, *layer.parameters()]
    )
    logits = classifier(features).relu().mean((2, 3))
    expected = torch.autograd.grad(
        (logits * weights).sum(), [features, classifier.weight, classifier.bias]
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_evidence_behind_an_activation_is_float32_under_autocast():
    layer = EvidenceLayer(8, 2, activation=nn.ReLU())
    features = torch.randn(2, 8, 3, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        evidence = layer(features)
    assert evidence.dtype == torch.float32
    assert torch.equal(evidence, layer(features))


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


@pytest.mark.parametrize(
    ("dims", "sizes"),
    [
        (1, [(7,), (3,)]),
        (2, [(7, 5), (4, 3), (2, 2)]),
        (2, [(3, 3), (8, 8), (5, 6)]),
        (2, [(8, 6), (4, 4)]),
        (2, [(4, 4), (1, 1)]),
        (3, [(5, 4, 3), (2, 3, 2)]),
    ],
    ids=str,
)
def test_the_mean_is_the_sum_of_the_stages_means_where_sizes_do_not_divide(dims, sizes):
    head = StageEvidence([3] * len(sizes), 2, dims=dims).double()
    features = [torch.randn(2, 3, *size, dtype=torch.float64) for size in sizes]
    evidence = head(features)
    assert tuple(evidence.shape[2:]) == max(sizes, key=math.prod)
    expected = sum(
        layer(stage).flatten(2).mean(2) for layer, stage in zip(head.layers, features, strict=True)
    )
    torch.testing.assert_close(evidence.flatten(2).mean(2), expected, rtol=0, atol=1e-12)


def test_cells_that_are_repeated_unequally_often_differ_as_before():
    head = StageEvidence([3, 5], 2).double()
    fine = torch.zeros(1, 3, 5, 5, dtype=torch.float64)
    coarse = torch.randn(1, 5, 2, 2, dtype=torch.float64)
    evidence = head([fine, coarse])
    own = head.layers[1](coarse)
    # Rows and columns 0, 1 and 2 show the first cell of two, 3 and 4 the second.
    shown = own[:, :, [0, 0, 0, 1, 1]][:, :, :, [0, 0, 0, 1, 1]]
    shift = evidence - shown
    torch.testing.assert_close(shift, shift[:, :, :1, :1].expand_as(shift), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dims", [1, 2])
def test_layers_that_there_are_already_are_added(dims):
    layers = [
        EvidenceLayer(3, 2, dims=dims, dropout=0.3),
        EvidenceLayer(5, 2, dims=dims, bias=False, dropout=0.3),
        EvidenceLayer(4, 2, dims=dims, dropout=0.3),
    ]
    layers = [layer.double().eval() for layer in layers]
    head = StageEvidence.from_layers(layers).eval()
    features = [
        torch.randn(2, 3, *(8, 6)[:dims], dtype=torch.float64),
        torch.randn(2, 5, *(4, 3)[:dims], dtype=torch.float64),
        torch.randn(2, 4, *(3, 2)[:dims], dtype=torch.float64),
    ]
    expected = sum(
        layer(stage).flatten(2).mean(2) for layer, stage in zip(layers, features, strict=True)
    )
    evidence = head(features)
    assert tuple(evidence.shape) == (2, 2, *(8, 6)[:dims])
    torch.testing.assert_close(evidence.flatten(2).mean(2), expected, rtol=0, atol=1e-12)
    assert (head.dims, head.dropout, head.num_outputs) == (dims, 0.3, 2)


def test_added_layers_share_their_weights_and_the_first_has_the_only_bias():
    layers = [EvidenceLayer(3, 2), EvidenceLayer(5, 2)]
    kept = layers[0].conv.bias.detach().clone()
    total = (layers[0].conv.bias + layers[1].conv.bias).detach()
    head = StageEvidence.from_layers(layers)
    assert all(
        own.conv.weight is layer.conv.weight for own, layer in zip(head.layers, layers, strict=True)
    )
    torch.testing.assert_close(head.layers[0].conv.bias.detach(), total)
    assert head.layers[0].conv.bias.requires_grad
    assert head.layers[1].conv.bias is None
    assert torch.equal(layers[0].conv.bias, kept)


def test_added_layers_without_bias_have_a_bias_of_zero():
    head = StageEvidence.from_layers([EvidenceLayer(3, 2, bias=False) for _ in range(2)])
    assert not head.layers[0].conv.bias.any()
