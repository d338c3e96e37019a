"""Which library a model comes from, and so where its seam is found."""

from __future__ import annotations

from torch import nn

from softcam.conversion import timm_models, torchvision_models
from softcam.conversion.any_module import ModuleFamily
from softcam.conversion.family import Family


def family_of(model: nn.Module) -> Family:
    """Find the library that a model comes from.

    Args:
        model: A black-box classifier.

    Returns:
        What is known about that library's models; any other module's forward pass is traced.
    """
    for family in (timm_models.FAMILY, torchvision_models.FAMILY):
        if family.owns(model):
            return family
    return ModuleFamily()


def family_named(source: str) -> Family:
    """Give the library of that name.

    Args:
        source: "timm" or "torchvision".

    Returns:
        What is known about that library's models.
    """
    return timm_models.FAMILY if source == "timm" else torchvision_models.FAMILY
