"""The Lightning task: one step of training and validation for a SoftCAM or a black box."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from softcam.errors import WorkError
from softcam.evidence.info import Task
from softcam.evidence.model import SoftCAM
from softcam.evidence.output import Output
from softcam.training.batches import Shares
from softcam.training.config import TrainConfig
from softcam.training.losses import ClassificationLoss
from softcam.training.means import EpochMeans
from softcam.training.monitor import validation_auc
from softcam.training.processes import Processes
from softcam.training.schedule import cosine_with_floor, make_optimizer, rising
from softcam.training.seeds import STEP, derive, seed_torch
from softcam.training.shaping import Shaping

_EARLY = 1e3
"""What puts the score of epochs that end during the warm-up below every other one."""


class ClassificationTask(lightning.LightningModule):
    """Trains a model on labelled images and watches its validation AUC.

    Args:
        model: Returns an `Output` (a SoftCAM), or logits (a black box, which has no maps and so
            no penalty).
        config: Loss, optimizer, schedule and seed.
        task: What the labels mean.
        class_weights: Weights of the classes in the loss, as `classification_loss` takes them.
        steps: Number of optimizer steps of the whole run.
        shares: What micro-batches of a step count; None where a step is one batch.
        processes: Over which the images are divided.
        val_images: Number of validation images in all processes; None where there is one.
    """

    def __init__(
        self,
        model: nn.Module,
        config: TrainConfig,
        task: Task,
        class_weights: Tensor | None,
        steps: int,
        *,
        shares: Shares | None = None,
        processes: Processes | None = None,
        val_images: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.task = task
        self.steps = steps
        self.loss = ClassificationLoss(config.loss, config.label_smoothing, config.focal_gamma)
        self.shaping = Shaping(config, model, steps)
        self.register_buffer("class_weights", class_weights, persistent=False)
        self.shares = shares
        self.processes = processes or Processes()
        self.val_images = val_images
        self.means = EpochMeans(self.processes)
        self._answers: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give logits (B, K), and the evidence where the model has it."""
        result: Output | Tensor = self.model(x)
        if isinstance(result, Output):
            return result.logits, result.evidence
        return result if result.dtype == torch.float64 else result.float(), None

    def _with_plain(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Give logits and evidence, and the plain logits (B, K) where the loss asks for them."""
        config = self.config
        if not config.concentration or not isinstance(self.model, SoftCAM):
            return *self(x), None
        risen = rising(self.global_step, self.steps, config.concentration_warmup)
        output, plain = self.model.forward_with_plain(x, sharpness=risen * config.concentration)
        return output.logits, output.evidence, plain if config.plain_loss else None

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed dropout by place, so that a resumed run draws what an unbroken one draws."""
        number = batch_idx if self.shares is None else self.shares.batches.number(batch_idx)
        seed_torch(derive(self.config.seed, STEP, self.current_epoch, number))

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the loss of one batch, times what the batch counts in its optimizer step."""
        images, target = batch
        share, image_share = 1.0, 1.0
        number = batch_idx
        if self.shares is not None:
            share, image_share = self.shares(self.current_epoch, batch_idx)
            number = self.shares.batches.number(batch_idx)
        count, place = len(images), (self.current_epoch, number)
        mosaic = self.shaping.mosaic(count, *place)
        if mosaic is not None:
            images, target = mosaic.images(images), mosaic.labels(target)
        logits, evidence, plain = self._with_plain(images)
        if mosaic is not None and evidence is not None:
            logits = mosaic.means(evidence, images.shape[2:])
        weight = self.class_weights if isinstance(self.class_weights, Tensor) else None
        loss = share * self.loss(logits, target, weight)
        if plain is not None:
            also = share * self.loss(plain, target, weight)
            loss = loss + self.config.plain_loss * also
        if evidence is not None:
            penalty = self.shaping.terms(
                evidence,
                target,
                self.global_step,
                mosaic=mosaic,
                size=images.shape[2:],
                mirrored=lambda axes: self(images.flip(axes))[1],
                place=place,
            )
            if penalty is not None:
                self.means.add("train_penalty", penalty, count)
                loss = loss + image_share * penalty
        self.means.add("train_loss", loss / image_share, count)
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
        score = auc if auc == auc else -float(loss)
        share = self.config.concentration_warmup if isinstance(self.model, SoftCAM) else 0.0
        risen = rising(self.global_step, self.steps, share)
        # Before it has risen, maps are not what they will be: any later epoch is better.
        self.log("val_score", score if risen >= 1 else risen - _EARLY)

    def validation_answers(self) -> tuple[Tensor, Tensor]:
        """Give the logits and labels of the last validation.

        Returns:
            Logits of shape (N, K) and the labels, of all processes' images in the table's order.
        """
        logits = torch.cat([item[0] for item in self._answers])
        labels = torch.cat([item[1] for item in self._answers])
        if not self.processes.several:
            return logits, labels
        # Process r has images r, r + processes, ...; what fills up the last round is cut off.
        logits, labels = (
            self.processes.gather(part).transpose(0, 1).flatten(0, 1)[: self.val_images]
            for part in (logits, labels)
        )
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
