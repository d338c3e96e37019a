import copy
import itertools
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import softcam.evidence.pooled as pooled_module
from softcam.evidence.pooled import PULL_LIMIT, PooledEvidence
from softcam.evidence.steps import (
    Apply,
    BatchNormStep,
    DropoutStep,
    GateStep,
    LinearStep,
    NormStep,
    ScaleStep,
)

C = 6
FEW, MANY = 3, PULL_LIMIT + 6
SHAPES = {1: (5,), 2: (3, 4), 3: (2, 3, 2)}


class Scale(nn.Module):
    def __init__(self, channels=C):
        super().__init__()
        self.factor = nn.Parameter(torch.rand(channels) + 0.5)
        self.offset = nn.Parameter(torch.randn(channels))

    def forward(self, x):
        return x * self.factor + self.offset


ACTIVATIONS = {
    "relu": nn.ReLU,
    "relu in place": lambda: nn.ReLU(inplace=True),
    "gelu": nn.GELU,
    "hardswish": nn.Hardswish,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "prelu": lambda: nn.PReLU(5),
    "leaky relu": lambda: nn.LeakyReLU(0.1),
}

HEADS = {
    "linear": lambda k: [nn.Linear(C, k)],
    "no bias": lambda k: [nn.Linear(C, k, bias=False)],
    "dropout": lambda k: [nn.Dropout(0.5), nn.Linear(C, k)],
    "layer norm": lambda k: [nn.LayerNorm(C), nn.Linear(C, k)],
    "bare layer norm": lambda k: [nn.LayerNorm(C, elementwise_affine=False), nn.Linear(C, k)],
    "layer norm without bias": lambda k: [nn.LayerNorm(C, bias=False), nn.Linear(C, k)],
    "rms norm": lambda k: [nn.RMSNorm(C, eps=1e-6), nn.Linear(C, k)],
    "bare rms norm": lambda k: [
        nn.RMSNorm(C, eps=1e-3, elementwise_affine=False),
        nn.Linear(C, k),
    ],
    "group norm of 1": lambda k: [nn.GroupNorm(1, C), nn.Linear(C, k)],
    "group norm of 3": lambda k: [nn.GroupNorm(3, C), nn.Linear(C, k)],
    "bare group norm of 2": lambda k: [nn.GroupNorm(2, C, affine=False), nn.Linear(C, k)],
    "batch norm": lambda k: [nn.BatchNorm1d(C), nn.Linear(C, k)],
    "bare batch norm": lambda k: [nn.BatchNorm1d(C, affine=False), nn.Linear(C, k)],
    "scale": lambda k: [Scale(), nn.Linear(C, k)],
    "two hidden layers": lambda k: [
        nn.LayerNorm(C),
        nn.Linear(C, 5),
        nn.GELU(),
        nn.Dropout(0.3),
        nn.BatchNorm1d(5),
        nn.Linear(5, 4, bias=False),
        nn.Sigmoid(),
        nn.GroupNorm(2, 4),
        Scale(4),
        nn.Linear(4, k),
    ],
    "activation first": lambda k: [nn.Hardswish(), nn.Linear(C, k)],
} | {
    f"hidden {name}": lambda k, make=make: [nn.Linear(C, 5), make(), nn.Linear(5, k)]
    for name, make in ACTIVATIONS.items()
}
every_head = pytest.mark.parametrize("head", HEADS)
every_size = pytest.mark.parametrize("outputs", [FEW, MANY])
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def plain_head(modules, dtype=torch.float64):
    """A head of torch's own layers, with no parameter or statistic at its initial value."""
    head = nn.Sequential(*modules).to(dtype).eval()
    for module in head:
        if isinstance(module, (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.BatchNorm1d)):
            for parameter in module.parameters():
                parameter.data.normal_(0.5, 1)
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
        if isinstance(module, nn.PReLU):
            module.weight.data.uniform_(-0.5, 0.5)
    return head


