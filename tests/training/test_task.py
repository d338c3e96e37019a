import copy

import lightning
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import softcam
from softcam.evidence.info import Task
from softcam.training.config import TrainConfig
from softcam.training.task import ClassificationTask


def _black_box(classes):
    torch.manual_seed(3)
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.BatchNorm2d(6), nn.ReLU()),
        *(nn.Conv2d(6, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.0), nn.Linear(8, classes)),
    ).double()


class _Losses(lightning.Callback):
    def __init__(self):
        self.values = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.values.append(float(outputs["loss"]))


def _epoch(model, task, images, labels, **settings):
    config = TrainConfig(table="t", out="o", lr=0.05, **settings)
    steps = len(images) // 4
    losses = _Losses()
    trainer = lightning.Trainer(
        accelerator="cpu",
        precision="64-true",
        max_epochs=1,
        callbacks=[losses],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    whole = ClassificationTask(model, config, task, None, steps)
    data = list(zip(images, labels, strict=True))
    trainer.fit(whole, DataLoader(data, batch_size=4))
    return losses.values


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize(("task", "classes"), [(Task.BINARY, 2), (Task.MULTICLASS, 3)])
def test_a_dense_softcam_and_the_black_box_are_the_same_function_all_through_an_epoch(
    task, classes, optimizer
):
    images = torch.randn(48, 3, 12, 12, dtype=torch.float64)
    labels = torch.from_numpy(np.random.default_rng(0).integers(0, classes, 48))
    black_box = _black_box(classes)
    dense = softcam.convert(copy.deepcopy(black_box))
    assert dense.evidence_kind == "affine"
    expected = _epoch(black_box, task, images, labels, optimizer=optimizer)
    found = _epoch(dense, task, images, labels, optimizer=optimizer)
    assert len(expected) == 12
    assert max(expected) - min(expected) > 0.05, "the losses must change to follow each other"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
    penalised = _epoch(
        softcam.convert(_black_box(classes)), task, images, labels, optimizer=optimizer, l1=0.1
    )
    assert np.abs(np.subtract(penalised, expected)).max() > 1e-2
