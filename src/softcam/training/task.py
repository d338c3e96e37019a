"""The Lightning task: one step of training and validation for a SoftCAM or a black box."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from softcam.errors import WorkError
from softcam.evidence.info import Task
from softcam.evidence.output import Output
from softcam.evidence.penalty import ElasticNet
from softcam.training.config import TrainConfig
from softcam.training.losses import ClassificationLoss
from softcam.training.monitor import validation_auc
from softcam.training.schedule import cosine_with_floor, make_optimizer
from softcam.training.seeds import STEP, derive


class ClassificationTask(lightning.LightningModule):
    """Trains a model on labelled images and watches its validation AUC.

    Args:
        model: Returns an `Output` (a SoftCAM), or logits (a black box, which has no maps and so
            no penalty).
        config: Loss, optimizer, schedule and seed.
        task: What the labels mean.
        class_weights: Weights of the classes in the loss, as `classification_loss` takes them.
        steps: Number of optimizer steps of the whole run.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        task: Task,
        class_weights: Tensor | None,
        steps: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.task = task
        self.steps = steps
        self.loss = ClassificationLoss(config.loss, config.label_smoothing, config.focal_gamma)
        self.penalty = ElasticNet(config.l1, config.l2)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self._answers: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give logits (B, K), and the evidence where the model has it."""
        result: Output | Tensor = self.model(x)
        if isinstance(result, Output):
            return result.logits, result.evidence
        return result.float(), None

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by place, so that a resumed run draws what an unbroken one draws."""
        torch.manual_seed(derive(self.config.seed, STEP, self.current_epoch, batch_idx))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of one batch."""
        images, target = batch
        logits, evidence = self(images)
        weight = self.class_weights if isinstance(self.class_weights, Tensor) else None
        loss = self.loss(logits, target, weight)
        if evidence is not None and (self.config.l1 or self.config.l2):
            penalty = self.penalty(evidence)
            self.log("train_penalty", penalty, on_step=False, on_epoch=True)
            loss = loss + penalty
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(images))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Forget the last epoch's answers."""
        self._answers = []

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Collect the logits of one batch."""
        images, target = batch
        logits, _ = self(images)
        self._answers.append((logits.float(), target))

    def on_validation_epoch_end(self) -> None:
        """Log loss and AUC over the whole validation set."""
        logits, labels = self.validation_answers()
        weight = self.class_weights if isinstance(self.class_weights, Tensor) else None
        loss = self.loss(logits, labels, weight)
        auc = validation_auc(logits, labels, self.task)
        if not torch.isfinite(loss):
            raise WorkError(
                f"training diverged in epoch {self.current_epoch + 1}: the validation loss is "
                f"{float(loss)}; use a lower --lr (it was {self.config.learning_rate():g})."
            )
        self.log("val_loss", loss)
        self.log("val_auc", auc)
        # Labels never change within a run, so a run compares like with like all along.
        self.log("val_score", auc if auc == auc else -float(loss))

    def validation_answers(self) -> tuple[Tensor, Tensor]:
        """Give the logits and labels of the last validation.

        Returns:
            Logits of shape (N, K) and the labels.
        """
        logits = torch.cat([item[0] for item in self._answers])
        labels = torch.cat([item[1] for item in self._answers])
        return logits, labels

    def configure_optimizers(self) -> Any:
        """Build the optimizer and its schedule, stepped once a batch."""
        optimizer = make_optimizer(self.model, self.config)
        factor = cosine_with_floor(
            self.steps,
            warmup=self.config.warmup,
            peak=self.config.learning_rate(),
            floor=self.config.floor(),
        )
        schedule = {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}
        return {"optimizer": optimizer, "lr_scheduler": schedule}
