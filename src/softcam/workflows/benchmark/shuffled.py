"""The check by labels: maps beside those of the same model, trained on labels in random order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from softcam.conversion.black_box import BlackBox
from softcam.errors import InputError
from softcam.evaluation.consistency.randomisation import map_similarity
from softcam.evidence.info import ModelInfo
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject
from softcam.training.config import TrainConfig
from softcam.training.run import Run
from softcam.training.shuffling import has_shuffled_labels
from softcam.workflows.benchmark.maps import MapStore
from softcam.workflows.benchmark.probes import Probes
from softcam.workflows.models import RunLike, load_run
from softcam.workflows.settings import changes_no_number

LABEL_SIMILARITY = "label_similarity"
"""The measure's key."""

_FREE = frozenset({"shuffle_labels", "out", "seed", "split_seed", "with_twin"})
"""Settings in which the two runs may differ, beside those that change no number."""


def load_shuffled(
    given: SoftCAM | BlackBox | RunLike, model: SoftCAM | BlackBox
) -> SoftCAM | BlackBox:
    """Load a model that was trained as another one was, but on shuffled labels.

    Args:
        given: The model, or its run folder or model file.
        model: The one that it is held against.

    Returns:
        The model, in eval mode.

    Raises:
        InputError: If labels were not shuffled in its training, or were in the other's too, or
            anything else differs.
    """
    if isinstance(given, SoftCAM | BlackBox):
        other, name = given, "the shuffled model"
    else:
        other = load_run(given)
        name = str(given.path if isinstance(given, Run) else Path(given))
    theirs = other.info.training.get("config")
    if not theirs:
        raise InputError(
            f"{name}: does not say how it was trained; give a run of softcam train "
            "--shuffle-labels."
        )
    if not has_shuffled_labels(other.info.training):
        raise InputError(
            f"{name}: learned the table's own labels; train it with --shuffle-labels to hold maps "
            "against it."
        )
    ours = model.info.training.get("config") or {}
    if has_shuffled_labels(model.info.training):
        raise InputError(
            f"{name}: the model that it is held against learned shuffled labels too; give the "
            "one that learned the true labels first."
        )
    for key in TrainConfig.model_fields:
        before, now = _setting(ours, key), _setting(theirs, key)
        if key not in _FREE and not changes_no_number(key) and before != now:
            raise InputError(
                f"{name}: was trained with {key} {now}, the model that it is held against with "
                f"{before}; train both with the same settings but --shuffle-labels."
            )
    if type(other) is not type(model) or _meaning(other.info) != _meaning(model.info):
        raise InputError(
            f"{name}: is another kind of model, or of other classes or another input; train both "
            "on the same table with the same settings."
        )
    return other


def label_similarity(
    attribution: Attribution,
    subject: Subject,
    shuffled: Subject,
    probes: Probes,
    store: MapStore,
    *,
    contrast: bool,
    batch_size: int,
) -> npt.NDArray[np.float64]:
    """Compare one method's maps of a model and of its like that learned shuffled labels.

    Args:
        attribution: The method.
        subject: The classifier.
        shuffled: The same, trained on shuffled labels.
        probes: The images.
        store: Where maps come from.
        contrast: Explain the contrast instead of the class's own score.
        batch_size: Images per forward pass.

    Returns:
        Rank correlation of magnitudes, shape (P,); NaN where one of the maps is constant.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 4.
    """

    def explain(which: Subject) -> torch.Tensor:
        parts = [
            store.maps(
                attribution,
                which,
                probes.pixels[start : start + batch_size],
                probes.classes[start : start + batch_size],
                contrast=contrast,
            )
            for start in range(0, len(probes.rows), batch_size)
        ]
        return torch.from_numpy(np.concatenate(parts))

    return np.asarray(map_similarity(explain(subject), explain(shuffled)).cpu().double().numpy())


def _setting(config: dict[str, Any], key: str) -> object:
    """Give a setting; of a version that did not know it, what it did without."""
    value = config.get(key, TrainConfig.model_fields[key].get_default())
    return list(value) if isinstance(value, tuple) else value


def _meaning(info: ModelInfo) -> tuple[object, ...]:
    return info.task, info.classes, info.positive, info.preprocessing
