"""The training loss: classification on the logits, the penalty on the maps they are made of."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from softcam.evidence.output import Output
from softcam.evidence.penalty import ElasticNet


def classification_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy that fits the logits' and the target's form.

    Args:
        logits: Shape (B, K), in logit units.
        target: Class indices of shape (B,) for K > 1 (softmax cross-entropy); 0/1 of shape (B,)
            or (B, 1) for K = 1 (binary cross-entropy); 0/1 of shape (B, K) for multi-label
            (binary cross-entropy per label, NaN where the label is unknown, which is masked).
        weight: Class weights: shape (K,) for softmax and multi-label (there on the positive
            term), shape (2,) for K = 1 (weights of 0 and of 1).

    Returns:
        A scalar tensor; 0 when every label of the batch is unknown.

    Raises:
        ValueError: If the target's shape fits none of these.
    """
    classes = logits.shape[1]
    if classes == 1:
        if target.numel() != logits.shape[0]:
            raise ValueError(
                f"a one-logit model needs {logits.shape[0]} targets, got shape "
                f"{tuple(target.shape)}"
            )
        truth = target.reshape(-1, 1).to(logits.dtype)
        each = None
        if weight is not None:
            each = weight[0] * (1 - truth) + weight[1] * truth
            # As in softmax cross-entropy: a weighted mean, not a mean of weighted terms.
            each = each / each.mean()
        return F.binary_cross_entropy_with_logits(logits, truth, weight=each)
    if target.ndim == 1 and target.shape[0] == logits.shape[0]:
        return F.cross_entropy(logits, target.long(), weight=weight)
    if target.shape != logits.shape:
        raise ValueError(
            f"target of shape {tuple(target.shape)} fits neither class indices "
            f"({logits.shape[0]},) nor labels {tuple(logits.shape)}"
        )
    known = ~target.isnan()
    truth = target.nan_to_num().to(logits.dtype)
    terms = F.binary_cross_entropy_with_logits(logits, truth, reduction="none", pos_weight=weight)
    return (terms * known).sum() / known.sum().clamp(min=1)


def loss(
    output: Output,
    target: Tensor,
    penalty: ElasticNet | None = None,
    *,
    weight: Tensor | None = None,
) -> Tensor:
    """Loss for one's own training loop: classification plus the evidence penalty.

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        output: What the model returned: logits (B, K) and evidence (B, K, ...).
        target: Labels as in `classification_loss`.
        penalty: The ElasticNet penalty on the evidence; None for none.
        weight: Class weights as in `classification_loss`.

    Returns:
        A scalar tensor.

    Raises:
        ValueError: If the target's shape does not fit the logits.
    """
    value = classification_loss(output.logits, target, weight)
    return value if penalty is None else value + penalty(output.evidence, target)
