from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from softcam.errors import InputError
from softcam.evaluation.faithfulness.agreement import (
    logit_agreement,
    rank_correlation,
    region_sums,
)
from softcam.evaluation.faithfulness.baselines import Constant, LocalMean
from tests.evaluation.faithfulness import slow


def slow_ranks(values):
    return [
        sum(other < value for other in values) + (sum(other == value for other in values) + 1) / 2
        for value in values
    ]


def slow_spearman(first, second):
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a == a and b == b]
    if len(pairs) < 2:
        return math.nan
    left, right = (slow_ranks(side) for side in zip(*pairs, strict=True))
    middle = (len(pairs) + 1) / 2
    above = sum((a - middle) * (b - middle) for a, b in zip(left, right, strict=True))
    below = math.sqrt(sum((a - middle) ** 2 for a in left) * sum((b - middle) ** 2 for b in right))
    return above / below if below else math.nan


@pytest.mark.parametrize("count", [1, 2, 3, 8, 40])
def test_rank_correlation_agrees_with_slow_loops_and_scipy(count):
    first = torch.randint(-3, 4, (60, count)).double()
    second = torch.randn(60, count, dtype=torch.float64).round(decimals=1)
    second[0], first[1] = 2.0, first[1] * 0
    first[2, 0] = math.inf
    rows = zip(first.tolist(), second.tolist(), strict=True)
    found = rank_correlation(first, second).tolist()
    assert found == pytest.approx([slow_spearman(*row) for row in rows], abs=1e-12, nan_ok=True)
    assert math.isnan(found[0])
    assert math.isnan(found[1])
    if count > 2:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a constant row
            scipys = [spearmanr(a, b).statistic for a, b in zip(first, second, strict=True)]
        assert found == pytest.approx(scipys, abs=1e-12, nan_ok=True)


def test_pairs_with_nan_are_left_out():
    first = torch.randn(30, 9).round(decimals=1)
    second = torch.randn(30, 9).round(decimals=1)
    first[torch.rand(30, 9) < 0.3] = torch.nan
    second[torch.rand(30, 9) < 0.3] = torch.nan
    first[5] = torch.nan
    first[6, 0] = torch.inf
    second[6, :2] = 0.5
    rows = zip(first.double().tolist(), second.double().tolist(), strict=True)
    expected = [slow_spearman(*row) for row in rows]
    assert rank_correlation(first, second).tolist() == pytest.approx(
        expected, abs=1e-12, nan_ok=True
    )
    assert 1 <= sum(math.isnan(value) for value in expected) < 10


def test_the_same_order_is_one_and_the_reverse_minus_one():
    values = torch.randn(3, 10)
    np.testing.assert_allclose(rank_correlation(values, values.exp()), 1, atol=1e-12)
    np.testing.assert_allclose(rank_correlation(values, -values), -1, atol=1e-12)


def test_region_sums_agree_with_slow_loops():
    maps = torch.randn(40, 5, 6)
    labels = torch.randint(-1, 7, (40, 5, 6))
    labels[labels == 3] = 2
    found = region_sums(maps, labels, 7)
    for n, r in np.ndindex(40, 7):
        inside = [maps[n, y, x].double().item() for y, x in (labels[n] == r).nonzero().tolist()]
        expected = sum(inside) if inside else math.nan
        assert found[n, r].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert found[:, 3].isnan().all()


@pytest.mark.parametrize("regions", ["raster", "labels"])
def test_drops_agree_with_one_region_at_a_time(network, images, maps, regions):
    classes = torch.tensor([0, 1, 2, 3, 0, 1, 2])
    labels = None
    groups = [slow.cells((13, 11), 4)] * 7
    if regions == "labels":
        labels = torch.randint(-1, 5, maps.shape)
        labels[0][labels[0] == 2] = 1  # an image without region 2
        groups = [[(one == r).nonzero().tolist() for r in range(5)] for one in labels]
    found = logit_agreement(
        network,
        images,
        maps,
        classes,
        patch=4,
        baseline=LocalMean(),
        regions=labels,
        batch_size=10,
    )
    network = network.double()
    for n, image in enumerate(images.double()):
        filling = LocalMean()(image[None], 4)[0]
        own = int(classes[n])
        evidence, drops = [], []
        for group in groups[n]:
            copy = image.clone()
            for y, x in group:
                copy[:, y, x] = filling[:, y, x]
            before, after = network(torch.stack((image, copy)))[:, own].tolist()
            evidence.append(sum(maps[n, y, x].item() for y, x in group) if group else math.nan)
            drops.append(before - after if group else math.nan)
        assert found.evidence[n].tolist() == pytest.approx(evidence, abs=1e-12, nan_ok=True)
        assert found.drops[n].tolist() == pytest.approx(drops, abs=1e-5, nan_ok=True)
        expected = slow_spearman(evidence, found.drops[n].tolist())
        assert found.correlation[n].item() == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert found.correlation.isfinite().sum() >= 5


