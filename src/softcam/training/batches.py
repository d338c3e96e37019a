"""Which images each process sees in which step, and what share of the step's loss they carry."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Sampler

from softcam.errors import InputError
from softcam.evidence.info import Task

_Places = list[tuple[int, ...]]


class Order(Protocol):
    """An epoch's order of images, as `softcam.training.dataset.EpochSampler` gives it."""

    epoch: int

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch."""

    def __len__(self) -> int:
        """Give the number of images in an epoch."""

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        """Give (epoch, index) of each image, and its turn if it came before."""


class StepBatches(Sampler[_Places]):
    """The batches of one process, cut from an order that all processes share.

    An optimizer step takes the next `batch_size x accumulate x processes` images of the order, in
    micro-batches numbered from 0; micro-batch m is the (m // processes)-th of process
    m % processes. So two processes see in a step what one process sees that accumulates twice,
    and any process knows, without asking, every image of the step.

    What is left at an epoch's end is a smaller step, shared evenly over all its micro-batches;
    it is left out where one of these would have a single image (which is of no use to batch
    normalisation). With one process and no accumulation that is an ordinary last batch.

    Args:
        sampler: The order.
        batch_size: Images in a micro-batch.
        accumulate: Micro-batches of one process in an optimizer step.
        rank: The process's number.
        world: The number of processes.

    Raises:
        InputError: If the images do not fill one step.
    """

    def __init__(
        self,
        sampler: Order,
        batch_size: int,
        *,
        accumulate: int = 1,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.sampler = sampler
        self.batch_size = batch_size
        self.accumulate = accumulate
        self.rank = rank
        self.world = world
        self.skip = 0
        """Batches that the next epoch to be iterated leaves out, since they were seen."""
        self._orders: dict[int, npt.NDArray[np.int64]] = {}
        self._places: _Places = []
        if not self.steps:
            raise InputError(
                f"training: {len(sampler)} images are too few for {self.micro_batches} "
                f"micro-batches in a step (accumulate {accumulate} x {world} processes), which "
                f"need {self._least()}; lower --accumulate or start fewer processes."
            )

    @property
    def micro_batches(self) -> int:
        """Micro-batches of all processes in a step."""
        return self.accumulate * self.world

    @property
    def steps(self) -> int:
        """Optimizer steps in an epoch."""
        whole, left = divmod(len(self.sampler), self.batch_size * self.micro_batches)
        return whole + (left >= self._least())

    def _least(self) -> int:
        """Give the fewest images of a step."""
        return 2 * self.micro_batches if self.batch_size > 1 else self.micro_batches

    def __len__(self) -> int:
        return self.steps * self.accumulate

    def __iter__(self) -> Iterator[_Places]:
        """Give this process's batches of the current epoch, as the order gives the places."""
        first, self.skip = self.skip, 0
        epoch = self.sampler.epoch
        for batch in range(first, len(self)):
            self._order(epoch)
            yield [self._places[place] for place in self._where(batch)]

    def indices(self, epoch: int, batch: int) -> npt.NDArray[np.int64]:
        """Give the images of one of this process's batches.

        Args:
            epoch: The epoch, from 0.
            batch: The batch's number in the epoch, from 0.

        Returns:
            Their numbers, shape (B,).
        """
        return self._order(epoch)[self._where(batch)]

    def step(self, epoch: int, batch: int) -> npt.NDArray[np.int64]:
        """Give the images of the optimizer step that a batch belongs to.

        Args:
            epoch: The epoch, from 0.
            batch: The number of one of this process's batches in the epoch, from 0.

        Returns:
            Their numbers in all processes and micro-batches.
        """
        size = self.batch_size * self.micro_batches
        start = batch // self.accumulate * size
        return self._order(epoch)[start : start + size]

    def number(self, batch: int) -> int:
        """Number a batch among those of all processes, so that it can be told from each.

        Args:
            batch: The number of one of this process's batches in the epoch, from 0.

        Returns:
            Its number among all micro-batches of the epoch.
        """
        return batch * self.world + self.rank

    def _where(self, batch: int) -> npt.NDArray[np.int64]:
        """Give the places in the order that one of this process's batches takes."""
        micro = batch % self.accumulate * self.world + self.rank
        size = self.batch_size * self.micro_batches
        start = batch // self.accumulate * size
        step = np.arange(start, min(start + size, len(self.sampler)))
        return np.array_split(step, self.micro_batches)[micro]

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if epoch not in self._orders:
            current = self.sampler.epoch
            self.sampler.set_epoch(epoch)
            self._places = list(self.sampler)
            order = np.fromiter((place[1] for place in self._places), np.int64)
            self.sampler.set_epoch(current)
            self._orders = {epoch: order}
        return self._orders[epoch]


class Shares:
    """How much of its step's loss a micro-batch carries, so that the sum is one big batch's loss.

    A weighted mean over a step is not the mean of its micro-batches' weighted means: each has to
    count by its own sum of weights. The factor is

        (micro-batches in the step) x (weights in the micro-batch) / (weights in the step)

    since Lightning divides by the micro-batches that it accumulates and DDP by the processes.

    Args:
        batches: Which images are in which step.
        weights: Weight of each image in the loss's denominator, shape (N,); see `loss_weights`.
    """

    def __init__(self, batches: StepBatches, weights: Tensor) -> None:
        self.batches = batches
        self.weights = weights.double().numpy()

    def __call__(self, epoch: int, batch: int) -> tuple[float, float]:
        """Give the factors of one of this process's batches.

        Args:
            epoch: The epoch, from 0.
            batch: The batch's number in the epoch, from 0.

        Returns:
            Factor of the classification loss, and of what is a mean over images (the penalty).
        """
        count = self.batches.micro_batches
        if count == 1:
            return 1.0, 1.0
        own, step = self.batches.indices(epoch, batch), self.batches.step(epoch, batch)
        total = float(self.weights[step].sum())
        loss = count * float(self.weights[own].sum()) / total if total else 0.0
        return loss, count * len(own) / len(step)


def loss_weights(labels: Tensor, task: Task, class_weights: Tensor | None) -> Tensor:
    """Weigh images as the denominator of `classification_loss` does.

    Args:
        labels: Class indices (N,), or 0/1/NaN of shape (N, C) for multi-label.
        task: What the labels mean.
        class_weights: As `classification_loss` takes them.

    Returns:
        Shape (N,): the class's weight, or the number of known labels.
    """
    if task is Task.MULTILABEL:
        return (~labels.isnan()).sum(1).double()
    if class_weights is None:
        return torch.ones(len(labels), dtype=torch.float64)
    return class_weights.double()[labels.long()]
