"""Losses besides plain cross-entropy: smoothed labels, focal, ordered classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.evidence.loss import classification_loss

LossName = Literal["cross-entropy", "focal", "ordinal"]


@dataclass(frozen=True)
class ClassificationLoss:
    """The classification part of the training loss, as a weighted mean of one term per label.

    Without smoothing, "cross-entropy" is `softcam.evidence.loss.classification_loss` itself.

    - Label smoothing s (Szegedy et al., arXiv 1512.00567) gives the true class the target
      1 - s + s / K and every other s / K; yes-or-no labels have K = 2.
    - "focal" (Lin et al., arXiv 1708.02002) multiplies each class's term with (1 - p)^gamma, so
      that what is answered well counts less. There is no alpha: class weights do that.
    - "ordinal" is for K classes in order. Each of the K - 1 thresholds between neighbours asks
      whether the class lies above, which the softmax answers with the sum of the probabilities
      above; the loss is the mean of these binary cross-entropies (the ranked ignorance score,
      Tödter and Ahrens, Monthly Weather Review 2012). Two grades off cost more than one. For two
      classes it is cross-entropy. There still is one logit, and so one map, for each class, which
      cumulative links and CORN do not have: their maps would speak for thresholds. As a proper
      score it does not bend the probabilities as an expected-cost loss does, and it does not fade
      where the answer is confidently wrong, as the squared earth mover's distance does.

    Args:
        kind: "cross-entropy", "focal" or "ordinal".
        smoothing: s, at least 0 and below 1.
        gamma: Exponent of the focal loss, at least 0; 0 is cross-entropy.
    """

    kind: LossName = "cross-entropy"
    smoothing: float = 0.0
    gamma: float = 2.0

    def __call__(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the loss.

        Args:
            logits: Shape (B, K), in logit units.
            target: Labels as `softcam.evidence.loss.classification_loss` takes them.
            weight: Class weights as it takes them.

        Returns:
            A scalar tensor; 0 when every label of the batch is unknown.

        Raises:
            ValueError: If the target's shape fits the logits in no way.
        """
        if self.kind == "cross-entropy" and not self.smoothing:
            return classification_loss(logits, target, weight)
        total, count = self.parts(logits, target, weight)
        return total / torch.where(count > 0, count, torch.ones_like(count))

    def parts(
        self, logits: Tensor, target: Tensor, weight: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the two sums whose quotient is the loss, for several processes to add up.

        Args:
            logits: As above.
            target: As above.
            weight: As above.

        Returns:
            The sum of the weighted terms, and the sum of the weights; scalars.

        Raises:
            ValueError: As above.
        """
        batch, classes = logits.shape
        if classes == 1 and target.numel() == batch:
            return self._yes_or_no(logits, target.reshape(-1, 1), weight)
        if target.ndim == 1 and len(target) == batch:
            return self._one_of_many(logits, target.long(), weight)
        if target.shape != logits.shape:
            raise ValueError(
                f"target of shape {tuple(target.shape)} fits neither class indices "
                f"({batch},) nor labels {tuple(logits.shape)}"
            )
        known = ~target.isnan()
        terms = self._binary(logits, target.nan_to_num(), None, weight)
        return (terms * known).sum(), known.sum().to(logits.dtype)

    def _one_of_many(
        self, logits: Tensor, target: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        classes = logits.shape[1]
        weights = logits.new_ones(classes) if weight is None else weight.to(logits.dtype)
        sharp = F.one_hot(target, classes).to(logits.dtype)
        wanted = sharp * (1 - self.smoothing) + self.smoothing / classes
        log_p = F.log_softmax(logits, dim=1)
        if self.kind == "ordinal":
            above = log_p.flip(1).logcumsumexp(1).flip(1)[:, 1:]
            below = log_p.logcumsumexp(1)[:, :-1]
            share = wanted.flip(1).cumsum(1).flip(1)[:, 1:]
            terms = -(share * above + (1 - share) * below).mean(1) * weights[target]
        else:
            terms = -(weights * wanted * self._focus(log_p) * log_p).sum(1)
        return terms.sum(), weights[target].sum()

    def _yes_or_no(
        self, logits: Tensor, target: Tensor, weight: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        truth = target.to(logits.dtype)
        no, yes = (None, None) if weight is None else (weight[0], weight[1])
        terms = self._binary(logits, truth, no, yes)
        if no is None or yes is None:
            return terms.sum(), terms.new_tensor(float(terms.numel()))
        return terms.sum(), (no * (1 - truth) + yes * truth).sum()

    def _binary(
        self, logits: Tensor, truth: Tensor, no: Tensor | None, yes: Tensor | None
    ) -> Tensor:
        wanted = truth.to(logits.dtype) * (1 - self.smoothing) + self.smoothing / 2
        log_p, log_not = F.logsigmoid(logits), F.logsigmoid(-logits)
        speaking = wanted * self._focus(log_p) * log_p
        silent = (1 - wanted) * self._focus(log_not) * log_not
        if yes is not None:
            speaking = yes * speaking
        if no is not None:
            silent = no * silent
        return -(speaking + silent)

    def _focus(self, log_p: Tensor) -> Tensor | float:
        """Compute (1 - p)^gamma from log p; a certain answer has gradient zero and not nan."""
        if self.kind != "focal" or self.gamma == 0:
            return 1.0
        rest = (-torch.expm1(log_p)).clamp_min(torch.finfo(log_p.dtype).tiny)
        return rest**self.gamma


def require_task(kind: LossName, task: Task) -> None:
    """Refuse a loss that needs another kind of labels.

    Args:
        kind: The loss.
        task: What the labels of the table mean.

    Raises:
        InputError: If the loss is for ordered classes and the labels have no order.
    """
    if kind == "ordinal" and task is not Task.ORDINAL:
        raise InputError(
            f"loss: ordinal is for classes in order, and the task of this table is {task}; write "
            "`task: ordinal` into its dataset.yaml if its classes have an order, or use another "
            "--loss."
        )