def step_of(module):
    if isinstance(module, nn.Linear):
        return LinearStep(module.weight, module.bias)
    if isinstance(module, nn.Dropout):
        return DropoutStep(module.p)
    if isinstance(module, nn.LayerNorm):
        return NormStep(module.weight, module.bias, module.eps)
    if isinstance(module, nn.RMSNorm):
        return NormStep(module.weight, None, module.eps, centred=False, spread="mean square")
    if isinstance(module, nn.GroupNorm):
        return NormStep(module.weight, module.bias, module.eps, groups=module.num_groups)
    if isinstance(module, nn.BatchNorm1d):
        return BatchNormStep(module)
    return ScaleStep(module) if isinstance(module, Scale) else GateStep(module)


def evidence_of(head, dims=2):
    """The evidence form of a plain head; it shares the head's parameters."""
    form = PooledEvidence([step_of(module) for module in head], dims=dims)
    return form.train(head.training)


def pool(features):
    return features.flatten(2).mean(2)


def deviation(found, expected):
    """Largest difference, as a fraction of the largest expected magnitude."""
    assert found.shape == expected.shape
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


def value(module, u):
    """An activation by its formula."""
    u = np.asarray(u, dtype=np.float64)
    match module:
        case nn.ReLU():
            return np.where(u > 0, u, 0.0)
        case nn.GELU():
            return np.array([x * (1 + math.erf(x / math.sqrt(2))) / 2 for x in u])
        case nn.Hardswish():
            return np.array([x * min(max(x + 3, 0), 6) / 6 for x in u])
        case nn.SiLU():
            return u / (1 + np.exp(-u))
        case nn.Tanh():
            return 1 - 2 / (np.exp(2 * u) + 1)
        case nn.Sigmoid():
            return 1 / (1 + np.exp(-u))
        case nn.PReLU():
            return np.where(u > 0, u, numbers(module.weight) * u)
        case nn.LeakyReLU():
            return np.where(u > 0, u, module.negative_slope * u)
    raise AssertionError(module)


def numbers(tensor, otherwise=0.0):
    return otherwise if tensor is None else tensor.detach().double().numpy()


def held(module, u):
    """A module as x -> M x + t or x -> s x + t, with what depends on u taken from u."""
    match module:
        case nn.Linear():
            return numbers(module.weight), None, numbers(module.bias)
        case nn.Dropout():
            return None, 1.0, 0.0
        case nn.LayerNorm() | nn.RMSNorm() | nn.GroupNorm():
            groups = getattr(module, "num_groups", 1)
            width = len(u) // groups
            mean, scale = np.zeros(len(u)), np.zeros(len(u))
            for g in range(groups):
                members = range(g * width, (g + 1) * width)
                middle = sum(u[c] for c in members) / width
                if isinstance(module, nn.RMSNorm):
                    middle = 0.0
                variance = sum((u[c] - middle) ** 2 for c in members) / width
                for c in members:
                    mean[c], scale[c] = middle, 1 / math.sqrt(variance + module.eps)
            scale = scale * numbers(module.weight, 1.0)
            return None, scale, numbers(getattr(module, "bias", None)) - mean * scale
        case nn.BatchNorm1d():
            scale = numbers(module.weight, 1.0) / np.sqrt(numbers(module.running_var) + module.eps)
            return None, scale, numbers(module.bias) - numbers(module.running_mean) * scale
        case Scale():
            return None, numbers(module.factor), numbers(module.offset)
    origin = value(module, np.zeros(len(u)))
    return None, (value(module, u) - origin) / u, origin


def slow_evidence(head, features):
    """Evidence position by position, one image at a time, by the definitions."""
    places = list(itertools.product(*(range(n) for n in features.shape[2:])))
    images = numbers(features)
    result = None
    for b, image in enumerate(images):
        u = sum(image[(slice(None), *place)] for place in places) / len(places)
        affine = []
        for module in head:
            matrix, scale, shift = held(module, u)
            affine.append((matrix, scale, shift))
            u = (matrix @ u if matrix is not None else scale * u) + shift
        for place in places:
            x = image[(slice(None), *place)]
            for matrix, scale, shift in affine:
                x = (matrix @ x if matrix is not None else scale * x) + shift
            if result is None:
                result = np.zeros((len(images), len(x), *features.shape[2:]))
            result[(b, slice(None), *place)] = x
    return torch.from_numpy(result)


