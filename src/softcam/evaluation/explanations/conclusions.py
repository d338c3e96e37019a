"""What a benchmark of explanations allows to conclude, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.explanations.result import Answer, Method, MethodRow
from softcam.evaluation.explanations.shortcut import Shortcut

SAME_MAP = ("cam", "grad-cam", "hirescam", "evidence")
"""Methods that give one map, up to an additive constant and a scale, behind an affine head."""

SURVIVOR = "survives random weights"
"""Flag of a method whose maps hardly change when the model forgets all that it learned."""

LABEL_SURVIVOR = "survives shuffled labels"
"""Flag of a method whose maps are much the same of a model that learned shuffled labels."""

SURVIVORS = {"randomised_similarity": SURVIVOR, "label_similarity": LABEL_SURVIVOR}
"""Measure to the flag of a method whose maps stay alike by it."""

_OTHERS = {
    "randomised_similarity": ("with random weights", "what the model learned"),
    "label_similarity": ("trained on shuffled labels", "what its labels taught the model"),
}
_HEADLINES = ("activation_precision", "pointing_game", "deletion_auc")


def conclude(
    rows: Sequence[MethodRow],
    reference: Method,
    affine: Mapping[str, bool],
    agreements: Mapping[str, float],
    answers: Sequence[Answer] = (),
    shortcuts: Sequence[Shortcut] = (),
) -> tuple[str, ...]:
    """Say in sentences what the numbers allow, and what they do not.

    Args:
        rows: The methods' rows.
        reference: The method that the others are compared with.
        affine: Subject to whether its head is affine behind the average pool.
        agreements: Subject to the lowest rank correlation measured among its methods of
            `SAME_MAP`, over images.
        answers: Classification of the subjects.
        shortcuts: What was found of each distractor.

    Returns:
        Sentences.
    """
    sentences: list[str] = []
    sentences += _answers(answers)
    sentences += _by_construction(rows, affine, agreements)
    sentences += _comparisons(rows, reference)
    sentences += _chance(rows, reference)
    sentences += [found.sentence() for found in shortcuts]
    for key in SURVIVORS:
        sentences += _survivors(rows, key)
    sentences += _changed(rows)
    return tuple(sentences)


def _answers(answers: Sequence[Answer]) -> list[str]:
    known = [answer for answer in answers if not math.isnan(answer.auc.value)]
    if not known:
        return []
    listed = "; ".join(f"{answer.subject} {answer.auc.format()}" for answer in known)
    return [
        f"AUC on all images of the split: {listed}. A map of a model that answers "
        "worse is worth less."
    ]


def _by_construction(
    rows: Sequence[MethodRow], affine: Mapping[str, bool], agreements: Mapping[str, float]
) -> list[str]:
    sentences = []
    for subject, is_affine in affine.items():
        mine = [row.method for row in rows if row.method.subject == subject]
        same = list(dict.fromkeys(m.label for m in mine if m.name in SAME_MAP))
        if is_affine and len(same) > 1:
            text = (
                f"{subject} reads its logits linearly out of the averaged features, so "
                f"{', '.join(same[:-1])} and {same[-1]} of its last feature map are the same map "
                "by construction, up to a constant and a scale: they say the same about "
                "where, and differ in a measure only through what the constant moves across zero"
            )
            if subject in agreements and not math.isnan(agreements[subject]):
                text += f" (lowest rank correlation here: {agreements[subject]:.4f})"
            sentences.append(text + ".")
    return sentences


def _comparisons(rows: Sequence[MethodRow], reference: Method) -> list[str]:
    """For each headline measure: which methods the reference beats, and which beat it."""
    sentences = []
    for key in _HEADLINES:
        measure = MEASURE[key]
        better: list[str] = []
        worse: list[str] = []
        open_: list[str] = []
        for row in rows:
            if row.method == reference or key not in row.differences:
                continue
            gap = row.differences[key]
            if math.isnan(gap.low):
                continue
            sign = 1 if measure.higher_is_better else -1
            ends = sorted((sign * gap.low, sign * gap.high))
            (better if ends[0] > 0 else worse if ends[1] < 0 else open_).append(str(row.method))
        if not (better or worse or open_):
            continue
        parts = [f"better than {_listed(better)}" if better else "better than none"]
        parts.append(f"worse than {_listed(worse)}" if worse else "worse than none")
        if open_:
            parts.append(f"not told apart from {len(open_)} other(s)")
        sentences.append(f"{measure.label}: {reference} is {', '.join(parts)}.")
    return sentences


def _chance(rows: Sequence[MethodRow], reference: Method) -> list[str]:
    tests = sum(
        not math.isnan(gap.low)
        for row in rows
        if row.method != reference
        for key, gap in row.differences.items()
        if MEASURE[key].higher_is_better is not None
    )
    if tests < 20:
        return []
    return [
        f"{tests} differences are given, each with a 95 % interval of its own: about "
        f"{round(tests * 0.05)} would exclude zero by chance alone if nothing differed."
    ]


def _survivors(rows: Sequence[MethodRow], key: str) -> list[str]:
    """Name the methods whose maps a model with random weights, or labels, gives as well."""
    sentences = []
    how, lost = _OTHERS[key]
    for subject in dict.fromkeys(row.method.subject for row in rows):
        mine = [
            row
            for row in rows
            if row.method.subject == subject and SURVIVORS[key] in row.flags and not row.floor
        ]
        if mine:
            named = [f"{row.method.short} ({row.means[key].value:.2f})" for row in mine]
            sentences.append(
                f"{subject} {how} gives much the same maps by "
                f"{_listed(named, 40)} (rank correlation of magnitudes): such maps show the image "
                f"more than {lost}, whatever they score."
            )
    return sentences


def _changed(rows: Sequence[MethodRow]) -> list[str]:
    """Say of a model that was held against shuffled labels that all its methods passed."""
    sentences = []
    for subject in dict.fromkeys(row.method.subject for row in rows):
        mine = [row for row in rows if row.method.subject == subject and not row.floor]
        found = [row.means["label_similarity"] for row in mine if "label_similarity" in row.means]
        known = [mean.value for mean in found if not math.isnan(mean.value)]
        if known and not any(LABEL_SURVIVOR in row.flags for row in mine):
            sentences.append(
                f"{subject} trained on shuffled labels is not seen to give the same maps by any "
                f"of {len(known)} kind(s) of map (rank correlation of magnitudes {min(known):.2f} "
                f"to {max(known):.2f})."
            )
    return sentences


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more
