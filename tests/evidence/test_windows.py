import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import softcam.evidence.windows as windows_module
from softcam.evidence.pooled import PULL_LIMIT
from softcam.evidence.steps import (
    DropoutStep,
    GateStep,
    LinearStep,
)
from softcam.evidence.windows import WindowedEvidence, WindowStep

C, HIDDEN = 3, 5
FEW, MANY = 2, PULL_LIMIT + 6
WINDOWS = [(3, 3), (2, 2), (3, 2), (1, 1)]
ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh}
every_way = pytest.mark.parametrize("slides", [False, True], ids=["pooled", "sliding"])
every_window = pytest.mark.parametrize("window", WINDOWS, ids=str)
every_size = pytest.mark.parametrize("outputs", [FEW, MANY])


class Plain(nn.Module):
    """The head as torchvision (one window) and timm (sliding) write it."""

    def __init__(self, window, outputs, *, slides, activation="relu", depth=2, bias=True):
        super().__init__()
        self.window, self.slides, self.depth = window, slides, depth
        if slides:
            self.first = nn.Conv2d(C, HIDDEN, window, bias=bias)
            self.hidden = nn.ModuleList(nn.Conv2d(HIDDEN, HIDDEN, 1) for _ in range(depth - 1))
        else:
            self.first = nn.Linear(C * window[0] * window[1], HIDDEN, bias=bias)
            self.hidden = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(depth - 1))
        self.act = ACTIVATIONS[activation]()
        self.last = nn.Linear(HIDDEN, outputs)

    def forward(self, features, feature_mask=1.0, hidden_masks=(1.0, 1.0, 1.0)):
        size = self.window
        if self.slides:
            size = tuple(max(w, n) for w, n in zip(size, features.shape[2:], strict=True))
            x = features
            if tuple(x.shape[2:]) != size:
                x = F.adaptive_avg_pool2d(x, size)
            x = x * feature_mask
        else:
            x = torch.flatten(nn.AdaptiveAvgPool2d(size)(features) * feature_mask, 1)
        x = self.act(self.first(x)) * hidden_masks[0]
        for layer, mask in zip(self.hidden, hidden_masks[1:], strict=False):
            x = self.act(layer(x)) * mask
        return self.last(x.mean((2, 3)) if self.slides else x)


def evidence_of(plain, *, rate=0.0, input_rate=0.0):
    """The evidence form of a plain head, with its numbers."""
    dtype = plain.last.weight.dtype

    def linear(layer):
        weight = nn.Parameter(layer.weight.detach().clone().flatten(1).to(dtype))
        return LinearStep(weight, nn.Parameter(layer.bias.detach().clone()))

    weight = plain.first.weight.detach().clone().reshape(HIDDEN, C, *plain.window)
    bias = plain.first.bias
    steps = [
        WindowStep(
            nn.Parameter(weight), None if bias is None else nn.Parameter(bias.detach().clone())
        ),
        GateStep(plain.act),
    ]
    for layer in plain.hidden:
        steps += [DropoutStep(rate), linear(layer), GateStep(plain.act)]
    steps += [DropoutStep(rate), linear(plain.last)]
    return WindowedEvidence(steps, slides=plain.slides, input_dropout=input_rate).eval()


def plain_head(window, outputs, *, dtype=torch.float64, **options):
    return Plain(window, outputs, **options).to(dtype).eval()


def maps(*size, batch=2, dtype=torch.float64):
    return torch.randn(batch, C, *size, dtype=dtype)


def deviation(found, expected):
    """Largest difference, as a fraction of the largest expected magnitude."""
    assert found.shape == expected.shape
    return float((found - expected).detach().abs().max() / expected.detach().abs().max())


def averaged(image, rows, columns):
    """Average pool of an image (C, h, w) to a size, cell by cell."""
    _, height, width = image.shape
    result = np.zeros((C, rows, columns))
    for i, j in itertools.product(range(rows), range(columns)):
        top, bottom = i * height // rows, -(-(i + 1) * height // rows)
        left, right = j * width // columns, -(-(j + 1) * width // columns)
        result[:, i, j] = image[:, top:bottom, left:right].mean((1, 2))
    return result