@every_head
@every_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_mean_of_the_evidence_is_the_plain_head_of_the_pooled_vector(
    head, outputs, dtype, tolerance
):
    plain = plain_head(HEADS[head](outputs), dtype)
    for dims, shape in SHAPES.items():
        features = torch.randn(2, C, *shape, dtype=dtype)
        evidence = evidence_of(plain, dims)(features)
        assert evidence.dtype == dtype
        assert evidence.shape == (2, outputs, *shape)
        assert deviation(pool(evidence), plain(pool(features))) < tolerance


@every_head
def test_every_cell_is_the_head_with_the_factors_of_the_pooled_vector(head):
    features = torch.randn(2, C, 2, 3, dtype=torch.float64)
    for outputs in (FEW, MANY):
        plain = plain_head(HEADS[head](outputs))
        assert deviation(evidence_of(plain)(features), slow_evidence(plain, features)) < 1e-11


@pytest.mark.parametrize("dims", [1, 3])
def test_every_cell_of_other_dimensions_is_the_head_with_the_factors_of_the_pooled_vector(dims):
    plain = plain_head(HEADS["two hidden layers"](FEW))
    features = torch.randn(2, C, *SHAPES[dims], dtype=torch.float64)
    assert deviation(evidence_of(plain, dims)(features), slow_evidence(plain, features)) < 1e-11


@every_head
def test_the_multiplied_and_the_position_by_position_way_agree(head, monkeypatch):
    features = torch.randn(4, C, 3, 4, dtype=torch.float64)
    for outputs in (FEW, MANY):
        form = evidence_of(plain_head(HEADS[head](outputs)).train())
        found = []
        for limit in (outputs - 1, outputs):
            monkeypatch.setattr(pooled_module, "PULL_LIMIT", limit)
            torch.manual_seed(1)
            found.append(form(features))
        assert deviation(found[1], found[0]) < 1e-12


def test_the_head_is_multiplied_out_up_to_the_limit_only(monkeypatch):
    def refuse(held):
        raise AssertionError("multiplied out")

    monkeypatch.setattr(pooled_module, "multiplied_out", refuse)
    features = torch.randn(1, C, 2, 2, dtype=torch.float64)
    evidence_of(plain_head(HEADS["layer norm"](PULL_LIMIT + 1)))(features)
    with pytest.raises(AssertionError, match="multiplied out"):
        evidence_of(plain_head(HEADS["layer norm"](PULL_LIMIT)))(features)


@every_head
def test_constant_features_give_the_logit_at_every_position(head):
    plain = plain_head(HEADS[head](FEW))
    vector = torch.randn(2, C, dtype=torch.float64)
    evidence = evidence_of(plain)(vector[..., None, None].expand(-1, -1, 3, 2))
    for row, column in itertools.product(range(3), range(2)):
        assert deviation(evidence[:, :, row, column], plain(vector)) < 1e-12


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


@every_head
def test_evidence_is_float32_under_autocast_and_its_mean_the_logit(head):
    plain = plain_head(HEADS[head](FEW), torch.float32)
    form = evidence_of(plain)
    features = torch.randn(2, C, 3, 4).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        evidence = form(features)
    assert evidence.dtype == torch.float32
    assert torch.equal(evidence, form(features.float()))
    assert deviation(pool(evidence), plain(pool(features.float()))) < 1e-5


