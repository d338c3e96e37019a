"""The ElasticNet penalty that shapes evidence maps during training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evidence.shaping import contrast_maps

Form = Literal["mean", "sum", "norm"]
"""How elements are put together: see `ElasticNet`."""

Maps = Literal["own", "contrast"]
"""Which maps are penalised: the classes' own, or each against the mean of the others."""

Chosen = Literal["all", "target", "not_target"]
"""Whose maps are penalised, told from the labels."""

Pool = Callable[[Tensor], Tensor]
"""From maps (B, K, ...) to means over the positions of each image, (R, K)."""


@dataclass(frozen=True)
class ElasticNet:
    """L1 for sparse evidence, L2 for smooth evidence, per element unless told otherwise.

    - form "mean": l1 * mean |A| + l2 * mean A^2, the mean over all penalised elements of the
      batch, so that a weight means the same at any map size and number of classes.
    - form "sum": l1 * sum |A| + l2 * sum A^2, the sum over an image's penalised elements and the
      mean over the batch: the paper's equation 5. `penalty_factor` converts the weights.
    - form "norm": as "sum", with the Euclidean norm of an image's elements in place of the sum of
      their squares: what the code published with the paper computes.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3; Zou and Hastie 2005.

    Args:
        l1: Weight of the absolute evidence, at least 0.
        l2: Weight of the squared evidence, at least 0.
        form: How elements are put together.
        on: "own" penalises A_k; "contrast" A_k minus the mean of the other classes' maps, which
            is what decides under a softmax. With one map, and where labels are independent, the
            contrast is the own map.
        classes: Whose maps are penalised: "all"; "target", those of the classes that the image
            has by its label; "not_target", those of the classes that it has not (an unknown label
            is neither); or the numbers of classes. A single map is its positive images' target.

    Raises:
        InputError: If a weight is negative or not finite, or a choice is not one of these.

    Example:
        >>> import torch
        >>> ElasticNet(l1=0.5, l2=0.25)(torch.full((1, 2, 3, 3), -2.0))
        tensor(2.)
    """

    l1: float = 0.0
    l2: float = 0.0
    form: Form = "mean"
    on: Maps = "own"
    classes: Chosen | tuple[int, ...] = "all"

    def __post_init__(self) -> None:
        for name, value in (("l1", self.l1), ("l2", self.l2)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} must be a finite number of at least 0, not {value}.")
        for name, choice, choices in (
            ("form", self.form, get_args(Form)),
            ("on", self.on, get_args(Maps)),
        ):
            if choice not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}, not {choice!r}.")
        if self.classes not in get_args(Chosen) and not _are_class_numbers(self.classes):
            raise InputError(
                f"classes must be one of {', '.join(get_args(Chosen))} or different numbers of "
                f"classes from 0, not {self.classes!r}."
            )

    def __call__(
        self, evidence: Tensor, target: Tensor | None = None, pool: Pool | None = None
    ) -> Tensor:
        """Compute the penalty.

        Args:
            evidence: Shape (B, K, ...), in logit units.
            target: Labels as in `classification_loss`, one for each image. Needed where the
                labels choose the classes; with labels of shape (B, K) the classes are
                independent, so that a contrast is the own map.
            pool: Averages maps over the positions of each image; None where every map is one
                image's. A mosaic's maps hold several images, see `softcam.training.mosaic`.

        Returns:
            A scalar tensor; 0 where no map is penalised.

        Raises:
            ValueError: If the labels choose and there are none, or they do not fit.
        """
        penalty = evidence.new_zeros(())
        if not (self.l1 or self.l2):
            return penalty
        independent = target is not None and target.ndim == 2
        maps = evidence if self.on == "own" or independent else contrast_maps(evidence)
        if self.form == "mean" and self.classes == "all" and pool is None:
            if self.l1:
                penalty = penalty + self.l1 * maps.abs().mean()
            if self.l2:
                penalty = penalty + self.l2 * maps.square().mean()
            return penalty
        return self._of_images(maps, target, pool or _position_mean)

    def _of_images(self, maps: Tensor, target: Tensor | None, pool: Pool) -> Tensor:
        """Compute the penalty from each image's means |A| and A^2 of each class, (R, K)."""
        absolute = pool(maps.abs()) if self.l1 else None
        squares = pool(maps.square()) if self.l2 else None
        images = len(next(item for item in (absolute, squares) if item is not None))
        chosen = self._chosen(images, maps, target)
        cells = maps.numel() / (maps.shape[1] * images)
        penalty = maps.new_zeros(())
        if absolute is not None:
            penalty = penalty + self.l1 * self._put_together(absolute * chosen, chosen, cells)
        if squares is not None and self.form != "norm":
            penalty = penalty + self.l2 * self._put_together(squares * chosen, chosen, cells)
        elif squares is not None:
            penalty = penalty + self.l2 * _root((squares * chosen).sum(1) * cells).mean()
        return penalty

    def _put_together(self, means: Tensor, chosen: Tensor, cells: float) -> Tensor:
        if self.form == "mean":
            return means.sum() / chosen.sum().clamp(min=1)
        return means.sum(1).mean() * cells

    def _chosen(self, images: int, maps: Tensor, target: Tensor | None) -> Tensor:
        """Tell which maps are penalised: 0 or 1 of shape (R, K)."""
        count = maps.shape[1]
        chosen = maps.new_zeros(images, count)
        if self.classes == "all":
            return chosen + 1
        if isinstance(self.classes, tuple):
            if max(self.classes) >= count:
                raise ValueError(f"there are {count} maps, so no class {max(self.classes)}")
            chosen[:, list(self.classes)] = 1
            return chosen
        wanted = 1 if self.classes == "target" else 0
        if target is None:
            raise ValueError(f"a penalty on the maps of {self.classes!r} needs the labels")
        if count > 1 and target.shape == (images,):
            has = torch.nn.functional.one_hot(target.long(), count)
            return (has == wanted).to(maps.dtype)
        if target.numel() != images * count:
            raise ValueError(f"{images} images of {count} maps do not fit {tuple(target.shape)}")
        return (target.reshape(images, count) == wanted).to(maps.dtype)


def penalty_factor(maps: int, size: Sequence[int]) -> int:
    """Give the factor between the weights of the two forms of the penalty.

        weight of the mean = weight of the sum * factor        factor = maps * h * w

    The sum is over an image and then averaged over the batch, so the batch size is not in it. For
    l2 this holds for the form "sum"; the form "norm" is not squared and has no such factor.

    Args:
        maps: Number of penalised maps of an image: K for all classes, 1 for a softmax's target,
            K - 1 for the others.
        size: Size of the maps in cells.

    Returns:
        Number of penalised elements of an image.

    Raises:
        InputError: If a number is below 1.

    Example:
        >>> 5e-5 * penalty_factor(2, (16, 16))   # the paper's sparse ResNet-50 at 512 px
        0.0256
    """
    if min((maps, *size)) < 1:
        raise InputError(f"maps and size must be at least 1, not {maps} and {tuple(size)}.")
    return maps * math.prod(size)


def _are_class_numbers(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) > 0
        and all(isinstance(item, int) and item >= 0 for item in value)
        and len(set(value)) == len(value)
    )


def _position_mean(maps: Tensor) -> Tensor:
    return maps.flatten(2).mean(2)


def _root(values: Tensor) -> Tensor:
    """Square root whose gradient at 0 is 0, as that of a norm is taken to be."""
    positive = values > 0
    return torch.where(positive, torch.where(positive, values, 1.0).sqrt(), 0.0)
