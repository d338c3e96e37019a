"""Does the map depend on what the model learned: it should not survive a randomised model."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from softcam.errors import InputError
from softcam.evaluation.inputs import require_maps

SURVIVES = 0.5
"""Default correlation from which on a map counts as unchanged by the randomisation."""

ModelExplain = Callable[[nn.Module, Tensor], Tensor]
"""A model and images (N, C, H, W) to maps (N, h, w)."""


@dataclass(frozen=True)
class Randomisation:
    """How alike maps of the trained and of another model are.

    Attributes:
        what: The module randomised last, or what else differs.
        similarity: Float64 tensor of shape (N,): rank correlation for each image; NaN where one
            of the maps is constant.
        limit: Mean similarity from which on the explanation survives.
    """

    what: str
    similarity: Tensor
    limit: float = SURVIVES

    @property
    def mean(self) -> float:
        """Mean similarity of the images for which it is defined; NaN if there is none."""
        return float(self.similarity.nanmean())

    @property
    def undefined(self) -> int:
        """Number of images for which the similarity is undefined."""
        return int(self.similarity.isnan().sum())

    @property
    def survives(self) -> bool:
        """Whether the explanation is flagged: it hardly changed, so it shows no learned thing.

        False where nothing is defined; look at `undefined` then.
        """
        return not math.isnan(self.mean) and self.mean >= self.limit


def map_similarity(maps: Tensor, others: Tensor, *, absolute: bool = True) -> Tensor:
    """Spearman's rank correlation of two maps of each image.

    Args:
        maps: Float tensor of shape (N, H, W) or (N, D, H, W).
        others: Float tensor of the same shape.
        absolute: Compare magnitudes, so that a map and its negative are the same.

    Returns:
        Float64 tensor of shape (N,), between -1 and 1; equal values share their mean rank. NaN
        where one of the maps is constant.

    Raises:
        InputError: If shapes or types differ from these, or a map holds NaN or infinity.

    Example:
        >>> maps = torch.tensor([[[1.0, -2.0], [3.0, 4.0]]])
        >>> others = torch.tensor([[[1.0, 2.0], [4.0, 3.0]]])
        >>> map_similarity(maps, others)
        tensor([0.8000], dtype=torch.float64)
    """
    require_maps(maps)
    require_maps(others)
    if maps.shape != others.shape:
        raise InputError(
            f"Maps of shapes {tuple(maps.shape)} and {tuple(others.shape)}; give the same shape."
        )
    ranks = []
    for values in (maps, others):
        flat = values.detach().double().flatten(1).cpu()
        rank = stats.rankdata((flat.abs() if absolute else flat).numpy(), axis=1)
        ranks.append(rank - rank.mean(axis=1, keepdims=True))
    first, second = ranks
    norm = np.sqrt((first**2).sum(axis=1) * (second**2).sum(axis=1))
    with np.errstate(invalid="ignore"):  # 0 / 0: a constant map has no ranks
        return torch.from_numpy((first * second).sum(axis=1) / norm).to(maps.device)


def cascade(
    model: nn.Module,
    *,
    seed: int = 0,
    steps: int | None = None,
    how: Literal["reinitialise", "shuffle"] = "reinitialise",
) -> Iterator[tuple[str, nn.Module]]:
    """Randomise a model from its head down, more and more of it.

    Args:
        model: A model whose modules are in the order in which they are used; it stays as it is.
        seed: Seed of the draws.
        steps: In how many steps of about as many modules each; one per module if None. The last
            step has randomised everything.
        how: "reinitialise" starts modules anew as at their making; one that has no
            `reset_parameters` is shuffled. "shuffle" permutes the values of each parameter, which
            keeps the scale of what flows through a deep model in evaluation mode.

    Yields:
        The name of the module randomised last, and a copy of the model up to there; each is its
        own.

    Raises:
        InputError: If the model has no parameters or there is no step.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3
        (cascading randomisation).
    """
    if steps is not None and steps < 1:
        raise InputError(f"steps is {steps}; give 1 or more.")
    names = [name for name, module in model.named_modules() if _has_own(module)][::-1]
    if not names:
        raise InputError("The model has no parameters that could be randomised.")
    ends = {
        round(len(names) * (step + 1) / min(steps or len(names), len(names)))
        for step in range(min(steps or len(names), len(names)))
    }
    device = next(model.parameters()).device
    # On the CPU, so that the same seed gives the same model on every device.
    current = copy.deepcopy(model).cpu()
    state = torch.Generator().manual_seed(seed).get_state()
    for number, name in enumerate(names, start=1):
        # Yields lie between the draws: what a caller does with chance meanwhile is his own.
        with torch.random.fork_rng(devices=[]):
            torch.random.set_rng_state(state)
            _randomise(current.get_submodule(name), how)
            state = torch.random.get_rng_state()
        if number in ends:
            yield name, copy.deepcopy(current).to(device)


def parameter_randomisation(
    model: nn.Module,
    explain: ModelExplain,
    images: Tensor,
    *,
    seed: int = 0,
    steps: int | None = None,
    how: Literal["reinitialise", "shuffle"] = "reinitialise",
    limit: float = SURVIVES,
) -> list[Randomisation]:
    """Compare maps of a trained model with those of ever more randomised copies.

    Args:
        model: The trained model; it stays as it is.
        explain: A model and images (N, C, H, W) to maps (N, h, w).
        images: Float tensor of shape (N, C, H, W), as the model takes it.
        seed: Seed of the draws.
        steps: See `cascade`.
        how: See `cascade`.
        limit: Mean similarity from which on the explanation survives.

    Returns:
        One entry for each step; the last is of a model that has learned nothing, and an
        explanation that survives there is flagged.

    Raises:
        InputError: As `cascade` and `map_similarity` do.
    """
    maps = explain(model, images)
    return [
        Randomisation(name, map_similarity(maps, explain(randomised, images)), limit)
        for name, randomised in cascade(model, seed=seed, steps=steps, how=how)
    ]


def label_randomisation(
    model: nn.Module,
    shuffled: nn.Module,
    explain: ModelExplain,
    images: Tensor,
    *,
    limit: float = SURVIVES,
) -> Randomisation:
    """Compare maps of a trained model with those of one that was trained on shuffled labels.

    Args:
        model: The trained model.
        shuffled: A model of the same kind, trained likewise on labels in random order.
        explain: A model and images (N, C, H, W) to maps (N, h, w).
        images: Float tensor of shape (N, C, H, W), as the models take it.
        limit: Mean similarity from which on the explanation survives.

    Returns:
        How alike the maps are.

    Raises:
        InputError: As `map_similarity` does.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 4.
    """
    similarity = map_similarity(explain(model, images), explain(shuffled, images))
    return Randomisation("labels", similarity, limit)


def _has_own(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _randomise(module: nn.Module, how: str) -> None:
    reset = getattr(module, "reset_parameters", None)
    if how == "reinitialise" and callable(reset):
        reset()
        return
    with torch.no_grad():
        for parameter in module.parameters(recurse=False):
            order = torch.randperm(parameter.numel())
            parameter.copy_(parameter.flatten()[order].view_as(parameter))