@every_head
def test_half_precision_weights_are_computed_with_in_float32(head):
    for dtype in (torch.bfloat16, torch.float16):
        plain = plain_head(HEADS[head](FEW), dtype)
        features = torch.randn(2, C, 3, 4).to(dtype)
        evidence = evidence_of(plain)(features)
        assert evidence.dtype == torch.float32
        wide = copy.deepcopy(plain).float()
        assert deviation(pool(evidence), wide(pool(features.float()))) < 1e-5


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("linear", "affine"),
        ("dropout", "affine"),
        ("batch norm", "affine"),
        ("scale", "affine"),
        ("layer norm", "normalised"),
        ("rms norm", "normalised"),
        ("group norm of 3", "normalised"),
        ("hidden relu", "gated"),
        ("two hidden layers", "gated"),
    ],
)
def test_the_kind_says_whether_factors_are_held_and_by_what(head, kind):
    assert evidence_of(plain_head(HEADS[head](FEW))).kind == kind


@every_size
def test_the_number_of_outputs_is_that_of_the_last_layer(outputs):
    assert evidence_of(plain_head(HEADS["two hidden layers"](outputs))).num_outputs == outputs


@pytest.mark.parametrize("modules", [[], [nn.ReLU()], [nn.Linear(C, 2), nn.Dropout()]])
def test_a_head_that_does_not_end_in_a_linear_layer_is_refused(modules):
    with pytest.raises(ValueError, match="the last step of a head must be linear"):
        PooledEvidence([step_of(module) for module in modules])


@pytest.mark.parametrize(
    ("dims", "shape"), [(2, (2, 6)), (2, (2, 6, 3)), (1, (2, 6, 3, 4)), (3, (2, 6, 3, 4))]
)
def test_features_of_another_dimension_are_refused_with_the_shape(dims, shape):
    form = evidence_of(plain_head(HEADS["layer norm"](FEW)), dims)
    with pytest.raises(ValueError) as caught:
        form(torch.randn(shape, dtype=torch.float64))
    assert str(shape) in str(caught.value)
    assert f"{dims}-D features expects a tensor with {dims + 2} dimensions" in str(caught.value)


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


@st.composite
def random_heads(draw):
    """Modules of a head of any shape, and the number of feature channels that it takes."""
    channels = draw(st.integers(1, 4)) * 2
    modules, width = [], channels
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["linear", "layer", "rms", "group", "batch", "scale", "act"]))
        if kind == "linear":
            wider = draw(st.integers(1, 4)) * 2
            modules.append(nn.Linear(width, wider, bias=draw(st.booleans())))
            width = wider
        elif kind == "layer":
            modules.append(nn.LayerNorm(width, elementwise_affine=draw(st.booleans())))
        elif kind == "rms":
            modules.append(nn.RMSNorm(width, eps=1e-5))
        elif kind == "group":
            groups = draw(st.sampled_from([g for g in (1, 2, width // 2) if width % g == 0]))
            modules.append(nn.GroupNorm(groups, width))
        elif kind == "batch":
            modules.append(nn.BatchNorm1d(width))
        elif kind == "scale":
            modules.append(Scale(width))
        else:
            name = draw(st.sampled_from(sorted(ACTIVATIONS.keys() - {"prelu"})))
            modules.append(ACTIVATIONS[name]())
    outputs = draw(st.sampled_from([1, 2, 5, PULL_LIMIT, PULL_LIMIT + 1]))
    return [*modules, nn.Linear(width, outputs, bias=draw(st.booleans()))], channels


@given(
    random_heads(),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_head_is_the_mean_of_its_evidence(head, shape, batch, seed):
    torch.manual_seed(seed)
    modules, channels = head
    plain = plain_head(modules)
    features = torch.randn(batch, channels, *shape, dtype=torch.float64)
    with torch.no_grad():
        evidence = evidence_of(plain, len(shape))(features)
        logits = plain(pool(features))
    assert evidence.shape == (batch, logits.shape[1], *shape)
    scale = max(1.0, float(logits.abs().max()), float(evidence.abs().max()))
    assert float((pool(evidence) - logits).abs().max()) < 1e-10 * scale
