import numpy as np
import pytest
import torch
from PIL import Image

from softcam.data.cache import PreparedCache
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.training.augment import Augment
from softcam.training.dataset import EpochSampler, ImageDataset


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    lines = ["image,label,split"]
    for number in range(6):
        pixels = generator.integers(0, 65536, (20, 24)).astype(np.uint16)
        if number % 2:
            pixels = (pixels >> 8).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"{number}.png,{number % 2},{'train' if number < 4 else 'val'}")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return read_table(tmp_path / "table.csv")


PREPROCESSING = Preprocessing(size=(16, 16))


def test_images_are_normalised_tensors_with_their_labels(table):
    data = ImageDataset(table, PREPROCESSING)
    for index in range(6):
        image, label = data[index]
        assert image.shape == (3, 16, 16)
        assert image.dtype == torch.float32
        assert label == index % 2


def test_the_cache_changes_no_number(table):
    kept = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"))
    read_again = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), cache_bytes=0)
    assert kept.nbytes > 0
    assert read_again.nbytes == 0
    for index in range(6):
        assert torch.equal(kept[index][0], read_again[index][0])
        assert torch.equal(kept[(3, index)][0], read_again[(3, index)][0])


def test_a_cache_folder_changes_no_number_and_takes_no_memory(table, tmp_path):
    kept = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"))
    for _ in range(2):
        cache = PreparedCache(tmp_path / "cache", PREPROCESSING)
        mapped = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), cache=cache)
        assert mapped.nbytes == mapped.decoded_each_epoch == 0
        for index in range(6):
            assert torch.equal(kept[index][0], mapped[index][0])
            assert torch.equal(kept[(3, index)][0], mapped[(3, index)][0])


def test_what_does_not_fit_is_counted(table):
    assert ImageDataset(table, PREPROCESSING).decoded_each_epoch == 0
    room = 2 * 16 * 16 * 3 * 2  # two of the three images of 16 bits, and none of the others
    assert ImageDataset(table, PREPROCESSING, cache_bytes=room).decoded_each_epoch == 3


def test_building_over_a_cache_names_every_damaged_image_and_keeps_the_rest(table, tmp_path):
    good = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_text("text")
    with pytest.raises(InputError, match=r"1\.png"):
        ImageDataset(table, PREPROCESSING, cache=PreparedCache(tmp_path / "cache", PREPROCESSING))
    cache = PreparedCache(tmp_path / "cache", PREPROCESSING)
    assert len(cache) == 5
    (tmp_path / "1.png").write_bytes(good)
    assert len(ImageDataset(table, PREPROCESSING, cache=cache)) == 6
    assert len(cache) == 6


def test_progress_counts_every_image(table, tmp_path):
    told = []
    for cache in (None, PreparedCache(tmp_path / "cache", PREPROCESSING)):
        ImageDataset(table, PREPROCESSING, cache=cache, progress=lambda *now: told.append(now))
    assert told == 2 * [(done, 6) for done in range(1, 7)]


def test_augmentation_depends_on_seed_epoch_and_image_alone(table):
    data = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), seed=1)
    again = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), seed=1)
    other = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), seed=2)
    torch.rand(7)  # whatever was drawn before does not matter
    assert torch.equal(data[(2, 1)][0], again[(2, 1)][0])
    assert not torch.equal(data[(2, 1)][0], data[(3, 1)][0])
    assert not torch.equal(data[(2, 1)][0], other[(2, 1)][0])


def test_sixteen_bits_are_kept_through_augmentation(table):
    data = ImageDataset(table, PREPROCESSING, augment=Augment("light"))
    values = data[(0, 0)][0][0].unique()
    assert len(values) > 128  # of 256 pixels; 8 bits could not tell so many apart here


def test_every_damaged_image_is_named(table, tmp_path):
    (tmp_path / "1.png").write_text("text")
    (tmp_path / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(InputError) as caught:
        ImageDataset(table, PREPROCESSING)
    assert "1.png" in str(caught.value)
    assert "3.png" in str(caught.value)


def test_the_order_depends_on_seed_and_epoch(table):
    sampler = EpochSampler(20, seed=3)
    first = list(sampler)
    assert sorted(index for _, index in first) == list(range(20))
    assert first == list(EpochSampler(20, seed=3))
    sampler.set_epoch(1)
    second = list(sampler)
    assert {epoch for epoch, _ in second} == {1}
    assert [i for _, i in first] != [i for _, i in second]
    assert [i for _, i in first] != [i for _, i in EpochSampler(20, seed=4)]


def test_an_image_that_comes_again_in_an_epoch_is_augmented_in_another_way(table):
    data = ImageDataset(table, PREPROCESSING, augment=Augment("fundus"), seed=1)
    first, again, third = (data[place][0] for place in ((2, 0), (2, 0, 1), (2, 0, 2)))
    assert torch.equal(first, data[(2, 0)][0])
    assert not torch.equal(first, again)
    assert not torch.equal(again, third)
