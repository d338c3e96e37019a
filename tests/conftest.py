"""What every test shares: quiet, deterministic torch, and tiny models with known numbers."""

from __future__ import annotations

import os

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core for each worker

import gc

import pytest
import torch
from torch import nn


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of garbage collections, which benchmarks ask for often."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_waiting_for_disks(monkeypatch) -> None:
    """No test here can cut the power, which is all that this wait is for."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def randomise_norms(model: nn.Module) -> nn.Module:
    """Give batch norms statistics that no conversion could get right by luck."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return model
