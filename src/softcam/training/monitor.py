"""The one number that training watches: the validation AUC."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from softcam.evidence.decision import probabilities
from softcam.evidence.info import Task


def validation_auc(logits: Tensor, labels: Tensor, task: Task) -> float:
    """Area under the ROC curve: of the positive class, or the mean of one against the rest.

    Args:
        logits: Shape (N, K).
        labels: Class indices (N,), or 0/1/NaN of shape (N, K) for multi-label.
        task: What the labels mean.

    Returns:
        The AUC; the mean over the classes that have both kinds of examples, NaN if none has.
    """
    scores = torch.from_numpy(probabilities(logits.float().cpu().numpy(), task))
    if not torch.isfinite(scores).all():
        return float("nan")  # a diverged model tells nothing apart
    labels = labels.cpu()
    columns = [1] if task is Task.BINARY else range(scores.shape[1])
    values = []
    for column in columns:
        truth = labels[:, column] if task is Task.MULTILABEL else (labels == column).float()
        known = ~truth.isnan()
        answers = truth[known].long()
        if 0 < int(answers.sum()) < len(answers):
            values.append(float(binary_auroc(scores[known, column], answers)))
    return sum(values) / len(values) if values else float("nan")
