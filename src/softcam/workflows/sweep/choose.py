"""Choose a recipe by its validation images: the best explanation at the twin's accuracy.

Nothing here sees a test image. Accuracy is the validation AUC, averaged over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from softcam.errors import InputError

SelectBy = Literal["deletion", "localisation"]

SCORES: dict[SelectBy, str] = {
    "deletion": "deletion_gain",
    "localisation": "activation_precision",
}
"""What the best explanation has most of."""

_IN_WORDS: dict[SelectBy, str] = {
    "deletion": "the largest deletion gain on validation images (how much further the class's "
    "score falls when patches go in the map's order than in random order, in standard deviations "
    "of that score; no annotation is used)",
    "localisation": "the highest activation precision against the annotations of validation images",
}


@dataclass(frozen=True)
class Candidate:
    """What validation says of a recipe.

    Attributes:
        name: The recipe.
        seeds: Its seeds, in order.
        auc: Validation AUC of each.
        score: Explanation score of each, higher is better; NaN where undefined.
    """

    name: str
    seeds: tuple[int, ...]
    auc: tuple[float, ...]
    score: tuple[float, ...]

    @property
    def mean_auc(self) -> float:
        """Mean over seeds."""
        return math.fsum(self.auc) / len(self.auc)

    @property
    def mean_score(self) -> float:
        """Mean over seeds."""
        return math.fsum(self.score) / len(self.score)


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why.

    Attributes:
        name: The recipe.
        seed: The seed whose model stands for it.
        qualified: Whether its AUC is close enough to the twin's.
        floor: The lowest AUC that is close enough.
        within: Names of all recipes that are.
        rule: The rule, in words.
        why: What it gave here, in words.
    """

    name: str
    seed: int
    qualified: bool
    floor: float
    within: tuple[str, ...]
    rule: str
    why: str


def choose(
    twin_auc: float,
    error: float,
    candidates: Sequence[Candidate],
    *,
    select_by: SelectBy = "deletion",
    margin: float | None = None,
) -> Choice:
    """Choose a recipe, and the seed whose model stands for it.

    Args:
        twin_auc: The black-box twin's validation AUC, averaged over seeds.
        error: Its standard error, from a bootstrap over patients.
        candidates: The recipes; of equal ones the first is chosen.
        select_by: What the best explanation has most of.
        margin: How far the AUC may lie below the twin's; None for one standard error.

    Returns:
        The choice. Where no recipe is close enough to the twin it is the one closest to it, and
        `qualified` is false.

    Raises:
        InputError: If there is no candidate, or the AUC is undefined.
    """
    if not candidates:
        raise InputError("There is no recipe to choose from: none was trained for every seed.")
    allowed = error if margin is None else margin
    if math.isnan(twin_auc) or math.isnan(allowed):
        raise InputError(
            "The twin's validation AUC or its standard error is undefined; give a validation "
            "split with images of several patients in every class."
        )
    floor = twin_auc - allowed
    how_far = (
        f"one standard error ({error:.4f}, patient bootstrap)" if margin is None else f"{margin:g}"
    )
    rule = (
        f"Of the recipes whose mean validation AUC is at most {how_far} below the black-box "
        f"twin's ({twin_auc:.4f}), the one with {_IN_WORDS[select_by]}; means over seeds. Test "
        "images take no part."
    )
    # A difference in the last bit is no difference.
    within = [found for found in candidates if found.mean_auc >= floor - 1e-12]
    judged = [found for found in within if not math.isnan(found.mean_score)]
    if judged:
        best = max(judged, key=lambda found: found.mean_score)
        why = (
            f"{best.name}: AUC {best.mean_auc:.4f}, score {best.mean_score:.4f}, the best of "
            f"{len(judged)} of {len(candidates)} recipes that reach {floor:.4f}."
        )
    else:
        best = max(within or candidates, key=lambda found: found.mean_auc)
        why = (
            f"No recipe reaches a validation AUC of {floor:.4f}: {best.name} is closest to the "
            f"twin with {best.mean_auc:.4f}. It is NOT as accurate as the twin."
            if not within
            else f"No map of the recipes that reach {floor:.4f} could be judged: {best.name} has "
            f"the highest AUC, {best.mean_auc:.4f}."
        )
    seed = middle_seed(best)
    return Choice(
        name=best.name,
        seed=seed,
        qualified=bool(judged),
        floor=floor,
        within=tuple(found.name for found in within),
        rule=rule,
        why=f"{why} Its seed {seed} has the median validation AUC (of two in the middle, the "
        "lower) and stands for it.",
    )


def middle_seed(candidate: Candidate) -> int:
    """Give the seed with the median AUC, the lower of two, the first of equals."""
    order: Sequence[tuple[float, int]] = sorted(
        (auc, place) for place, auc in enumerate(candidate.auc)
    )
    return candidate.seeds[order[(len(order) - 1) // 2][1]]


def scores_of(values: Mapping[str, float], select_by: SelectBy) -> float:
    """Take the explanation score out of a run's mean measures."""
    return values[SCORES[select_by]]
