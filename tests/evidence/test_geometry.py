import copy
import logging

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from softcam.errors import InputError
from softcam.evidence.geometry import map_size, receptive_field
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.evidence.pooled import PooledEvidence
from softcam.evidence.steps import (
    GateStep,
    LinearStep,
    NormStep,
)
from softcam.evidence.windows import WindowedEvidence, WindowStep
from tests.conftest import randomise_norms
from tests.evidence.backbones import Residual, SqueezeExcite, Stages


class Caching(nn.Module):
    """Position biases as in LeViT: kept from one eval pass to the next, dropped by train()."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.bias = nn.Parameter(torch.zeros(4, 1))
        self.register_buffer("index", torch.zeros(1, dtype=torch.long), persistent=False)
        self.cache = {}

    def train(self, mode=True):
        super().train(mode)
        self.cache = {}
        return self

    def forward(self, x):
        if self.training:
            return self.conv(x) + self.bias[:, self.index, None]
        if "bias" not in self.cache:
            self.cache["bias"] = self.bias[:, self.index]
        return self.conv(x) + self.cache["bias"][..., None]


class OfOneSize(nn.Module):
    """A backbone that takes one size and says so, as timm's vision transformers do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        assert x.shape[2:] == (8, 8), f"Input size {tuple(x.shape[2:])} doesn't match model (8, 8)."
        return self.conv(x)


BACKBONES = {
    "3x3": (2, lambda: nn.Conv2d(3, 4, 3)),
    "padded and strided": (2, lambda: nn.Conv2d(3, 4, 3, stride=2, padding=1)),
    "dilated": (2, lambda: nn.Conv2d(3, 4, (3, 5), dilation=(2, 1), stride=(1, 3))),
    "stack": (
        2,
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
            Residual(8, nn.Conv2d(8, 8, 3, padding=1)),
            SqueezeExcite(8),
            nn.Dropout(0.5),
            nn.Conv2d(8, 4, 2, stride=2),
        ),
    ),
    "ceil": (2, lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AvgPool2d(2, ceil_mode=True))),
    "resized": (2, lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d((5, 7)))),
    "signal": (
        1,
        lambda: nn.Sequential(
            nn.Conv1d(3, 8, 5, stride=3), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 4, 3)
        ),
    ),
    "volume": (
        3,
        lambda: nn.Sequential(
            nn.Conv3d(3, 4, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(4), nn.MaxPool3d(2)
        ),
    ),
}


SIZES = {
    1: [(32,), (33,), (47,), (301,)],
    2: [(32, 32), (33, 33), (31, 45), (17, 64), (24, 25)],
    3: [(8, 16, 16), (7, 9, 11), (5, 16, 31)],
}


@pytest.mark.parametrize("name", BACKBONES)
def test_the_map_size_is_that_of_a_forward_pass(name):
    dims, make = BACKBONES[name]
    model = SoftCAM(make(), EvidenceLayer(4, 2, dims=dims)).eval()
    for size in SIZES[dims]:
        with torch.no_grad():
            evidence = model(torch.zeros(1, 3, *size)).evidence
        assert map_size(model, 3, size) == tuple(evidence.shape[2:]) == model.map_size(size)


def heads():
    def weight(*shape):
        return nn.Parameter(torch.randn(*shape))

    hidden = LinearStep(weight(6, 4), weight(6))
    last = LinearStep(weight(2, 6), weight(2))
    window = WindowStep(weight(6, 4, 3, 2), weight(6))
    norm = NormStep(weight(4), weight(4), 1e-6)
    many = LinearStep(weight(70, 6), None)
    return {
        "normalised": PooledEvidence([norm, hidden, GateStep(nn.GELU()), last]),
        "many outputs": PooledEvidence([norm, hidden, many]),
        "one window": WindowedEvidence([window, GateStep(nn.ReLU()), last]),
        "sliding": WindowedEvidence([window, GateStep(nn.ReLU()), last], slides=True),
        "sliding, many outputs": WindowedEvidence([window, many], slides=True),
        "activation": EvidenceLayer(4, 2, activation=nn.ReLU()),
    }


@pytest.mark.parametrize("name", list(heads()))
def test_the_map_size_is_that_of_a_forward_pass_for_every_head(name):
    model = SoftCAM(nn.Conv2d(3, 4, 3, stride=2), heads()[name]).eval()
    for size in [(5, 4), (12, 11), (3, 17)]:
        with torch.no_grad():
            evidence = model(torch.randn(1, 3, *size)).evidence
        assert map_size(model, 3, size) == tuple(evidence.shape[2:])


@pytest.mark.parametrize("collect", [list, tuple])
@pytest.mark.parametrize("coarse_first", [False, True])
def test_the_map_size_of_several_stages_is_that_of_the_finest(collect, coarse_first):
    backbone = Stages(collect, coarse_first=coarse_first)
    model = SoftCAM(backbone, StageEvidence([5, 4] if coarse_first else [4, 5], 2))
    assert map_size(model, 3, (9, 13)) == (9, 13)


