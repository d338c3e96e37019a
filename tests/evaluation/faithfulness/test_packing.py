from __future__ import annotations

import weakref

import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation.faithfulness.packing import packed_logits


def run(images, count, copies, batch_size, classify=None):
    """Copy s of image n is the image plus s; the classifier gives its sum; sizes are noted."""
    sizes = []

    def default(batch):
        sizes.append(len(batch))
        return batch.flatten(1).sum(1, keepdim=True)

    logits = packed_logits(
        classify or default,
        images,
        count,
        copies,
        batch_size=batch_size,
        prepare=lambda batch: batch[:, :, :1, :1] * 0,
        change=lambda batch, zero, numbers, step: batch + zero + step.view(-1, 1, 1, 1),
    )
    return logits, sizes


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 8, 100])
@pytest.mark.parametrize("loader", [None, 1, 2, 3, 7])
@pytest.mark.parametrize("copies", [1, 3, 4])
def test_every_copy_of_every_image_is_classified_once_in_full_batches(batch_size, loader, copies):
    images = torch.arange(5.0).view(5, 1, 1, 1).mul(100).repeat(1, 1, 2, 2)
    source = images if loader is None else (images[i : i + loader] for i in range(0, 5, loader))
    logits, sizes = run(source, 5, copies, batch_size)
    expected = [[400.0 * n + 4 * s for s in range(copies)] for n in range(5)]
    assert logits[:, :, 0].tolist() == expected
    assert sum(sizes) == 5 * copies
    assert set(sizes[:-1]) <= {batch_size}
    assert len(sizes) == -(-5 * copies // batch_size)


def test_image_numbers_are_those_of_the_whole_set():
    seen = []
    packed_logits(
        lambda batch: batch.flatten(1),
        iter([torch.zeros(2, 1, 1, 1), torch.zeros(3, 1, 1, 1)]),
        5,
        2,
        batch_size=3,
        prepare=lambda batch: batch,
        change=lambda batch, _, numbers, step: seen.append((numbers, step)) or batch,
    )
    assert torch.cat([n for n, _ in seen]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert torch.cat([s for _, s in seen]).tolist() == [0, 1] * 5


def test_images_that_are_done_are_let_go():
    read, alive = [], []

    def loader():
        for number in range(25):
            batch = torch.full((4, 1, 2, 2), float(number))
            read.append(weakref.ref(batch))
            yield batch

    def classify(batch):
        alive.append(sum(reference() is not None for reference in read))
        return batch.flatten(1)

    packed_logits(
        classify,
        loader(),
        100,
        2,
        batch_size=8,
        prepare=lambda batch: batch[:, :, :1, :1],
        change=lambda batch, prepared, numbers, step: batch,
    )
    assert len(alive) == len(read) == 25
    assert max(alive) <= 2


def test_half_precision_logits_come_back_in_float32_and_can_be_differentiated_with():
    logits, _ = run(
        torch.ones(2, 1, 2, 2), 2, 1, 2, lambda batch: batch.flatten(1).sum(1, True).half()
    )
    assert logits.dtype == torch.float32
    assert not logits.is_inference()


def test_no_images_give_no_logits():
    assert run(torch.zeros(0, 1, 2, 2), 0, 3, 4)[0].shape[:2] == (0, 3)


@pytest.mark.parametrize(("given", "count"), [(4, 5), (0, 1)])
def test_too_few_images_are_refused(given, count):
    with pytest.raises(InputError, match=f"{given} images for {count} maps"):
        run(torch.zeros(given, 1, 2, 2), count, 2, 3)


@pytest.mark.parametrize("loader", [1, 4, 6])
def test_too_many_images_are_refused(loader):
    images = torch.zeros(6, 1, 2, 2)
    with pytest.raises(InputError, match="more images than"):
        run((images[i : i + loader] for i in range(0, 6, loader)), 4, 2, 3)


def test_a_batch_size_of_nothing_is_refused():
    with pytest.raises(InputError, match="batch size is 0"):
        run(torch.zeros(1, 1, 2, 2), 1, 2, 0)


@pytest.mark.parametrize(
    "classify",
    [lambda batch: batch, lambda batch: batch.sum().view(1, 1), lambda batch: (batch, batch)],
)
def test_what_gives_no_logits_is_refused(classify):
    with pytest.raises(InputError, match=r"logits of shape \(B, K\)"):
        run(torch.zeros(2, 1, 2, 2), 2, 2, 4, classify)
