import os
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

from softcam.data.cache import PreparedCache
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.evidence.info import Task
from softcam.training.augment import Augment
from softcam.training.dataset import EpochSampler, ImageDataset
from softcam.training.loop import choose_workers, class_weights, make_loader

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


class _Drawn(Dataset):
    """What the global generators give in a worker."""

    def __len__(self):
        return 2

    def __getitem__(self, place):
        draws = random.random(), float(np.random.rand()), float(torch.rand(()))
        return torch.tensor(draws), os.getpid()


def test_the_generators_of_workers_are_seeded_by_the_run_and_the_worker():
    def drawn(seed):
        loader = make_loader(_Drawn(), None, batch_size=1, seed=seed, workers=2)
        (one, first), (other, second) = loader
        assert first != second
        return [*one[0].tolist(), *other[0].tolist()]

    assert drawn(1) == drawn(1)
    assert len({*drawn(1), *drawn(2)}) == 12


def test_workers_are_for_gpus_and_for_images_that_must_be_decoded():
    assert choose_workers("cpu", 0) == 0
    assert 1 <= choose_workers("cpu", 5) <= 2
    assert 1 <= choose_workers("cuda", 0) <= 8


def test_balanced_weights_are_inverse_to_the_frequencies():
    labels = torch.tensor([0, 0, 0, 1])
    found = class_weights(labels, Task.BINARY, 2, "balanced")
    torch.testing.assert_close(found, torch.tensor([4 / 6, 4 / 2]))
    one_logit = class_weights(labels, Task.BINARY, 1, "balanced")
    torch.testing.assert_close(one_logit, found)


def test_multilabel_weights_are_negatives_over_positives():
    nan = float("nan")
    labels = torch.tensor([[1.0, 0.0], [0.0, nan], [0.0, 1.0], [nan, 1.0]])
    found = class_weights(labels, Task.MULTILABEL, 2, "balanced")
    torch.testing.assert_close(found, torch.tensor([2.0, 0.5]))


def test_no_rule_gives_no_weights():
    assert class_weights(torch.tensor([0, 1]), Task.BINARY, 2, "none") is None