@pytest.mark.parametrize("channels", [1, 5])
def test_the_map_size_does_not_need_three_channels(channels):
    model = SoftCAM(nn.Conv2d(channels, 4, 3), EvidenceLayer(4, 2))
    assert map_size(model, channels, (9, 8)) == model.map_size((9, 8)) == (7, 6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_map_size_of_weights_of_another_type_is_told(dtype):
    model = SoftCAM(nn.Conv2d(3, 4, 3), EvidenceLayer(4, 2)).to(dtype)
    assert map_size(model, 3, (9, 8)) == (7, 6)


def test_the_map_size_is_told_without_values_or_memory():
    seen = []
    model = SoftCAM(nn.Conv2d(3, 4, 3, stride=2), EvidenceLayer(4, 2))
    model.backbone.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    assert map_size(model, 3, (1_000_001, 1_000_000)) == (500_000, 499_999)  # 12 TB
    assert len(seen) == 2
    assert all(isinstance(item, FakeTensor) for item in seen)


def trained():
    """A model in training mode with one frozen part, and whatever a pass could harm."""
    backbone = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        Residual(4, nn.Conv2d(4, 4, 3, padding=1), SqueezeExcite(4)),
    )
    model = SoftCAM(randomise_norms(backbone), EvidenceLayer(4, 2, dropout=0.2)).train()
    nn.init.zeros_(backbone[4].norm.weight)
    backbone[1].eval()
    backbone[0].requires_grad_(False)
    return model


@pytest.mark.parametrize("measure", [map_size, receptive_field])
def test_measuring_leaves_the_model_as_it_was(measure):
    model = trained()
    before = copy.deepcopy(model)
    tensors = dict(model.state_dict(keep_vars=True))
    modes = [module.training for module in model.modules()]
    image, state = torch.randn(2, 3, 9, 9), torch.get_rng_state()
    measure(model if measure is map_size else model.backbone, 3, (16, 18))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.is_grad_enabled()
    assert [module.training for module in model.modules()] == modes
    assert type(torch.zeros(1)) is torch.Tensor
    for name, tensor in model.state_dict(keep_vars=True).items():
        assert tensor is tensors[name]
        assert not isinstance(tensor, FakeTensor)
        assert torch.equal(tensor, before.state_dict()[name])
        assert tensor.grad is None
        assert tensor.requires_grad == before.state_dict(keep_vars=True)[name].requires_grad
    output = model.eval()(image)
    assert torch.equal(output.evidence, before.eval()(image).evidence)
    output.logits.sum().backward()
    assert model.head.conv.weight.grad.isfinite().all()


@pytest.mark.parametrize("measure", [map_size, receptive_field])
@pytest.mark.parametrize("training", [False, True])
def test_measuring_leaves_nothing_in_a_cache(measure, training):
    model = SoftCAM(Caching(), EvidenceLayer(4, 2)).train(training)
    image = torch.randn(1, 3, 6, 6)
    with torch.no_grad():
        expected = model(image).evidence
        measure(model if measure is map_size else model.backbone, 3, (8, 8))
        found = model(image).evidence
        assert type(found) is torch.Tensor
        assert torch.equal(found, expected)


@pytest.fixture
def stderr(capfd):
    """What is printed to stderr, logged messages of torch among it."""
    handler = logging.StreamHandler()
    loggers = [logging.getLogger(), logging.getLogger("torch")]
    for logger in loggers:
        logger.addHandler(handler)
    yield lambda: capfd.readouterr().err
    for logger in loggers:
        logger.removeHandler(handler)


IMPOSSIBLE = {
    "kernel larger than the image": (nn.Conv2d(3, 4, 7), (4, 5)),
    "second layer": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 5)), (6, 6)),
    "pool": (nn.Sequential(nn.Conv2d(3, 4, 3), nn.MaxPool2d(8)), (7, 9)),
    "reshaped": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2), nn.Linear(64, 9)), (7, 8)),
    "another number of dimensions": (nn.Conv2d(3, 4, 3), (12, 14, 16)),
    "of one size": (OfOneSize(), (9, 12)),
    "unflattened": (nn.Sequential(nn.Conv2d(3, 4, 1), nn.Unflatten(2, (4, -1))), (7, 8)),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
@pytest.mark.parametrize("measure", [map_size, receptive_field])
def test_an_impossible_size_is_refused_with_the_size_and_in_silence(name, measure, stderr):
    backbone, size = IMPOSSIBLE[name]
    model = SoftCAM(backbone, EvidenceLayer(4, 2)).train()
    with pytest.raises(InputError) as caught:
        measure(model if measure is map_size else backbone, 3, size)
    message = str(caught.value)
    assert f"takes no image of {'x'.join(map(str, size))} pixels" in message
    assert message.endswith("choose another size.")
    assert "\n" not in message
    assert stderr() == ""
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("measure", [map_size, receptive_field])
@pytest.mark.parametrize("size", [(0, 16), (16, 0), (-3, 16)])
def test_a_size_that_is_no_size_is_refused(size, measure):
    model = SoftCAM(nn.Conv2d(3, 4, 3, padding=1), EvidenceLayer(4, 2))
    with pytest.raises(InputError, match="x".join(map(str, size))):
        measure(model if measure is map_size else model.backbone, 3, size)


def test_torch_may_log_again_after_a_refusal(stderr):
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    model = SoftCAM(nn.Conv2d(3, 4, 7), EvidenceLayer(4, 2))
    with pytest.raises(InputError):
        map_size(model, 3, (4, 4))
    assert logger.level == level
    assert map_size(model, 3, (9, 9)) == (3, 3)