def value(plain, u):
    match plain.act:
        case nn.ReLU():
            return np.maximum(u, 0)
        case nn.Sigmoid():
            return 1 / (1 + np.exp(-u))
        case nn.Tanh():
            return np.tanh(u)
    return F.gelu(torch.from_numpy(u)).numpy()


def slow_evidence(plain, features):
    """Share by share: each position of each window through its own columns and the held gates."""
    kh, kw = plain.window
    numbers = {name: p.detach().double().numpy() for name, p in plain.named_parameters()}
    first = numbers["first.weight"].reshape(HIDDEN, C, kh, kw)
    layers = [
        (numbers[f"hidden.{i}.weight"].reshape(HIDDEN, HIDDEN), numbers[f"hidden.{i}.bias"])
        for i in range(plain.depth - 1)
    ] + [(numbers["last.weight"], numbers["last.bias"])]
    origin = value(plain, np.zeros(HIDDEN))
    maps_of_images = []
    for image in features.detach().double().numpy():
        rows, columns = kh, kw
        if plain.slides:
            rows, columns = max(kh, image.shape[1]), max(kw, image.shape[2])
        image = averaged(image, rows, columns)
        starts = list(itertools.product(range(rows - kh + 1), range(columns - kw + 1)))
        summed, constants = np.zeros((len(layers[-1][1]), rows, columns)), []
        for top, left in starts:
            u = numbers.get("first.bias", np.zeros(HIDDEN)).copy()
            constant = u.copy()
            shares = {}
            for i, j in itertools.product(range(kh), range(kw)):
                shares[i, j] = first[:, :, i, j] @ image[:, top + i, left + j]
                u = u + shares[i, j]
            for weight, bias in layers:
                gate = (value(plain, u) - origin) / u
                shares = {place: weight @ (gate * share) for place, share in shares.items()}
                constant = weight @ (gate * constant + origin) + bias
                u = weight @ value(plain, u) + bias
            constants.append(constant)
            for (i, j), share in shares.items():
                summed[:, top + i, left + j] += share
        constant = sum(constants) / len(starts)
        result = summed * (rows * columns / len(starts)) + constant[:, None, None]
        maps_of_images.append(result)
    return torch.from_numpy(np.stack(maps_of_images))


SIZES = [(3, 3), (5, 4), (7, 9), (2, 6), (2, 2), (1, 1), (1, 5)]


@every_way
@every_window
@every_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_mean_of_the_evidence_is_the_plain_head(slides, window, outputs, dtype, tolerance):
    plain = plain_head(window, outputs, slides=slides, dtype=dtype)
    form = evidence_of(plain)
    for size in SIZES:
        features = maps(*size, dtype=dtype)
        evidence = form(features)
        cells = tuple(map(max, window, size)) if slides else window
        assert evidence.shape == (2, outputs, *cells)
        assert evidence.dtype == dtype
        assert deviation(evidence.mean((2, 3)), plain(features)) < tolerance


@every_way
@every_window
@every_size
def test_every_cell_is_the_share_of_its_position(slides, window, outputs):
    plain = plain_head(window, outputs, slides=slides)
    for size in [(3, 3), (5, 4), (2, 6), (2, 2), (1, 5)]:
        features = maps(*size)
        assert deviation(evidence_of(plain)(features), slow_evidence(plain, features)) < 1e-11


@every_way
@every_size
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_cell_is_exact_for_any_activation_and_depth(slides, outputs, activation, depth):
    plain = plain_head((3, 2), outputs, slides=slides, activation=activation, depth=depth)
    features = maps(5, 4)
    evidence = evidence_of(plain)(features)
    assert deviation(evidence, slow_evidence(plain, features)) < 1e-11
    assert deviation(evidence.mean((2, 3)), plain(features)) < 1e-12


