"""After training the concentration rises as far as the validation AUC stands it."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import nn

from softcam.conversion.create import create_model
from softcam.conversion.load import load
from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.training.sharpening import FACTORS, sharpen


def given_maps(concentration=1.0):
    """Make a model whose plain evidence is its input: two channels, two classes."""
    layer = EvidenceLayer(2, 2, concentration=concentration)
    with torch.no_grad():
        layer.conv.weight.copy_(torch.eye(2).view(2, 2, 1, 1))
        layer.conv.bias.zero_()
    return SoftCAM(nn.Identity(), layer)


def slow_auc(maps, labels, sharpness):
    """Pool each map by hand in float64 and compare all pairs of images."""
    scores = []
    for image in maps.astype(np.float64):
        logits = []
        for plain in image:
            weights = np.exp(sharpness * (plain - plain.max()))
            logits.append((weights * plain).sum() / weights.sum())
        scores.append(logits[1] - logits[0])
    return roc_auc_score(labels, scores)


def few_strong_or_many_weak(count=40):
    """Make images whose classes only the mean tells apart: the strongest cells are the same."""
    generator = np.random.default_rng(0)
    labels = np.arange(count) % 2
    maps = np.zeros((count, 2, 4, 4), np.float32)
    maps[:, 1] = generator.normal(0, 0.05, (count, 4, 4)) + 0.5 * labels[:, None, None]
    maps[:, 1, 0, 0] = 1.5 + generator.normal(0, 0.3, count)
    return maps, labels


def test_the_auc_of_each_sharpness_is_that_of_a_slow_pooling():
    maps, labels = few_strong_or_many_weak()
    found = sharpen(given_maps(0.5), np.split(maps, 4), labels, Task.BINARY, 0.5)
    assert found.sharpness == tuple(0.5 * factor for factor in FACTORS)
    slow = [slow_auc(maps, labels, sharpness) for sharpness in found.sharpness]
    assert found.auc == pytest.approx(slow, abs=1e-6)


def test_the_sharpest_whose_auc_is_within_the_margin_is_taken():
    maps, labels = few_strong_or_many_weak()
    model = given_maps(0.5)
    found = sharpen(model, [maps], labels, Task.BINARY, 0.02)
    at = found.sharpness.index(found.chosen)
    assert 0 < at < len(FACTORS) - 1, found
    assert found.auc[at] >= found.auc[0] - 0.02
    assert all(auc < found.auc[0] - 0.02 for auc in found.auc[at + 1 :])
    assert model.head.concentration == found.chosen


def test_without_a_known_auc_the_trained_sharpness_stays():
    maps, _ = few_strong_or_many_weak()
    model = given_maps()
    found = sharpen(model, [maps], np.zeros(len(maps), int), Task.BINARY, 0.02)
    assert found.chosen == model.head.concentration == 1.0
    assert found.to_json()["tried"][0] == {"concentration": 1.0, "val_auc": None}


def test_where_one_place_decides_it_goes_all_the_way_and_the_mean_is_still_the_logit(tmp_path):
    torch.manual_seed(0)
    model = create_model(
        "test_resnet", num_classes=2, mode="fresh", stages=(1, 2), neck="hypercolumn",
        concentration=0.5,
    )  # fmt: skip
    images = np.random.default_rng(1).normal(size=(12, 3, 64, 64)).astype(np.float32)
    found = sharpen(model, [images], np.arange(12) % 2, Task.BINARY, 0.999)
    assert found.chosen == 4.0
    again = load(model.save(tmp_path / "m.safetensors"))
    assert again.head.concentration == 4.0
    logits, evidence = again(torch.from_numpy(images))
    assert torch.allclose(logits, evidence.mean((2, 3)), atol=1e-5)
    assert torch.equal(logits, model.eval()(torch.from_numpy(images)).logits)


def test_a_model_without_concentration_is_refused():
    with pytest.raises(InputError, match="not concentrated"):
        sharpen(given_maps(0.0), [], np.zeros(0), Task.BINARY, 0.01)
