import os
import random

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.data.cache import PreparedCache
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.training.augment import Augment
from softcam.training.dataset import EpochSampler, ImageDataset
from softcam.training.loaders import choose_workers, make_loader, own_images
from softcam.training.processes import Processes

PREPROCESSING = Preprocessing((16, 16))


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    lines = ["image,label,split"]
    for number in range(10):
        pixels = generator.integers(0, 256, (20, 24, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},train")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return read_table(tmp_path / "table.csv")


def epochs(data, workers, chosen):
    sampler = EpochSampler(len(data), 3)
    loader = make_loader(data, sampler, batch_size=4, seed=3, workers=workers)
    batches = []
    for epoch in chosen:
        sampler.set_epoch(epoch)
        batches += [(images.numpy().tobytes(), labels.tolist()) for images, labels in loader]
    return batches


@pytest.mark.parametrize("where", ["memory", "folder", "nowhere"])
def test_batches_are_byte_identical_for_any_number_of_workers_and_after_resuming(
    where, table, tmp_path
):
    kept = {"cache": PreparedCache(tmp_path / "cache", PREPROCESSING)}
    more = {"memory": {}, "folder": kept, "nowhere": {"cache_bytes": 0}}[where]
    data = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), seed=3, **more)
    alone = epochs(data, 0, [0, 1])
    assert len(alone) == 6
    assert alone[:3] != alone[3:]
    torch.rand(5)  # what was drawn before does not matter
    assert epochs(data, 1, [0, 1]) == alone
    assert epochs(data, 2, [0, 1]) == alone
    assert epochs(data, 2, [1]) == alone[3:]


def test_loading_draws_nothing_from_the_global_generator(table):
    data = ImageDataset(table, PREPROCESSING, augment=Augment("light"))
    before = torch.get_rng_state()
    epochs(data, 0, [0])
    assert torch.equal(torch.get_rng_state(), before)


class _Drawn(ImageDataset):
    """What the global generators give in a worker, for images."""

    def prepared(self, place):
        draws = random.random(), float(np.random.rand()), float(torch.rand(()))
        return np.full((1, 1, 3), draws, np.float32), torch.tensor(os.getpid())


def test_the_generators_of_workers_are_seeded_by_the_run_and_the_worker(table):
    def drawn(seed):
        data = _Drawn(table, PREPROCESSING)
        batches = list(make_loader(data, None, batch_size=5, seed=seed, workers=2))
        assert len({int(process) for _, labels in batches for process in labels}) == 2
        return torch.cat([images for images, _ in batches]).flatten().tolist()

    assert drawn(1) == drawn(1)
    assert len({*drawn(1), *drawn(2)}) == 2 * 10 * 3


def test_a_batch_is_its_images(table):
    data = ImageDataset(table, PREPROCESSING)
    for workers in (0, 2):
        batches = list(make_loader(data, None, batch_size=4, seed=0, workers=workers))
        images, labels = (torch.cat(parts) for parts in zip(*batches, strict=True))
        assert torch.equal(images, torch.stack([image for image, _ in data]))
        assert torch.equal(labels, data.labels)


def test_workers_are_for_gpus_and_for_images_that_must_be_decoded():
    assert choose_workers("cpu", 0) == 0
    assert 1 <= choose_workers("cpu", 5) <= 2
    assert 1 <= choose_workers("cuda", 0) <= 8


@pytest.mark.parametrize(("count", "world"), [(7, 2), (8, 2), (1, 3), (5, 3)])
def test_validation_images_are_divided_without_loss_and_as_many_to_each(count, world):
    parts = [own_images(count, Processes(rank, world)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    # In turns, and cut off at the end, they are all in the order of the table.
    turns = [image for turn in zip(*parts, strict=True) for image in turn]
    assert turns[:count] == list(range(count))