@every_way
def test_a_first_layer_without_bias_is_exact(slides):
    plain = plain_head((2, 2), FEW, slides=slides, bias=False)
    features = maps(3, 4)
    evidence = evidence_of(plain)(features)
    assert deviation(evidence, slow_evidence(plain, features)) < 1e-11
    assert deviation(evidence.mean((2, 3)), plain(features)) < 1e-12


@every_way
@every_size
def test_the_multiplied_and_the_position_by_position_way_agree(slides, outputs, monkeypatch):
    form = evidence_of(plain_head((3, 2), outputs, slides=slides, activation="sigmoid"))
    features = maps(4, 5)
    found = []
    for limit in (outputs - 1, outputs):
        monkeypatch.setattr(windows_module, "PULL_LIMIT", limit)
        found.append(form(features))
    assert deviation(found[1], found[0]) < 1e-12


def test_a_window_of_one_linear_layer_is_a_convolution_of_shares():
    weight = nn.Parameter(torch.randn(HIDDEN, C, 2, 2, dtype=torch.float64))
    last = nn.Linear(HIDDEN, FEW).double()
    form = WindowedEvidence(
        [WindowStep(weight, None), LinearStep(last.weight, last.bias)], slides=True
    )
    features = maps(4, 3)
    expected = last(F.conv2d(features, weight).mean((2, 3)))
    assert deviation(form(features).mean((2, 3)), expected) < 1e-12


def test_a_position_without_features_has_only_the_constant():
    plain = plain_head((3, 3), FEW, slides=False)
    features = maps(3, 3, batch=1)
    features[:, :, 0, 1] = features[:, :, 2, 2] = 0
    evidence = evidence_of(plain)(features)
    torch.testing.assert_close(evidence[:, :, 0, 1], evidence[:, :, 2, 2], rtol=0, atol=1e-12)
    assert not torch.allclose(evidence[:, :, 0, 1], evidence[:, :, 1, 1])


def test_sliding_over_a_map_of_one_window_is_the_pooled_way():
    plain = plain_head((3, 2), FEW, slides=True)
    form = evidence_of(plain)
    features = maps(3, 2)
    sliding = form(features)
    form.slides = False
    assert torch.equal(sliding, form(features))


def test_a_larger_map_is_averaged_to_one_window_where_it_does_not_slide():
    plain = plain_head((2, 2), FEW, slides=False)
    form, features = evidence_of(plain), maps(4, 6)
    assert torch.equal(form(features), form(F.avg_pool2d(features, (2, 3))))


def masks(features, plain, rate, input_rate, seed):
    """The masks that a seed gives: for the features, then for each layer's hidden units."""
    size = plain.window
    if plain.slides:
        size = tuple(map(max, plain.window, features.shape[2:]))
    grid = tuple(n - w + 1 for n, w in zip(size, plain.window, strict=True))
    torch.manual_seed(seed)
    of_features = F.dropout(torch.ones(*features.shape[:2], *size).double(), input_rate, True)
    of_units = []
    for _ in range(plain.depth):
        units = torch.ones(len(features) * grid[0] * grid[1], HIDDEN, dtype=torch.float64)
        mask = F.dropout(units, rate, True)
        if plain.slides:
            mask = mask.unflatten(0, (len(features), *grid)).permute(0, 3, 1, 2)
        of_units.append(mask)
    return of_features, of_units


@every_way
@every_size
def test_dropout_of_features_and_hidden_units_is_that_of_the_plain_head(slides, outputs):
    plain = plain_head((2, 2), outputs, slides=slides)
    form = evidence_of(plain, rate=0.4, input_rate=0.3).train()
    features = maps(3, 4)
    of_features, of_units = masks(features, plain, 0.4, 0.3, seed=5)
    torch.manual_seed(5)
    evidence = form(features)
    assert all(0 < int((mask == 0).sum()) < mask.numel() for mask in (of_features, *of_units))
    assert deviation(evidence.mean((2, 3)), plain(features, of_features, of_units)) < 1e-12
    assert not torch.equal(evidence, form(features))


