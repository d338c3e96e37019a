"""Random streams that depend on where a run is, not on how it got there."""

from __future__ import annotations

import random

import numpy as np
import torch

ORDER, SAMPLE, STEP, WORKER = 1, 2, 3, 4
"""What a stream is for: the order of an epoch, one image's augmentation, one step's dropout, and a
worker process's own generators, which nothing here draws from but a library might."""

MOSAIC, FLIP = 11, 12
"""As above: one batch's mosaics, and which way one batch is mirrored."""

LABELS = 21
"""As above: the order of shuffled labels."""


def derive(seed: int, *place: int) -> int:
    """Derive an independent seed for a place in the run.

    Args:
        seed: The run's seed.
        *place: What the stream is for, then epoch, step or sample numbers.

    Returns:
        A seed below 2**63; the same after an interruption as without one.
    """
    words = np.random.SeedSequence([seed, *place]).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


def seed_torch(seed: int) -> None:
    """Seed torch's global generators as `torch.manual_seed` does, at a tenth of its cost.

    That writes down a stack trace for each kind of device that is not in use, and keeps them all:
    for every step and every image more time than is spent on drawing numbers.

    Args:
        seed: The seed.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed(seed)


def seed_worker(worker: int, *, seed: int) -> None:
    """Seed the generators of Python, numpy and torch in a worker process.

    Args:
        worker: The worker's number.
        seed: The run's seed.
    """
    own = derive(seed, WORKER, worker)
    random.seed(own)
    np.random.seed(own % 2**32)
    torch.manual_seed(own)
