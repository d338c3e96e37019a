"""Heads behind a pool, as one `PooledEvidence` and as plain torch, and what both should give."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from softcam.evidence.pooled import PULL_LIMIT, PooledEvidence
from softcam.evidence.steps import (
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
