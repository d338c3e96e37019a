"""Every attribution method by its name, and groups of them by what they cost."""

from __future__ import annotations

from collections.abc import Iterable

from softcam.errors import InputError
from softcam.explanation.attributions import class_activation as cams
from softcam.explanation.attributions import floors, gradients, perturbation
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.native import EVIDENCE

METHODS: dict[str, Attribution] = {
    method.name: method
    for method in (
        EVIDENCE,
        cams.CAM,
        cams.GRAD_CAM,
        cams.GRAD_CAM_PLUS_PLUS,
        cams.HIRES_CAM,
        cams.LAYER_CAM,
        cams.SCORE_CAM,
        cams.ABLATION_CAM,
        cams.EIGEN_CAM,
        gradients.GRADIENT,
        gradients.SALIENCY,
        gradients.INPUT_X_GRADIENT,
        gradients.SMOOTH_GRAD,
        gradients.SMOOTH_SALIENCY,
        gradients.INTEGRATED_GRADIENTS,
        gradients.GUIDED_BACKPROP,
        gradients.GUIDED_GRAD_CAM,
        perturbation.OCCLUSION,
        perturbation.RISE,
        floors.RANDOM,
        floors.UNIFORM,
        floors.EDGES,
    )
}
"""Methods by name, in the order of tables."""

_SLOW = (
    "score-cam",
    "smoothgrad",
    "smoothgrad-saliency",
    "integrated-gradients",
    "occlusion",
    "rise",
)

GROUPS: dict[str, tuple[str, ...]] = {
    "all": tuple(METHODS),
    "fast": tuple(name for name in METHODS if name not in _SLOW),
    "floors": ("random", "uniform", "edges"),
}
"""Names that stand for several; "fast" leaves out what takes hundreds of passes an image."""


def method(name: str) -> Attribution:
    """Find a method.

    Args:
        name: Its key, such as "grad-cam".

    Returns:
        The method, with its usual options; `Attribution.configured` changes them.

    Raises:
        InputError: If there is none of that name.
    """
    if name not in METHODS:
        raise InputError(
            f"There is no attribution method {name!r}; there are: {', '.join(METHODS)}."
        )
    return METHODS[name]


def methods(names: Iterable[str]) -> list[Attribution]:
    """Find methods by names and groups.

    Args:
        names: Names of methods, or "all", "fast" or "floors".

    Returns:
        The methods, each once, in the order of `names`.

    Raises:
        InputError: If there is neither a method nor a group of that name.
    """
    found: dict[str, Attribution] = {}
    for name in names:
        for part in GROUPS.get(name, (name,)):
            if part not in METHODS:
                raise InputError(
                    f"There is no attribution method {name!r}; there are: {', '.join(METHODS)}, "
                    f"and the groups {', '.join(GROUPS)}."
                )
            found[part] = METHODS[part]
    return list(found.values())
