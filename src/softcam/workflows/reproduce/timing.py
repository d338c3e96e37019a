"""How long one image takes on this machine: a few real steps of each model at the real size."""

from __future__ import annotations

import os
import platform
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from softcam.data.importers.catalogue import find_importer
from softcam.data.phantom.write import write as write_phantoms
from softcam.data.records import Table
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.training.augment import Augment
from softcam.training.config import TrainConfig
from softcam.training.dataset import ImageDataset
from softcam.training.precision import choose_device, choose_precision
from softcam.training.task import ClassificationTask
from softcam.workflows.models import new_model, preprocessing_for

_DRAWN = 8  # phantoms
_ON_CPU = 2  # images of a step that is timed on a processor: time is proportional to their number
_STEPS = {"cpu": 2, "cuda": 8}
_ENOUGH_SECONDS = 5.0
_SMALLEST_PHANTOM = 32


@dataclass(frozen=True)
class Timing:
    """Seconds that one image takes.

    Attributes:
        step: In training: forward, backward, and its part of an update.
        forward: In validation: forward alone.
        read: To be read, prepared and augmented by one process.
    """

    step: float
    forward: float
    read: float


def machine(device: str) -> str:
    """Name what is computed on."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    name = platform.processor() or platform.machine()
    return f"processor {name}, {torch.get_num_threads()} threads"


def time_models(data_set: str, phantom: str, configs: dict[str, TrainConfig]) -> dict[str, Timing]:
    """Time models on drawn images of the real size.

    Args:
        data_set: The importer, which decides the size of the files.
        phantom: The kind of drawn images: "fundus", "oct" or "chest".
        configs: Name to the settings of a run.

    Returns:
        Name to timing.

    Raises:
        InputError: If a model cannot be built so, or a batch does not fit into memory.
        ConversionError: If a backbone cannot become a SoftCAM so.
    """
    importer, _ = find_importer(data_set, None)
    asked = max(max(config.size) for config in configs.values())
    size = max(_SMALLEST_PHANTOM, min(asked, importer.shape.size or asked))
    with tempfile.TemporaryDirectory(prefix="softcam-") as place:
        folder = Path(place) / "drawn"
        write_phantoms(folder, phantom, _DRAWN, size=size, splits=(1.0, 0.0, 0.0))
        table = read_table(folder)
        return {name: _time(config, table) for name, config in configs.items()}


def reading_processes(config: TrainConfig, device: str) -> int:
    """Guess how many processes will read images; 0 reads between the steps."""
    if config.workers is not None:
        return config.workers
    return min(8, os.cpu_count() or 1) if device == "cuda" else 0


def _time(config: TrainConfig, table: Table) -> Timing:
    # Weights from a file or a hub take as long as new ones.
    config = config.model_copy(update={"weights": None, "pretrained": False})
    device = choose_device(config)
    precision = choose_precision(config, device)
    count = config.batch_size if device == "cuda" else min(config.batch_size, _ON_CPU)
    data = ImageDataset(
        table.subset("train"),
        preprocessing_for(config),
        augment=Augment(config.augment),
        cache_bytes=0,
    )
    started = time.perf_counter()
    items = [data[place] for place in range(len(data))]
    read = (time.perf_counter() - started) / len(items)
    pixels = torch.stack([items[i % len(items)][0] for i in range(count)]).to(device)
    labels = torch.stack([items[i % len(items)][1] for i in range(count)]).to(device)
    before = torch.get_rng_state()
    try:
        model = new_model(config, table, len(items))
        task = ClassificationTask(model, config, table.spec.task, None, 1000).to(device).train()
        optimizer = task.configure_optimizers()["optimizer"]
        low = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)

        def reduced() -> Any:
            return torch.autocast(device, low) if low is not None else nullcontext()

        def train() -> None:
            optimizer.zero_grad()
            with reduced():
                loss = task.training_step((pixels, labels), 0)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def look() -> None:
            with torch.inference_mode(), reduced():
                task.model(pixels)

        with warnings.catch_warnings():
            # The task logs to a trainer, which there is none of here.
            warnings.filterwarnings("ignore", message=r".*self\.log.*")
            step = _seconds(train, device) / count
            task.eval()
            forward = _seconds(look, device) / count
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            f"batch_size: {count} images of {config.size[0]} x {config.size[1]} px do not fit into "
            f"the GPU's memory with {config.model}; give a smaller --batch-size."
        ) from error
    finally:
        torch.set_rng_state(before)
    return Timing(step, forward, read)


def _seconds(work: Callable[[], None], device: str) -> float:
    """Time work after a first round that is not counted; the median round."""
    rounds = []
    begun = time.perf_counter()
    for number in range(_STEPS[device] + 1):
        started = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        if number:
            rounds.append(time.perf_counter() - started)
        if rounds and time.perf_counter() - begun > _ENOUGH_SECONDS:
            break
    return sorted(rounds)[len(rounds) // 2]
