import numpy as np
import pytest
import torch

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.evidence.loss import classification_loss
from softcam.training.batches import Shares, StepBatches, loss_weights
from softcam.training.dataset import EpochSampler

LAYOUTS = [(1, 4), (2, 2), (4, 1)]


def batches(size, batch, accumulate=1, rank=0, world=1):
    sampler = EpochSampler(size, 3)
    return StepBatches(sampler, batch, accumulate=accumulate, rank=rank, world=world)


def micro_batches(size, batch, accumulate, world, epoch=0):
    """By optimizer step, the images of every micro-batch in order."""
    parts = []
    for rank in range(world):
        own = batches(size, batch, accumulate, rank, world)
        own.sampler.set_epoch(epoch)
        parts.append(list(own))
        assert len(parts[-1]) == len(own)
    rounds = list(zip(*parts, strict=True))  # a round is one batch of each process
    steps = [rounds[i : i + accumulate] for i in range(0, len(rounds), accumulate)]
    return [[batch for turn in step for batch in turn] for step in steps]


@pytest.mark.parametrize("size", [12, 13, 14, 15, 16, 17])
def test_alone_the_batches_are_those_of_an_ordinary_loader_but_for_a_single_last_image(size):
    own = batches(size, 4)
    own.sampler.set_epoch(2)
    order = list(own.sampler)
    expected = [order[i : i + 4] for i in range(0, size, 4)]
    assert list(own) == (expected[:-1] if len(expected[-1]) == 1 else expected)


def test_processes_see_in_a_step_what_one_sees_that_accumulates():
    expected = micro_batches(46, 3, 4, 1)
    assert [len(step) for step in expected] == [4] * 4
    for world, accumulate in LAYOUTS:
        assert micro_batches(46, 3, accumulate, world) == expected
    assert micro_batches(46, 3, 1, 4, epoch=1) != expected


def test_every_image_is_seen_once_where_the_last_step_is_big_enough():
    for size, seen in ((48, 48), (56, 56), (57, 57), (55, 48), (49, 48)):
        steps = micro_batches(size, 3, 2, 2)
        images = [index for step in steps for micro in step for _, index in micro]
        assert len(images) == len(set(images)) == seen
        sizes = [len(micro) for step in steps for micro in step]
        assert min(sizes) >= 2
        assert max(sizes) == 3


def test_too_few_images_for_a_step_are_refused():
    with pytest.raises(InputError, match=r"7 images are too few for 4 micro-batches .* need 8"):
        batches(7, 3, 2, 0, 2)
    assert len(batches(8, 3, 2, 0, 2)) == 2


def test_a_resumed_epoch_leaves_out_what_was_seen_and_the_next_one_nothing():
    own = batches(50, 3, 2, 1, 2)
    whole = list(own)
    own.skip = 5
    assert list(own) == whole[5:]
    assert len(own) == len(whole)
    assert list(own) == whole


def test_micro_batches_are_numbered_through_all_processes():
    for world, accumulate in LAYOUTS:
        numbers = {
            batches(50, 3, accumulate, rank, world).number(batch)
            for rank in range(world)
            for batch in range(2 * accumulate)
        }
        assert numbers == set(range(8))


def _labels(task, count):
    if task is not Task.MULTILABEL:
        return torch.randint(0, 3 if task is Task.MULTICLASS else 2, (count,))
    labels = torch.randint(0, 2, (count, 3)).double()
    labels[torch.rand(count, 3) < 0.4] = float("nan")
    labels[::5] = float("nan")  # images of which nothing is known
    return labels


@pytest.mark.parametrize(
    ("task", "outputs"),
    [(Task.MULTICLASS, 3), (Task.BINARY, 2), (Task.BINARY, 1), (Task.MULTILABEL, 3)],
)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("world", "accumulate"), LAYOUTS)
def test_the_gradient_of_a_step_is_that_of_one_big_batch(
    task, outputs, weighted, world, accumulate
):
    labels = _labels(task, 22)  # the last step is smaller, and uneven
    weights = None
    if weighted:
        weights = torch.rand(3 if task in (Task.MULTICLASS, Task.MULTILABEL) else 2) + 0.2
        weights = weights.double()
    inputs = torch.randn(22, 5, dtype=torch.float64)
    layer = torch.randn(5, outputs, dtype=torch.float64, requires_grad=True)

    def both(images):
        logits = inputs[images] @ layer
        return classification_loss(logits, labels[images], weights), logits.square().mean()

    own = [batches(22, 3, accumulate, rank, world) for rank in range(world)]
    shares = [Shares(one, loss_weights(labels, task, weights)) for one in own]
    assert own[0].steps == 2
    for step in range(2):
        images = own[0].step(0, step * accumulate)
        loss, penalty = both(torch.from_numpy(images))
        (expected,) = torch.autograd.grad(loss + 0.1 * penalty, layer)
        total = torch.zeros_like(layer)
        for batch in range(step * accumulate, (step + 1) * accumulate):
            for one, share in zip(own, shares, strict=True):
                factor, image_factor = share(0, batch)
                loss, penalty = both(torch.from_numpy(one.indices(0, batch)))
                scaled = factor * loss + image_factor * 0.1 * penalty
                # Lightning divides by the accumulated batches, DDP by the processes.
                total += torch.autograd.grad(scaled / accumulate, layer)[0] / world
        torch.testing.assert_close(total, expected)


def test_a_step_of_which_nothing_is_known_counts_nothing():
    own = batches(8, 2, 2)
    shares = Shares(own, torch.zeros(8))
    assert shares(0, 1) == (0.0, 1.0)


def test_alone_a_batch_counts_exactly_one():
    shares = Shares(batches(10, 4), torch.from_numpy(np.random.default_rng(0).random(10)))
    assert [shares(0, batch) for batch in range(3)] == [(1.0, 1.0)] * 3