def test_exact_evidence_of_a_backbone_that_sees_one_patch_agrees_fully():
    backbone = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU()).requires_grad_(False)
    weight, bias = torch.randn(5, 8), torch.randn(5)

    def evidence(batch):
        return torch.einsum("kc,bchw->bkhw", weight, backbone(batch)) + bias.view(5, 1, 1)

    images, classes = torch.randn(6, 3, 16, 16), torch.tensor([0, 1, 2, 3, 4, 0])
    own = evidence(images)[torch.arange(6), classes]
    maps = own.repeat_interleave(4, 1).repeat_interleave(4, 2)
    settings = {"patch": 4, "baseline": Constant()}
    found = logit_agreement(
        lambda batch: evidence(batch).mean((2, 3)), images, maps, classes, **settings
    )
    np.testing.assert_allclose(found.correlation, 1, atol=1e-12)
    wrong = logit_agreement(
        lambda batch: evidence(batch).mean((2, 3)), images, maps.flip(0), classes, **settings
    )
    assert wrong.correlation.abs().max() < 0.9


def test_one_logit_speaks_against_the_first_class():
    images = torch.rand(2, 1, 2, 2)
    found = logit_agreement(
        lambda batch: batch.flatten(1).sum(1, keepdim=True),
        images,
        images[:, 0],
        torch.tensor([1, 0]),
        patch=1,
        baseline=Constant(),
    )
    np.testing.assert_allclose(found.correlation, [1, -1], atol=1e-12)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_a_constant_map_has_no_correlation(network, value):
    images = torch.randn(2, 3, 8, 8)
    maps = torch.full((2, 8, 8), value)
    classes = torch.tensor([0, 1])
    settings = {"patch": 4, "baseline": Constant()}
    assert logit_agreement(network, images, maps, classes, **settings).correlation.isnan().all()


def test_one_patch_has_no_correlation(network):
    images, maps = torch.randn(2, 3, 4, 4), torch.randn(2, 4, 4)
    found = logit_agreement(
        network, images, maps, torch.tensor([0, 1]), patch=9, baseline=Constant()
    )
    assert found.correlation.isnan().all()
    assert found.drops.isfinite().all()


def test_volumes_are_cut_into_cubes():
    images = torch.randn(2, 1, 4, 4, 4)
    found = logit_agreement(
        lambda batch: batch.flatten(1).sum(1, keepdim=True),
        images,
        images[:, 0],
        torch.tensor([1, 1]),
        patch=2,
        baseline=Constant(),
    )
    assert found.drops.shape == (2, 8)
    np.testing.assert_allclose(found.drops, found.evidence, atol=1e-5)


def test_no_images_give_no_values(network):
    found = logit_agreement(
        network,
        torch.zeros(0, 3, 4, 4),
        torch.zeros(0, 4, 4),
        torch.zeros(0, dtype=torch.int64),
        patch=2,
        baseline=Constant(),
    )
    assert found.correlation.shape == (0,)
    assert found.drops.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": torch.full((2, 4, 4), torch.nan)}, "image 0, 1 "),
        ({"maps": torch.rand(4, 4)}, r"they must be \(N, H, W\)"),
        ({"regions": torch.zeros(2, 4, 5).int()}, r"\(2, 4, 5\)"),
        ({"regions": torch.zeros(2, 4, 4)}, "whole numbers"),
        ({"regions": torch.full((2, 4, 4), -2)}, "A region is -2"),
        ({"classes": torch.tensor([0, 9])}, "from 0 to 9"),
    ],
)
def test_wrong_shapes_types_and_values_are_named(network, changes, message):
    settings = {"maps": torch.rand(2, 4, 4), "classes": torch.tensor([0, 1]), **changes}
    with pytest.raises(InputError, match=message):
        logit_agreement(network, torch.randn(2, 3, 4, 4), patch=2, baseline=Constant(), **settings)
