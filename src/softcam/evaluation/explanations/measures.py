"""What is measured of an explanation: the measures' names, directions and one-line meanings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Group = Literal["localisation", "faithfulness", "consistency"]


@dataclass(frozen=True)
class Measure:
    """One measure of a map.

    Attributes:
        key: Its column in files.
        label: What tables call it.
        group: Which of the three questions it answers: is the map right (localisation), is it
            the reason (faithfulness), does it hold together (consistency).
        higher_is_better: True, False, or None where neither end is better, so that it is not
            ranked.
        meaning: What it is, in one line.
    """

    key: str
    label: str
    group: Group
    higher_is_better: bool | None
    meaning: str


MEASURES: tuple[Measure, ...] = (
    Measure(
        "activation_precision", "Activation precision", "localisation", True,
        "share of the positive part of the map that lies on the lesion",
    ),
    Measure(
        "activation_sensitivity", "Activation sensitivity", "localisation", True,
        "mean of the map over the lesion, scaled by its own maximum",
    ),
    Measure(
        "pointing_game", "Pointing game", "localisation", True,
        "whether the map's highest pixel lies on the lesion",
    ),
    Measure(
        "topk_precision", "Top-10 patch precision", "localisation", True,
        "share of the ten strongest patches that touch the lesion",
    ),
    Measure(
        "lesion_recall", "Lesion recall", "localisation", True,
        "share of the separate lesions that the map at half its maximum touches",
    ),
    Measure(
        "pixel_ap", "Pixel AP", "localisation", True,
        "average precision of the map as a detector of lesion pixels",
    ),
    Measure("iou_best", "IoU, best", "localisation", True, "overlap at the image's best threshold"),
    Measure("iou_fixed", "IoU at 0.5", "localisation", True, "overlap at half the map's maximum"),
    Measure(
        "dice_best", "Dice, best", "localisation", True, "Dice at the image's best threshold"
    ),
    Measure("dice_fixed", "Dice at 0.5", "localisation", True, "Dice at half the map's maximum"),
    Measure(
        "distractor_energy", "Energy on distractors", "localisation", False,
        "share of the positive part of the map on findings that are no evidence",
    ),
    Measure(
        "organ_energy", "Energy inside organs", "localisation", True,
        "share of the positive part of the map inside the organ",
    ),
    Measure(
        "deletion_auc", "Deletion AUC", "faithfulness", False,
        "mean of p(class) / p(class, whole image) while the strongest patches are removed",
    ),
    Measure(
        "deletion_accuracy", "Deletion accuracy", "faithfulness", False,
        "mean share of right answers kept while the strongest patches are removed",
    ),
    Measure(
        "insertion_auc", "Insertion AUC", "faithfulness", True,
        "mean of p(class) / p(class, whole image) while the strongest patches are put in",
    ),
    Measure(
        "sufficiency", "Sufficiency", "faithfulness", True,
        "p(class) with only the strongest patches left, over that of the whole image",
    ),
    Measure(
        "road_morf", "ROAD, most first", "faithfulness", False,
        "right answers kept while the strongest pixels are imputed",
    ),
    Measure(
        "road_lerf", "ROAD, least first", "faithfulness", True,
        "right answers kept while the weakest pixels are imputed",
    ),
    Measure(
        "agreement", "Agreement", "faithfulness", True,
        "rank correlation of the map in a region and the fall of the score without it",
    ),
    Measure(
        "positive_share", "Positive share, diseased", "consistency", True,
        "positive part over the sum of magnitudes, where the class is present",
    ),
    Measure(
        "negative_share", "Negative share, healthy", "consistency", True,
        "negative part over the sum of magnitudes, where the class is absent",
    ),
    Measure(
        "tile_game", "2 x 2 game", "consistency", True,
        "share of the positive part in the diseased one of four tiles",
    ),
    Measure(
        "completeness_error", "Completeness error", "consistency", False,
        "distance of the map's mean from the logit, over the largest logit",
    ),
    Measure(
        "gini", "Gini", "consistency", None, "inequality of the map's magnitudes: 1 is one pixel"
    ),
    Measure(
        "area_above_half", "Area above half", "consistency", None,
        "share of the image where the map is above half its maximum",
    ),
    Measure(
        "sensitivity_noise", "Change under noise", "consistency", False,
        "largest relative change of the map under small noise",
    ),
    Measure(
        "sensitivity_shift", "Change under shift", "consistency", False,
        "largest relative change of the map, moved back, when the image moves a few pixels",
    ),
    Measure(
        "sensitivity_jpeg", "Change under JPEG", "consistency", False,
        "largest relative change of the map when the image is compressed",
    ),
    Measure(
        "randomised_similarity", "Similarity, random weights", "consistency", False,
        "rank correlation of magnitudes with the map of the same model, its weights permuted",
    ),
    Measure(
        "label_similarity", "Similarity, shuffled labels", "consistency", False,
        "rank correlation of magnitudes with the map of the same model trained on shuffled labels",
    ),
)  # fmt: skip
"""All measures, in the order in which they are shown."""

MEASURE: dict[str, Measure] = {measure.key: measure for measure in MEASURES}
"""The measures by key."""
