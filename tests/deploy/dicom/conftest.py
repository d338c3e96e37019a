"""Explanations of DICOM images, with evidence that can be told by eye or is random."""

from __future__ import annotations

import numpy as np
import pytest

from softcam.data.frames import split_frame
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
from softcam.deploy.dicom.identity import ModelIdentity
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.explain import explain
from softcam.explanation.explanation import Explanation
from tests.deploy.dicom import sources

CLASSES = ("healthy", "Ödem")


class SpotPredictor:
    """Evidence from each 8 × 8 block's brightness: dark for the first class, bright for the other.

    Each row of cells has evidence of its own added, so that every region has its place.
    """

    def __init__(self, info: ModelInfo) -> None:
        self.info = info

    def predict(self, batch):
        count, channels, height, width = batch.shape
        blocks = batch.reshape(count, channels, height // 8, 8, width // 8, 8).mean(axis=(1, 3, 5))
        blocks = blocks + 0.01 * np.arange(height // 8)[:, None]
        evidence = np.stack([1 - 2 * blocks, 4 * blocks - 1], axis=1).astype(np.float32)
        return evidence.mean(axis=(2, 3)), evidence


def info_of(resize: str = "pad", size: tuple[int, int] = (64, 64), **more) -> ModelInfo:
    prepare = Preprocessing(size=size, mean=(0.0,) * 3, std=(1.0,) * 3, resize=resize)
    told = {"task": Task.BINARY, "classes": CLASSES, "positive": CLASSES[1], **more}
    return ModelInfo(preprocessing=prepare.to_dict(), **told)


@pytest.fixture
def model() -> ModelIdentity:
    return ModelIdentity("softcam tiny", "1.2", "0123456789abcdef" * 4)


@pytest.fixture
def explained(tmp_path):
    """Write a source by name and explain it: its path and the explanation."""

    def make(name: str, *, resize: str = "pad") -> tuple[str, Explanation]:
        path = sources.write(tmp_path, name)
        return path, explain(SpotPredictor(info_of(resize)), path)

    return make


@pytest.fixture
def scattered(tmp_path):
    """Write a source by name and lay random evidence on it: many regions, with holes."""

    def make(
        name: str, *, seed: int = 0, resize: str = "pad", cells: tuple[int, int] = (9, 12), **more
    ) -> tuple[str, Explanation]:
        path = sources.write(tmp_path, name)
        pixels = read_image(path)
        generator = np.random.default_rng(seed)
        evidence = generator.normal(size=(2, *cells)).astype(np.float32)
        info = info_of(resize, (72, 96))
        geometry = Preprocessing.from_dict(info.preprocessing)(pixels).geometry
        explanation = Explanation(
            name=split_frame(path)[0].name,
            image=pixels.array,
            logits=evidence.mean(axis=(1, 2), dtype=np.float64).astype(np.float32),
            evidence=evidence,
            geometry=geometry,
            info=info,
            plane=pixels.plane,
            **{"threshold": 0.5, **more},
        )
        return path, explanation

    return make
