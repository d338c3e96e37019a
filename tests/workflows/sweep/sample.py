"""Judged runs with known numbers, and a sweep's settings without a data set."""

from __future__ import annotations

import numpy as np

from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.sweep.deletion import MEASURED
from softcam.workflows.sweep.judge import Judged

INFO = ModelInfo(task=Task.BINARY, classes=("well", "ill"), positive="ill")


def judged(seed=0, *, skill=1.0, gain=0.0, images=40, located=True) -> Judged:
    """A run of some skill: images of 20 patients, two each; ill ones are cases."""
    random = np.random.default_rng(seed)
    truth = np.random.default_rng(99).integers(0, 2, images)
    score = 1 / (1 + np.exp(-(skill * (2 * truth - 1) + random.normal(size=images))))
    patients = tuple(f"p{number // 2}" for number in range(images))
    ill = np.flatnonzero(truth)
    measures = {name: random.random(ill.size) for name in MEASURED}
    measures["deletion_gain"] = gain + random.normal(size=ill.size) / 10
    if not located:
        measures["activation_precision"] = np.full(ill.size, np.nan)
    return Judged(
        info=INFO,
        patients=patients,
        labels=truth,
        probabilities=np.stack([1 - score, score], axis=1),
        cases=tuple(patients[row] for row in ill),
        measures=measures,
    )
