"""A server around a predictor whose evidence can be worked out by hand."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from softcam.evidence.info import ModelInfo, Task
from softcam.web.app import create_app
from softcam.web.limits import Limits
from softcam.web.models import ServedModel, serve_predictor
from softcam.web.settings import Settings

SIZE, CELLS = 32, 8


class Blocks:
    """Two maps: the mean brightness of each block of the input, and half of what is missing."""

    def __init__(self, info: ModelInfo | None = None) -> None:
        self.info = info or ModelInfo(
            task=Task.BINARY,
            classes=("plain", "bright"),
            positive="bright",
            thresholds={"bright": 0.6},
            preprocessing={
                "size": [SIZE, SIZE],
                "mean": [0.0],
                "std": [1.0],
                "channels": "grey",
                "pixel_aspect": "apply",
            },
        )
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()

    def predict(self, batch):
        self.gate.wait(20)
        self.batches.append(len(batch))
        side = SIZE // CELLS
        blocks = batch[:, 0].reshape(-1, CELLS, side, CELLS, side).mean(axis=(2, 4))
        evidence = np.stack([0.5 * (1 - blocks), blocks], axis=1).astype(np.float32)
        return evidence.mean(axis=(2, 3), dtype=np.float64).astype(np.float32), evidence


LIMITS = Limits(rate=10_000, burst=10_000, decoders=1, wait=0.0, body=4 << 20, pixels=4_000_000)


def png(array: np.ndarray) -> bytes:
    stream = BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def form(data: bytes, name: str = "a.png") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, data)}


def client_of(
    *models: ServedModel, settings: Settings | None = None, **limits: float
) -> TestClient:
    """A client whose server runs inside its context."""
    chosen = settings or Settings(limits=replace(LIMITS, **limits))
    given = models or (serve_predictor("blocks", Blocks(), "abc"),)
    app = create_app({model.name: model for model in given}, chosen)
    return TestClient(app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 5000))


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """One server for all tests that need nothing special."""
    with client_of() as made:
        yield made


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    """A wide image, so that the input is padded above and below, with a bright spot."""
    array = np.full((60, 100), 30, np.uint8)
    array[20:30, 70:90] = 240
    return array
