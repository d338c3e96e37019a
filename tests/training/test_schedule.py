import math

import torch
from torch import nn

from softcam.training.config import make_config
from softcam.training.schedule import cosine_with_floor, make_optimizer, rising


def test_the_rate_rises_then_follows_the_cosine_and_stops_at_the_floor():
    factor = cosine_with_floor(100, warmup=0.1, peak=1e-2, floor=1e-3)
    assert [factor(step) for step in (0, 4, 9)] == [0.1, 0.5, 1.0]
    for step in range(10, 100):
        plain = 0.5 * (1 + math.cos(math.pi * (step - 10) / 90))
        assert math.isclose(factor(step), max(0.1, plain))
    assert factor(99) == 0.1
    assert factor(1000) == 0.1


def test_without_warmup_the_first_step_is_the_peak():
    assert cosine_with_floor(10, warmup=0, peak=1.0, floor=0.0)(0) == 1.0


def test_sgd_is_the_papers():
    model = nn.Linear(2, 2)
    config = make_config({"table": "t", "out": "o", "optimizer": "sgd"})
    group = make_optimizer(model, config).param_groups[0]
    assert (group["lr"], group["momentum"], group["nesterov"], group["weight_decay"]) == (
        1e-3,
        0.9,
        True,
        5e-4,
    )


def test_frozen_parameters_are_left_out():
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    optimizer = make_optimizer(model, make_config({"table": "t", "out": "o"}))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["params"] == [model.weight]


def test_a_rise_is_linear_from_zero_over_its_share_of_the_steps():
    assert [rising(step, 10, 0.4) for step in range(6)] == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0]
    assert rising(0, 10, 1.0) == 0
    assert rising(9, 10, 1.0) == 0.9


def test_no_share_gives_all_from_the_start():
    assert rising(0, 10, 0.0) == 1
