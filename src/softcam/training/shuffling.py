"""Labels in random order: what is learned from them is in no image, a check of explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from softcam.data.records import Table
from softcam.training.config import TrainConfig
from softcam.training.seeds import LABELS, derive

SHUFFLED = "the labels of its training and validation images were shuffled"
"""What is said of a run with `shuffle_labels`, wherever it is described."""


def learned_split(table: Table, split: str, settings: TrainConfig) -> Table:
    """Give a split with the labels that a run learns, or chooses its best epoch, by.

    Args:
        table: The whole table.
        split: "train" or "val".
        settings: The run's settings; with `shuffle_labels` the split's labels change places by
            the run's seed. Each split keeps its own, so that the classes stay as frequent.

    Returns:
        The split; its own labels where nothing is shuffled.

    Raises:
        InputError: If no image is in that split.
    """
    part = table.subset(split)
    if not settings.shuffle_labels:
        return part
    seed = derive(settings.seed, LABELS, *split.encode())
    order = np.random.default_rng(seed).permutation(len(part))
    labels = [part.records[index].label for index in order.tolist()]
    records = zip(part.records, labels, strict=True)
    return replace(part, records=tuple(replace(record, label=label) for record, label in records))


def has_shuffled_labels(training: Mapping[str, Any]) -> bool:
    """Tell whether a model's description (`ModelInfo.training`) says that labels were shuffled."""
    return bool((training.get("config") or {}).get("shuffle_labels"))
