"""Functions of users within a head."""

import copy
import pickle

import pytest
import torch
from torch import nn

from softcam.evidence.pooled import PooledEvidence
from softcam.evidence.steps import (
    Apply,
    GateStep,
    LinearStep,
    ScaleStep,
)
from tests.evidence.heads import (
    FEW,
    C,
    deviation,
    evidence_of,
    plain_head,
    pool,
)


def test_the_features_are_not_altered_by_functions_that_work_in_place():
    for function in (
        nn.ReLU(inplace=True),
        nn.Hardswish(inplace=True),
        Apply(torch.relu_),
        Apply("tanh_"),
        Apply(nn.functional.leaky_relu, (Apply.INPUT,), {"inplace": True}),
    ):
        form = evidence_of(plain_head([nn.Linear(C, FEW)]))
        form.steps.insert(0, GateStep(function))
        features = torch.randn(2, C, 2, 2, dtype=torch.float64)
        before = features.clone()
        found = form(features)
        assert torch.equal(features, before)
        assert torch.equal(form(features), found)
        form(features[:, :, :1, :1])
        assert torch.equal(features, before)


def test_a_scale_that_works_in_place_alters_nothing():
    form = evidence_of(plain_head([nn.Linear(C, FEW)]))
    expected = form(torch.ones(1, C, 1, 1, dtype=torch.float64) * 3)
    form.steps.insert(0, ScaleStep(Apply("mul_", (Apply.INPUT, 3.0))))
    features = torch.ones(1, C, 1, 1, dtype=torch.float64)
    torch.testing.assert_close(form(features), expected, rtol=1e-12, atol=0)
    assert (features == 1).all()


def test_a_function_call_registers_the_parameters_and_buffers_among_its_arguments():
    weight, constant = nn.Parameter(torch.rand(C)), torch.rand(C)
    call = Apply(torch.addcmul, (Apply.INPUT, weight, constant), {"value": 2.0})
    assert [p is weight for p in call.parameters()] == [True]
    assert [torch.equal(b, constant) for b in call.buffers()] == [True]
    x = torch.randn(4, C)
    torch.testing.assert_close(call(x), x + 2 * weight * constant)
    (gradient,) = torch.autograd.grad(call(x).sum(), weight)
    torch.testing.assert_close(gradient, 4 * 2 * constant)
    assert all(t.dtype == torch.float64 for t in call.double().state_dict().values())
    assert call(x.double()).dtype == torch.float64


def test_a_function_call_takes_the_input_wherever_it_stands():
    weight = nn.Parameter(torch.rand(C))
    x = torch.randn(4, C)
    torch.testing.assert_close(Apply(torch.sub, (weight, Apply.INPUT))(x), weight - x)
    torch.testing.assert_close(Apply("tanh")(x), x.tanh())
    torch.testing.assert_close(Apply("mul", (Apply.INPUT, weight))(x), x * weight)
    call = Apply(nn.functional.prelu, (), {"input": Apply.INPUT, "weight": weight[:1].detach()})
    torch.testing.assert_close(call(x), nn.functional.prelu(x, weight[:1]))
    assert len(list(call.buffers())) == 1
    torch.testing.assert_close(Apply("clamp", (Apply.INPUT,), {"min": 0})(x), x.relu())


def pickled(module):
    return pickle.loads(pickle.dumps(module))  # noqa: S301 - made on the line itself


@pytest.mark.parametrize("duplicate", [copy.deepcopy, pickled])
def test_a_copy_of_a_function_call_is_the_same_function(duplicate):
    call = Apply(torch.mul, (Apply.INPUT, nn.Parameter(torch.rand(C))), {})
    x = torch.randn(4, C)
    assert torch.equal(duplicate(call)(x), call(x))


def test_a_function_call_in_a_head_is_trained_and_stored_with_it():
    weight = nn.Parameter(torch.rand(C, dtype=torch.float64))
    linear = nn.Linear(C, FEW).double()
    form = PooledEvidence(
        [
            ScaleStep(Apply(torch.mul, (Apply.INPUT, weight))),
            GateStep(Apply(nn.functional.gelu, (Apply.INPUT,), {"approximate": "tanh"})),
            LinearStep(linear.weight, linear.bias),
        ]
    )
    assert any(p is weight for p in form.parameters())
    features = torch.randn(2, C, 3, 2, dtype=torch.float64)
    logits = linear(nn.functional.gelu(pool(features) * weight, approximate="tanh"))
    assert deviation(pool(form(features)), logits) < 1e-12
    (found,) = torch.autograd.grad(pool(form(features)).sum(), weight)
    (expected,) = torch.autograd.grad(logits.sum(), weight)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)
