"""softcam: image classifiers that show their evidence.

The class evidence map is the decision: its mean is the logit, exactly.

Example:
    >>> import softcam                                                   # doctest: +SKIP
    >>> model = softcam.convert(timm_model)                              # doctest: +SKIP
    >>> logits, evidence = model(images)                                 # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from softcam import metrics
    from softcam.conversion.black_box import BlackBox
    from softcam.conversion.convert import convert
    from softcam.conversion.create import create_black_box, create_model
    from softcam.conversion.errors import ConversionError
    from softcam.conversion.load import load, load_black_box
    from softcam.errors import InputError, ModelFileError, SoftcamError
    from softcam.evidence.info import ModelInfo, Task
    from softcam.evidence.layer import EvidenceLayer
    from softcam.evidence.loss import loss
    from softcam.evidence.model import SoftCAM
    from softcam.evidence.output import Output
    from softcam.evidence.penalty import ElasticNet
    from softcam.explanation.explain import explain
    from softcam.explanation.explanation import Explanation
    from softcam.workflows.evaluate import evaluate
    from softcam.workflows.train import train

# Names are fetched when they are first used, so that a reader or an exported model needs no torch.
_HOMES = {
    "BlackBox": "softcam.conversion.black_box",
    "ConversionError": "softcam.conversion.errors",
    "ElasticNet": "softcam.evidence.penalty",
    "EvidenceLayer": "softcam.evidence.layer",
    "Explanation": "softcam.explanation.explanation",
    "InputError": "softcam.errors",
    "ModelFileError": "softcam.errors",
    "ModelInfo": "softcam.evidence.info",
    "Output": "softcam.evidence.output",
    "SoftCAM": "softcam.evidence.model",
    "SoftcamError": "softcam.errors",
    "Task": "softcam.evidence.info",
    "convert": "softcam.conversion.convert",
    "create_black_box": "softcam.conversion.create",
    "create_model": "softcam.conversion.create",
    "evaluate": "softcam.workflows.evaluate",
    "explain": "softcam.explanation.explain",
    "load": "softcam.conversion.load",
    "load_black_box": "softcam.conversion.load",
    "loss": "softcam.evidence.loss",
    "train": "softcam.workflows.train",
}

__all__ = [
    "BlackBox",
    "ConversionError",
    "ElasticNet",
    "EvidenceLayer",
    "Explanation",
    "InputError",
    "ModelFileError",
    "ModelInfo",
    "Output",
    "SoftCAM",
    "SoftcamError",
    "Task",
    "__version__",
    "convert",
    "create_black_box",
    "create_model",
    "evaluate",
    "explain",
    "load",
    "load_black_box",
    "loss",
    "metrics",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name == "metrics":
        value = importlib.import_module("softcam.metrics")
    elif name == "__version__":
        value = metadata.version("softcam")
    else:
        raise AttributeError(f"module 'softcam' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
