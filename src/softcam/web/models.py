"""The models that are served: a name, a predictor, and what tells one version from another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from softcam.data.preprocessing import Preprocessing
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.explanation.predictor import Predictor
from softcam.workflows.predictors import open_predictor


@dataclass(frozen=True)
class ServedModel:
    """A model under a name.

    Attributes:
        name: What requests call it.
        predictor: What runs it.
        preprocessing: How it wants its input.
        digest: SHA-256 of its file; empty if it does not come from one.
    """

    name: str
    predictor: Predictor
    preprocessing: Preprocessing
    digest: str = ""

    @property
    def info(self) -> ModelInfo:
        """What the model file knows about its model."""
        return self.predictor.info

    @property
    def outputs(self) -> int:
        """K, the number of logits; found by a run of a black image."""
        return int(self.warm_up().shape[1])

    def warm_up(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Run a black image, which makes the first request as fast as the next.

        Returns:
            Its logits, (1, K).
        """
        shape = (1, len(self.preprocessing.mean), *self.preprocessing.size)
        logits, _ = self.predictor.predict(np.zeros(shape, np.float32))
        return logits

    @property
    def task(self) -> Task:
        """What its labels mean; `outputs` takes a run, so that it is asked only where it counts."""
        return self.info.task or self.info.task_of(self.outputs)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; "class 0" and so on for a model that has none."""
        return self.info.classes or self.info.classes_of(self.outputs)


def serve_predictor(name: str, predictor: Predictor, digest: str = "") -> ServedModel:
    """Put a predictor under a name.

    Args:
        name: What requests call it.
        predictor: The predictor.
        digest: SHA-256 of its file.

    Raises:
        InputError: It does not say how it wants its input.
    """
    stored = predictor.info.preprocessing
    if stored is None:
        raise InputError(
            f"{name}: the model does not say how images become its input; save it with "
            "`model.info.preprocessing` set, or train it with softcam."
        )
    return ServedModel(name, predictor, Preprocessing.from_dict(dict(stored)), digest)


def open_models(runs: Sequence[Path | str]) -> dict[str, ServedModel]:
    """Open RUN arguments.

    Args:
        runs: Run folders, model files or exported files; at least one.

    Returns:
        The models by name: the folder's or file's, with its parent's in front where two are alike.

    Raises:
        InputError: There is no usable model, it is a black box, or the same one is given twice.
    """
    if not runs:
        raise InputError("There is no model to serve; give a run folder or a model file.")
    models = {}
    for name, run in zip(_names([Path(run) for run in runs]), runs, strict=True):
        predictor = open_predictor(run)
        models[name] = serve_predictor(name, predictor, _digest(Path(run)))
    return models


def _names(runs: Sequence[Path]) -> list[str]:
    resolved = [run.resolve() for run in runs]
    if len(set(resolved)) < len(resolved):
        raise InputError("A model is given twice; give each RUN once.")
    parts = [
        [*path.parent.parts, path.stem if path.is_file() and path.stem != "model" else path.name]
        if path.name != "model.safetensors"
        else list(path.parent.parts)
        for path in resolved
    ]
    for depth in range(1, 1 + max(len(part) for part in parts)):
        names = [_plain("-".join(part[-depth:])) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{_plain(part[-1])}-{number}" for number, part in enumerate(parts, start=1)]


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "_", text, flags=re.ASCII).strip("._-")[-100:] or "model"


def _digest(run: Path) -> str:
    try:
        file = run if run.is_file() else _model_in(run)
    except InputError:  # an exported folder of another kind
        return ""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _model_in(run: Path) -> Path:
    from softcam.training.run import find_model  # brings torch, which an exported file does without

    return find_model(run)
