"""A small network in eval mode, and images and maps whose answers a slow loop can check."""

from __future__ import annotations

import pytest
import torch
from torch import nn


@pytest.fixture
def network() -> nn.Module:
    layers = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()]
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4))
    net[1].running_mean.normal_()
    return net.eval().requires_grad_(False)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(7, 3, 13, 11)


@pytest.fixture
def maps() -> torch.Tensor:
    """Signed maps with equal values; one is constant, one negative everywhere."""
    maps = torch.randn(7, 13, 11).mul(2).round().div(2)
    maps[2] = 1.5
    maps[4] = -maps[4].abs() - 0.5
    return maps