@every_way
def test_dropout_does_nothing_in_eval_mode(slides):
    plain = plain_head((2, 2), FEW, slides=slides)
    form = evidence_of(plain, rate=0.4, input_rate=0.3)
    features = maps(3, 4)
    assert torch.equal(form(features), evidence_of(plain)(features))
    assert form.dropout == 0.4


@every_way
@every_size
@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_gradients_are_those_of_the_plain_head(slides, outputs, activation):
    plain = plain_head((3, 2), outputs, slides=slides, activation=activation)
    form = evidence_of(plain)
    for size in [(3, 2), (4, 4), (2, 3)]:
        features = maps(*size).requires_grad_()
        weights = torch.randn(2, outputs, dtype=torch.float64)
        logits = form(features).mean((2, 3))
        found = torch.autograd.grad((logits * weights).sum(), [features, *form.parameters()])
        expected = torch.autograd.grad(
            (plain(features) * weights).sum(), [features, *plain.parameters()]
        )
        places = (expected[1].reshape(HIDDEN, C, 6).permute(2, 1, 0),)  # one matrix a position
        for one, other in zip(found, (expected[0], *places, *expected[2:]), strict=True):
            torch.testing.assert_close(one, other.reshape(one.shape), rtol=1e-8, atol=1e-8)


@every_way
def test_hidden_units_at_zero_keep_the_mean_and_finite_gradients(slides):
    plain = plain_head((2, 2), FEW, slides=slides)
    with torch.no_grad():
        plain.first.bias.zero_()
        plain.first.weight[0].zero_()
    features = maps(3, 3)
    features[0] = 0
    features.requires_grad_()
    logits = evidence_of(plain)(features).mean((2, 3))
    assert deviation(logits, plain(features)) < 1e-12
    (found,) = torch.autograd.grad(logits.sum(), features)
    (expected,) = torch.autograd.grad(plain(features).sum(), features)
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@every_way
@every_size
def test_evidence_is_float32_under_autocast_and_its_mean_the_logit(slides, outputs):
    plain = plain_head((2, 2), outputs, slides=slides, dtype=torch.float32)
    features = maps(3, 4, dtype=torch.bfloat16)
    form = evidence_of(plain)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        evidence = form(features)
    assert evidence.dtype == torch.float32
    assert deviation(evidence.mean((2, 3)), plain(features.float())) < 1e-5


@every_way
def test_half_precision_weights_are_computed_with_in_float32(slides):
    plain = plain_head((2, 2), FEW, slides=slides, dtype=torch.bfloat16)
    features = maps(3, 4, dtype=torch.bfloat16)
    evidence = evidence_of(plain)(features)
    assert evidence.dtype == torch.float32
    assert deviation(evidence.mean((2, 3)), plain.float()(features.float())) < 1e-5


@every_way
def test_the_features_are_not_altered(slides):
    plain = plain_head((2, 2), FEW, slides=slides)
    plain.act = nn.ReLU(inplace=True)
    features = maps(2, 2)
    before = features.clone()
    evidence_of(plain, rate=0.5, input_rate=0.5).train()(features)
    assert torch.equal(features, before)


def test_a_batch_gives_each_image_its_own_evidence():
    form = evidence_of(plain_head((2, 2), FEW, slides=True))
    features = maps(4, 3, batch=3)
    each = torch.cat([form(features[i : i + 1]) for i in range(3)])
    assert deviation(form(features), each) < 1e-12


def test_the_kind_and_the_sizes_are_told():
    form = evidence_of(plain_head((3, 2), MANY, slides=False))
    assert (form.kind, form.dims) == ("gated", 2)
    assert (form.window, form.num_outputs) == ((3, 2), MANY)


def test_steps_that_do_not_begin_with_a_window_or_end_in_a_linear_layer_are_refused():
    window = WindowStep(nn.Parameter(torch.ones(HIDDEN, C, 2, 2)), None)
    linear = LinearStep(nn.Parameter(torch.ones(FEW, HIDDEN)), None)
    for steps in ([linear, linear], [window, GateStep(nn.ReLU())], [window]):
        with pytest.raises(ValueError, match="first step must be a WindowStep and the last a Lin"):
            WindowedEvidence(steps)
