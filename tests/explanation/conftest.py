"""Small models and images with known evidence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.evidence.info import ModelInfo, Task
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.explanation.explanation import Explanation

CLASSES = ("NORMAL", "AMD", "DME")


class BrightnessPredictor:
    """Evidence that can be told by eye: (k + 1) times each 8 × 8 block's mean, minus k."""

    def __init__(self, info: ModelInfo, outputs: int = 3) -> None:
        self.info = info
        self.outputs = outputs
        self.batches: list[int] = []

    def predict(self, batch):
        self.batches.append(len(batch))
        count, channels, height, width = batch.shape
        blocks = batch.reshape(count, channels, height // 8, 8, width // 8, 8).mean(axis=(1, 3, 5))
        evidence = np.stack([(k + 1) * blocks - k for k in range(self.outputs)], axis=1)
        return evidence.mean(axis=(2, 3)), evidence.astype(np.float32)


@pytest.fixture
def info() -> ModelInfo:
    preprocessing = Preprocessing(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    return ModelInfo(task=Task.MULTICLASS, classes=CLASSES, preprocessing=preprocessing.to_dict())


@pytest.fixture
def predictor(info: ModelInfo) -> BrightnessPredictor:
    return BrightnessPredictor(info)


@pytest.fixture
def softcam_model(info: ModelInfo) -> SoftCAM:
    """A real SoftCAM: two strided convolutions, dropout in between, 8 × 8 evidence."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv2d(6, 8, 3, stride=2, padding=1),
        nn.ReLU(),
    )
    return SoftCAM(backbone, EvidenceLayer(8, 3), info=info)


@pytest.fixture
def image() -> np.ndarray:
    """A wide RGB image, 24 × 48."""
    return np.random.default_rng(0).integers(0, 256, (24, 48, 3), dtype=np.uint8)


@pytest.fixture
def make_explanation():
    """Build an explanation of a grey 40 × 60 image from evidence and, if wanted, a geometry."""

    def make(
        evidence, *, geometry=None, task=Task.MULTICLASS, classes=None, name="eye.png", **more
    ):
        evidence = np.asarray(evidence, dtype=np.float32)
        geometry = geometry or Geometry((40, 60), (40, 60))
        pixels = np.arange(np.prod(geometry.file_size)).reshape(geometry.file_size) % 251
        names = classes if classes is not None else tuple("abcdefgh"[: len(evidence)])
        options = {k: more.pop(k) for k in ("positive", "thresholds") if k in more}
        return Explanation(
            name=name,
            image=more.pop("image", pixels.astype(np.uint8)),
            logits=evidence.mean(axis=(1, 2), dtype=np.float64).astype(np.float32),
            evidence=evidence,
            geometry=geometry,
            info=ModelInfo(task=task, classes=names, **options),
            **more,
        )

    return make
