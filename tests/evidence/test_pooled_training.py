"""Gradients, dropout and batch norm are those of the plain head."""

import copy
import itertools

import pytest
import torch
from torch import nn

from softcam.evidence.pooled import PooledEvidence
from softcam.evidence.steps import (
    BatchNormStep,
    LinearStep,
)
from tests.evidence.heads import (
    FEW,
    HEADS,
    C,
    deviation,
    every_head,
    every_size,
    evidence_of,
    plain_head,
    pool,
)


@every_head
@every_size
def test_gradients_are_those_of_the_plain_head(head, outputs):
    plain = plain_head([m for m in HEADS[head](outputs) if not isinstance(m, nn.Dropout)])
    features = torch.randn(4, C, 3, 2, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(4, outputs, dtype=torch.float64)
    wanted = [features, *plain.parameters()]
    for training in (False, True):
        form = evidence_of(plain.train(training))
        assert {id(p) for p in form.parameters()} == {id(p) for p in plain.parameters()}
        found = torch.autograd.grad((pool(form(features)) * weights).sum(), wanted)
        expected = torch.autograd.grad((plain(pool(features)) * weights).sum(), wanted)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_training_the_evidence_trains_the_plain_head():
    plain = plain_head([nn.LayerNorm(C), nn.Linear(C, 5), nn.GELU(), nn.Linear(5, FEW)])
    form = evidence_of(copy.deepcopy(plain))
    features = torch.randn(8, C, 2, 2, dtype=torch.float64)
    labels = torch.randint(0, FEW, (8,))
    for model, logits in (
        (plain, lambda: plain(pool(features))),
        (form, lambda: pool(form(features))),
    ):
        for _ in range(10):
            loss = nn.functional.cross_entropy(logits(), labels)
            slopes = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, slope in zip(model.parameters(), slopes, strict=True):
                    parameter -= 0.5 * slope
    assert deviation(pool(form(features)), plain(pool(features))) < 1e-9


def test_dropout_drops_whole_channels_as_the_head_drops_the_pooled_ones():
    plain = plain_head([nn.Dropout(0.4), nn.Linear(32, FEW)])
    form = evidence_of(plain).train()
    features = torch.randn(3, 32, 4, 5, dtype=torch.float64)
    torch.manual_seed(1)
    evidence = form(features)
    torch.manual_seed(1)
    mask = nn.functional.dropout(torch.ones(3, 32, dtype=torch.float64), 0.4, True)
    assert 0 < int((mask == 0).sum()) < mask.numel()
    assert deviation(pool(evidence), plain[1](pool(features) * mask)) < 1e-12
    for row, column in itertools.product(range(4), range(5)):
        expected = plain[1](features[:, :, row, column] * mask)
        assert deviation(evidence[:, :, row, column], expected) < 1e-12


def test_dropout_of_hidden_units_changes_what_is_behind_it():
    plain = plain_head([nn.Linear(C, 16), nn.Dropout(0.5), nn.Sigmoid(), nn.Linear(16, FEW)])
    form = evidence_of(plain).train()
    features = torch.randn(3, C, 2, 2, dtype=torch.float64)
    torch.manual_seed(2)
    logits = pool(form(features))
    torch.manual_seed(2)
    mask = nn.functional.dropout(torch.ones(3, 16, dtype=torch.float64), 0.5, True)
    assert deviation(logits, plain[3](plain[2](plain[0](pool(features)) * mask))) < 1e-12


def test_another_mask_is_drawn_at_each_pass():
    form = evidence_of(plain_head([nn.Dropout(0.5), nn.Linear(64, FEW)])).train()
    features = torch.randn(1, 64, 2, 2, dtype=torch.float64)
    assert not torch.equal(form(features), form(features))


@pytest.mark.parametrize(("rate", "training"), [(0.0, True), (0.7, False)])
def test_dropout_does_nothing_at_rate_zero_and_in_eval_mode(rate, training):
    plain = plain_head([nn.Dropout(rate), nn.Linear(C, FEW)])
    form = evidence_of(plain).train(training)
    features = torch.randn(2, C, 2, 2, dtype=torch.float64)
    state = torch.get_rng_state()
    assert deviation(pool(form(features)), plain[1](pool(features))) < 1e-12
    assert torch.equal(torch.get_rng_state(), state)


def test_the_dropout_rate_is_the_one_in_front_of_the_classifier():
    steps = [nn.Dropout(0.1), nn.Linear(C, 5), nn.ReLU(), nn.Dropout(0.3), nn.Linear(5, FEW)]
    assert evidence_of(plain_head(steps)).dropout == 0.3
    assert evidence_of(plain_head([nn.Linear(C, FEW)])).dropout == 0.0


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"momentum": 0.3},
        {"momentum": None},
        {"momentum": 0.0},
        {"affine": False},
        {"track_running_stats": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_batch_norm_in_training_is_torchs_batch_norm(arguments, dtype):
    norm = nn.BatchNorm1d(C, **arguments).to(dtype)
    twin = copy.deepcopy(norm)
    linear = nn.Linear(C, FEW).to(dtype)
    form = PooledEvidence([BatchNormStep(norm), LinearStep(linear.weight, linear.bias)]).train()
    twin.train()
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for shift in range(3):
        features = torch.randn(5, C, 2, 3, dtype=dtype) * (shift + 1) + shift
        assert deviation(pool(form(features)), linear(twin(pool(features)))) < tolerance
        assert norm.state_dict().keys() == twin.state_dict().keys()
        for name, expected in twin.state_dict().items():
            rounding = 0 if name == "num_batches_tracked" else tolerance
            torch.testing.assert_close(
                norm.state_dict()[name], expected, rtol=rounding, atol=rounding
            )
    form.eval(), twin.eval()
    assert deviation(pool(form(features)), linear(twin(pool(features)))) < tolerance


def test_a_frozen_batch_norm_stays_as_it_is_while_the_head_is_trained():
    plain = plain_head([nn.BatchNorm1d(C), nn.Linear(C, FEW)])
    form = evidence_of(plain).train()
    plain[0].eval()
    before = copy.deepcopy(plain[0].state_dict())
    features = torch.randn(4, C, 2, 2, dtype=torch.float64)
    assert deviation(pool(form(features)), plain(pool(features))) < 1e-12
    for name, kept in before.items():
        assert torch.equal(plain[0].state_dict()[name], kept)


def test_statistics_that_torch_would_leave_alone_are_left_alone():
    plain = plain_head([nn.BatchNorm1d(C), nn.Linear(C, FEW)])
    plain[0].track_running_stats = False
    twin = copy.deepcopy(plain).train()
    form = evidence_of(plain).train()
    features = torch.randn(4, C, 2, 2, dtype=torch.float64)
    assert deviation(pool(form(features)), twin(pool(features))) < 1e-12
    for name, expected in twin[0].state_dict().items():
        torch.testing.assert_close(plain[0].state_dict()[name], expected)


def test_batch_norm_statistics_carry_no_graph():
    plain = plain_head([nn.BatchNorm1d(C), nn.Linear(C, FEW)])
    form = evidence_of(plain).train()
    form(torch.randn(4, C, 2, 2, dtype=torch.float64, requires_grad=True)).sum().backward()
    assert not plain[0].running_mean.requires_grad
    assert not plain[0].running_var.requires_grad
