from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from scipy.stats import spearmanr
from torch import nn

from softcam.errors import InputError
from softcam.evaluation.consistency.randomisation import (
    Randomisation,
    cascade,
    label_randomisation,
    map_similarity,
    parameter_randomisation,
)
from tests.evaluation.references import cases, correlation, ranks_of


class Scale(nn.Module):
    """A parameter without a way to start anew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(4.0))

    def forward(self, x):
        return x * self.weight[:, None, None]


@pytest.fixture
def model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), Scale(), nn.Tanh(), nn.Conv2d(4, 2, 1)
    ).eval()


def evidence(model, images):
    return model(images)[:, 0]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(cases())
def test_similarity_agrees_with_slow_ranks(case):
    maps, masks = case
    others = maps.roll(1, -1) * masks
    for absolute in (True, False):
        slow = []
        for a, b in zip(maps.double(), others.double(), strict=True):
            rows = [v.flatten().abs() if absolute else v.flatten() for v in (a, b)]
            slow.append(correlation(*(ranks_of(row.tolist()) for row in rows)))
        found = map_similarity(maps, others, absolute=absolute)
        assert found.tolist() == pytest.approx(slow, abs=1e-9, nan_ok=True)


def test_similarity_agrees_with_scipy_and_knows_equal_opposite_and_constant_maps():
    maps, others = torch.randn(3, 9, 9), torch.randn(3, 9, 9)
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(maps, others)]  # noqa: B905
    assert map_similarity(maps, others, absolute=False).tolist() == pytest.approx(expected)
    assert map_similarity(maps, maps).tolist() == pytest.approx([1] * 3)
    assert map_similarity(maps, -maps).tolist() == pytest.approx([1] * 3)
    assert map_similarity(maps, -maps, absolute=False).tolist() == pytest.approx([-1] * 3)
    assert map_similarity(maps, torch.ones(3, 9, 9)).isnan().all()


def test_a_cascade_goes_from_the_head_down_and_leaves_the_model_alone(model):
    before = copy.deepcopy(model.state_dict())
    steps = list(cascade(model))
    assert [name for name, _ in steps] == ["4", "2", "1", "0"]
    done = []
    for name, randomised in steps:
        done.append(name)
        for key, value in randomised.state_dict().items():
            touched = key.partition(".")[0] in done
            same = torch.equal(value, before[key])
            assert touched or same, key
            if touched and key.endswith(("0.weight", "2.weight", "4.weight")):
                assert not same, key
    assert all(torch.equal(model.state_dict()[key], value) for key, value in before.items())
    shuffled = dict(steps)["2"].state_dict()["2.weight"]
    assert sorted(shuffled.tolist()) == [0, 1, 2, 3]


def test_shuffling_keeps_the_values_of_every_parameter(model):
    *_, (_, last) = cascade(model, how="shuffle")
    for old, new in zip(model.parameters(), last.parameters(), strict=True):
        assert torch.equal(old.flatten().sort().values, new.flatten().sort().values)
    assert not torch.equal(model[0].weight, last[0].weight)


@pytest.mark.parametrize(("steps", "names"), [(1, ["0"]), (2, ["2", "0"]), (9, list("4210"))])
def test_a_cascade_of_few_steps_ends_at_the_same_model(model, steps, names):
    *_, (_, every) = cascade(model, seed=3)
    found = list(cascade(model, seed=3, steps=steps))
    assert [name for name, _ in found] == names
    for a, b in zip(every.parameters(), found[-1][1].parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_seed_decides_and_the_callers_chance_is_left_alone(model):
    def weights(seed, disturb=False):
        out = []
        for _, randomised in cascade(model, seed=seed):
            out.append(randomised[0].weight.detach())
            if disturb:
                torch.rand(3)
        return out[-1]

    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    one = weights(0)
    assert torch.equal(torch.rand(4), expected)
    assert torch.equal(one, weights(0, disturb=True))
    assert not torch.equal(one, weights(1))


def test_evidence_of_the_model_changes_and_an_edge_detector_is_flagged(model):
    images = torch.randn(6, 1, 16, 16)
    with torch.no_grad():
        honest = parameter_randomisation(model, evidence, images, seed=1, how="shuffle")
        blind = parameter_randomisation(model, lambda _, x: x[:, 0].diff(dim=1), images)
    assert len(honest) == len(blind) == 4
    assert not honest[-1].survives
    assert all(step.survives and step.mean == pytest.approx(1) for step in blind)


def test_maps_of_a_model_trained_on_shuffled_labels_are_compared_likewise(model):
    images = torch.randn(4, 1, 16, 16)
    same = label_randomisation(model, copy.deepcopy(model), evidence, images)
    assert same.survives and same.what == "labels"
    *_, (_, other) = cascade(model)
    different = label_randomisation(model, other, evidence, images)
    assert different.mean < same.mean


def test_undefined_images_are_counted_and_left_out():
    found = Randomisation("head", torch.tensor([0.6, math.nan, 0.5]).double())
    assert found.undefined == 1
    assert found.mean == pytest.approx(0.55)
    assert found.survives
    nothing = Randomisation("head", torch.tensor([math.nan]).double())
    assert math.isnan(nothing.mean)
    assert not nothing.survives and nothing.undefined == 1


def test_what_cannot_be_randomised_or_compared_is_refused(model):
    with pytest.raises(InputError, match="no parameters"):
        next(cascade(nn.Tanh()))
    with pytest.raises(InputError, match="steps is 0"):
        next(cascade(model, steps=0))
    with pytest.raises(InputError, match="give the same shape"):
        map_similarity(torch.rand(1, 2, 2), torch.rand(1, 2, 3))
    with pytest.raises(InputError, match="for image 0 "):
        map_similarity(torch.rand(1, 2, 2), torch.full((1, 2, 2), math.nan))
