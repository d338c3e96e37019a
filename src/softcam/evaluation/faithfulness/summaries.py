"""What a curve says in numbers: accuracy and confidence kept, area, what suffices, what is lost.

Everything here is per image, in float64, and NaN where it is undefined;
`softcam.evaluation.scoring.summarise` averages with intervals and counts what was defined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from softcam.errors import InputError
from softcam.evidence.decision import decide, probabilities
from softcam.evidence.info import Task


def target_probability(logits: Tensor, classes: Tensor, task: Task) -> Tensor:
    """Give the probability of one class per image.

    Args:
        logits: Tensor of shape (N, S, K).
        classes: Int tensor of shape (N,): the class that each map speaks for. A binary model with
            one logit has the classes 0 and 1.
        task: How logits become probabilities; see `softcam.evidence.decision`.

    Returns:
        Float64 tensor of shape (N, S), on the CPU; NaN where a logit that it depends on is NaN.

    Raises:
        InputError: If the shapes differ from these, or a class is none of the model's.

    Example:
        >>> logits = torch.tensor([[[0.0], [1.0986123]]])  # log 3
        >>> target_probability(logits, torch.tensor([1]), Task.BINARY).round(decimals=6).tolist()
        [[0.5, 0.75]]
    """
    values = _all_probabilities(logits, task)
    check_classes(classes, len(logits), values.shape[2])
    return values[torch.arange(len(values)), :, classes.cpu().long()]


def target_logit(logits: Tensor, classes: Tensor) -> Tensor:
    """Give the logit of one class per image.

    Args:
        logits: Tensor of shape (N, S, K).
        classes: Int tensor of shape (N,). With one logit, which speaks for class 1, class 0 gets
            its negative.

    Returns:
        Float64 tensor of shape (N, S), on the CPU.

    Raises:
        InputError: If the shapes differ from these, or a class is none of the model's.

    Example:
        >>> target_logit(torch.tensor([[[2.0]], [[3.0]]]), torch.tensor([1, 0])).tolist()
        [[2.0], [-3.0]]
    """
    values = _checked(logits)
    if values.shape[2] == 1:
        values = torch.cat((-values, values), dim=2)
    check_classes(classes, len(values), values.shape[2])
    return values[torch.arange(len(values)), :, classes.cpu().long()]


def accuracy_kept(
    logits: Tensor,
    classes: Tensor,
    task: Task,
    names: Sequence[str],
    positive: str | None = None,
    thresholds: Mapping[str, float] | None = None,
) -> Tensor:
    """Say where the model still calls the class.

    Args:
        logits: Tensor of shape (N, S, K).
        classes: Int tensor of shape (N,): the class that should be called, such as the label;
            for a multi-label task one of those present, whatever else is called.
        task: How logits become calls; see `softcam.evidence.decision`.
        names: Class names in column order.
        positive: The class that a binary task looks for; the second one if None.
        thresholds: Class name to threshold.

    Returns:
        Float64 tensor of shape (N, S), on the CPU: 1 where the class is called, 0 where not, NaN
        where a logit of that step is NaN. Its mean over images is the accuracy.

    Raises:
        InputError: If the shapes differ from these, or a class is none of the model's.

    Example:
        >>> logits = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 1.0, 0.5]]])
        >>> accuracy_kept(logits, torch.tensor([0]), Task.MULTICLASS, ["a", "b", "c"]).tolist()
        [[1.0, 0.0]]
    """
    values = _all_probabilities(logits, task)
    check_classes(classes, len(values), values.shape[2])
    if len(names) != values.shape[2]:
        raise InputError(f"{len(names)} class names for {values.shape[2]} classes.")
    wanted = classes.cpu().long()
    calls = torch.from_numpy(
        decide(values.flatten(0, 1).numpy(), task, names, positive, thresholds)
    )
    calls = calls.view(*values.shape[:2], *calls.shape[1:])
    if task is Task.MULTILABEL:
        hits = calls[torch.arange(len(values)), :, wanted]
    else:
        hits = calls == wanted[:, None]
    scores: Tensor = hits.double()
    return scores.masked_fill(values.isnan().any(2), torch.nan)


def relative_confidence(probability: Tensor, untouched: Tensor) -> Tensor:
    """Divide the probability at each step by that of the untouched image.

    Args:
        probability: Tensor of shape (N, S), such as `target_probability` gives.
        untouched: Tensor of shape (N,); for a deletion the first column of the former.

    Returns:
        Float64 tensor of shape (N, S); NaN where the untouched probability is 0.

    Raises:
        InputError: If the shapes differ from these.

    Example:
        >>> relative_confidence(torch.tensor([[0.5, 0.25], [0.0, 0.5]]), torch.tensor([0.5, 0.0]))
        tensor([[1.0000, 0.5000],
                [   nan,    nan]], dtype=torch.float64)
    """
    values, whole = _pair(probability, untouched)
    return values / torch.where(whole == 0, torch.nan, whole)


def area_under_curve(values: Tensor, fractions: Tensor) -> Tensor:
    """Give the mean height of a curve, by the trapezoidal rule.

    The area is divided by the range of fractions that the curve covers, so that a curve which
    stays at 1 has an area of 1 however many patches were taken.

    Args:
        values: Tensor of shape (N, S), such as a relative confidence.
        fractions: Tensor of shape (S,), never falling: see `Curve.fractions`.

    Returns:
        Float64 tensor of shape (N,); NaN where a value is NaN, or the curve has no width.

    Raises:
        InputError: If the shapes differ from these.

    Example:
        >>> area_under_curve(torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([0.0, 0.1, 0.4]))
        tensor([0.3750], dtype=torch.float64)
    """
    if values.ndim != 2 or fractions.shape != values.shape[1:]:
        raise InputError(
            f"Values of shape {tuple(values.shape)} over fractions of shape "
            f"{tuple(fractions.shape)}; they must be (N, S) and (S,)."
        )
    places = fractions.to(values.device).double()
    width = places[-1:] - places[:1]  # empty without steps
    if not len(width) or not width > 0:
        return values.new_full((len(values),), torch.nan, dtype=torch.float64)
    return torch.trapezoid(values.double(), places, dim=1) / width


def comprehensiveness(deleted: Tensor, untouched: Tensor) -> Tensor:
    """Say what is lost with the top patches: untouched minus deleted, high where they mattered.

    Args:
        deleted: Tensor of shape (N, S): probabilities or logits of a class along a deletion.
        untouched: Tensor of shape (N,) in the same unit, for the untouched images.

    Returns:
        Float64 tensor of shape (N, S), in that unit.

    Raises:
        InputError: If the shapes differ from these.

    Source: DeYoung et al., "ERASER", ACL 2020, section 4.

    Example:
        >>> comprehensiveness(torch.tensor([[1.0, 0.25]]), torch.tensor([1.0])).tolist()
        [[0.0, 0.75]]
    """
    values, whole = _pair(deleted, untouched)
    return whole - values


def sufficiency(inserted: Tensor, untouched: Tensor) -> Tensor:
    """Say what the top patches alone lack: untouched minus inserted, 0 where they suffice.

    Below 0 they speak for the class more clearly alone. As a share of the untouched confidence
    it is 1 - `relative_confidence(inserted, untouched)`.

    Args:
        inserted: Tensor of shape (N, S): probabilities or logits of a class along an insertion.
        untouched: Tensor of shape (N,) in the same unit, for the untouched images.

    Returns:
        Float64 tensor of shape (N, S), in that unit.

    Raises:
        InputError: If the shapes differ from these.

    Source: DeYoung et al., "ERASER", ACL 2020, section 4.

    Example:
        >>> sufficiency(torch.tensor([[0.25, 1.5]]), torch.tensor([1.0])).tolist()
        [[0.75, -0.5]]
    """
    return comprehensiveness(inserted, untouched)


def check_classes(classes: Tensor, images: int, count: int) -> None:
    """Refuse classes that the model does not have.

    Args:
        classes: Int tensor of shape (N,).
        images: N.
        count: How many classes there are.

    Raises:
        InputError: If the shape or type differs, or a class lies outside 0 to count - 1.
    """
    whole = not classes.is_floating_point() and not classes.is_complex()
    if classes.shape != (images,) or not whole or classes.dtype == torch.bool:
        raise InputError(
            f"Classes of shape {tuple(classes.shape)} and type {classes.dtype} for {images} "
            "images; give one class number per image."
        )
    if len(classes) and not (int(classes.min()) >= 0 and int(classes.max()) < count):
        raise InputError(
            f"Classes go from {int(classes.min())} to {int(classes.max())}, and the model has "
            f"{count}, counted from 0."
        )


def _checked(logits: Tensor) -> Tensor:
    if logits.ndim != 3:
        raise InputError(f"Logits of shape {tuple(logits.shape)}; they must be (N, S, K).")
    return logits.detach().cpu().double()


def _all_probabilities(logits: Tensor, task: Task) -> Tensor:
    values = _checked(logits)
    if not values.numel():  # no image, or no step
        classes = 2 if values.shape[2] == 1 and task is not Task.MULTILABEL else values.shape[2]
        return values.new_empty(*values.shape[:2], classes)
    with np.errstate(invalid="ignore"):  # infinite logits: NaN is meant
        found = probabilities(values.flatten(0, 1).numpy(), task)
    return torch.from_numpy(found).view(*values.shape[:2], found.shape[1])


def _pair(values: Tensor, untouched: Tensor) -> tuple[Tensor, Tensor]:
    if values.ndim != 2 or untouched.shape != values.shape[:1]:
        raise InputError(
            f"Values of shape {tuple(values.shape)} and untouched ones of shape "
            f"{tuple(untouched.shape)}; they must be (N, S) and (N,)."
        )
    return values.double(), untouched.to(values.device).double()[:, None]
