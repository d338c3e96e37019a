"""Images to batches: which images a process loads, and with how many workers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from softcam.training.batches import StepBatches
from softcam.training.dataset import ImageDataset, Unnormalised
from softcam.training.processes import Processes
from softcam.training.seeds import WORKER, derive, seed_worker


def own_images(count: int, processes: Processes) -> list[int]:
    """Divide images over processes, so that each has as many.

    Args:
        count: Number of images.
        processes: The processes.

    Returns:
        Every `world`-th image from the process's own number on; the first ones again where
        they do not come out even.
    """
    rounds = -(-count // processes.world)
    return [(turn * processes.world + processes.rank) % count for turn in range(rounds)]


def choose_workers(device: str, decoded: int) -> int:
    """Choose the number of worker processes.

    A GPU waits for what the processor prepares, so that it gets a worker per core, up to eight. On
    the processor alone two workers overlap what must be decoded, and images that are prepared
    already need none: training takes every core there is.

    Args:
        device: "cpu" or "cuda".
        decoded: Images that have to be decoded in every epoch.

    Returns:
        The number; 0 prepares images in the training process.
    """
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    if device == "cuda":
        return min(8, cores)
    return min(2, cores) if decoded else 0


def make_loader(
    data: ImageDataset,
    sampler: Sampler[Any] | Sequence[int] | None,
    *,
    batch_size: int,
    seed: int,
    workers: int = 0,
    pin_memory: bool = False,
    drop_last: bool = False,
) -> DataLoader[tuple[Tensor, Tensor]]:
    """Load batches; the number of workers changes none of their numbers.

    Args:
        data: The images.
        sampler: Their order, or their batches as `StepBatches`; None for the table's order.
        batch_size: Images per batch.
        seed: The run's seed.
        workers: Processes that prepare images.
        pin_memory: Copy batches to memory that a GPU reads from directly.
        drop_last: Leave out a last batch that is smaller.

    Returns:
        A loader of images (B, C, H, W) and their labels.
    """
    images = Unnormalised(data)
    cut: dict[str, Any] = {"batch_sampler": sampler}
    if not isinstance(sampler, StepBatches):
        cut = {"batch_size": batch_size, "sampler": sampler, "drop_last": drop_last}
    return DataLoader(
        images,  # type: ignore[arg-type]
        collate_fn=images.collate,
        num_workers=workers,
        persistent_workers=workers > 0,
        prefetch_factor=4 if workers else None,
        worker_init_fn=partial(seed_worker, seed=seed),
        generator=torch.Generator().manual_seed(derive(seed, WORKER)),
        pin_memory=pin_memory,
        **cut,
    )
