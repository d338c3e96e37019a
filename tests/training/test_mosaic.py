import collections

import numpy as np
import pytest
import torch

from softcam.training.mosaic import Mosaic, choose_mosaic


def slow_means(maps, n, size):
    """Tile means on a grid so fine that every border of tiles and of cells is a grid line."""
    height, width = size
    fine = maps.repeat_interleave(height, dim=2).repeat_interleave(width, dim=3)
    rows = [i * height // n * maps.shape[2] for i in range(n + 1)]
    columns = [i * width // n * maps.shape[3] for i in range(n + 1)]
    tiles = [
        fine[m, :, rows[i] : rows[i + 1], columns[j] : columns[j + 1]].mean((1, 2))
        for m in range(len(maps))
        for i in range(n)
        for j in range(n)
    ]
    return torch.stack(tiles)


@pytest.mark.parametrize(
    ("n", "cells", "size"),
    [
        (2, (4, 4), (64, 64)),  # borders of tiles are borders of cells
        (4, (8, 4), (64, 32)),
        (2, (7, 7), (28, 28)),  # they cut cells
        (4, (7, 7), (28, 28)),
        (3, (7, 5), (50, 41)),  # and do not divide the pixels either
        (4, (5, 9), (19, 34)),
    ],
)
def test_tile_means_agree_with_a_slow_reference(n, cells, size):
    maps = torch.randn(2, 3, *cells, dtype=torch.float64)
    mosaic = Mosaic(n, tuple(range(2 * n * n)))
    torch.testing.assert_close(mosaic.means(maps, size), slow_means(maps, n, size))
    single = mosaic.means(maps.float(), size)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), slow_means(maps, n, size), atol=1e-6, rtol=1e-5)


def test_tile_means_stay_single_precision_under_autocast():
    maps = torch.randn(2, 3, 7, 7)
    mosaic = Mosaic(2, tuple(range(8)))
    with torch.autocast("cpu", torch.bfloat16):
        found = mosaic.means(maps, (224, 224))
    assert torch.equal(found, mosaic.means(maps, (224, 224)))


def test_tile_means_have_the_gradients_of_finite_differences():
    maps = torch.randn(1, 2, 3, 5, dtype=torch.float64, requires_grad=True)
    mosaic = Mosaic(2, (0, 1, 2, 3))
    assert torch.autograd.gradcheck(lambda a: mosaic.means(a, (33, 20)), maps)


def test_the_mean_of_a_mosaics_tiles_is_its_logit():
    maps = torch.randn(2, 3, 7, 7, dtype=torch.float64)
    tiles = Mosaic(4, tuple(range(32))).means(maps, (64, 64))
    torch.testing.assert_close(tiles.reshape(2, 16, 3).mean(1), maps.mean((2, 3)))


@pytest.mark.parametrize("n", [2, 4])
def test_tiles_are_area_means_of_their_images(n):
    images = torch.randn(5, 3, 8, 16)
    mosaic = choose_mosaic(5, [n], 1.0, seed=0, epoch=0, step=0)
    laid = mosaic.images(images)
    assert laid.shape == (mosaic.count, 3, 8, 16)
    height, width = 8 // n, 16 // n
    for place, image in enumerate(mosaic.order):
        m, i, j = np.unravel_index(place, (mosaic.count, n, n))
        tile = laid[m, :, i * height : (i + 1) * height, j * width : (j + 1) * width]
        expected = images[image].reshape(3, height, n, width, n).mean((2, 4))
        torch.testing.assert_close(tile, expected)


def test_tiles_fill_a_mosaic_whose_size_they_do_not_divide():
    images = torch.arange(1.0, 10).reshape(9, 1, 1, 1).expand(9, 2, 50, 41)
    laid = Mosaic(3, tuple(range(9))).images(images)
    assert laid.shape == (1, 2, 50, 41)
    for place in range(9):
        i, j = divmod(place, 3)
        tile = laid[..., i * 50 // 3 : (i + 1) * 50 // 3, j * 41 // 3 : (j + 1) * 41 // 3]
        torch.testing.assert_close(tile, torch.full_like(tile, place + 1.0))


def test_reducing_by_no_whole_number_is_free_of_aliasing():
    stripes = (torch.arange(50) % 2).float().reshape(1, 1, 50, 1).expand(1, 1, 50, 50)
    laid = Mosaic(3, (0,) * 9).images(stripes)
    assert laid.min() > 0.3
    assert laid.max() < 0.7


def test_labels_follow_their_tiles():
    order = (2, 0, 1, 2)
    assert Mosaic(2, order).labels(torch.tensor([5, 6, 7])).tolist() == [7, 5, 6, 7]
    many = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert torch.equal(Mosaic(2, order).labels(many), many[list(order)])


def test_a_model_of_one_cell_per_tile_gets_each_images_own_logits():
    images = torch.randn(8, 3, 16, 16)
    mosaic = choose_mosaic(8, [2], 1.0, seed=1, epoch=0, step=0)
    maps = torch.nn.functional.avg_pool2d(mosaic.images(images), 4)  # affine in the pixels
    found = mosaic.means(maps, (16, 16))
    torch.testing.assert_close(found, images.mean((2, 3))[list(mosaic.order)])


@pytest.mark.parametrize("images", [1, 3, 4, 5, 16, 17])
@pytest.mark.parametrize("n", [2, 4])
def test_every_image_stands_in_a_tile_and_as_few_as_can_be_stand_twice(images, n):
    for step in range(20):
        mosaic = choose_mosaic(images, [n], 1.0, seed=3, epoch=2, step=step)
        assert mosaic.count == -(-images // n**2)
        counts = collections.Counter(mosaic.order)
        assert set(counts) == set(range(images))
        assert max(counts.values()) - min(counts.values()) <= 1


def test_the_choice_depends_on_the_place_in_the_run_alone():
    def choices(seed, epoch):
        return [
            choose_mosaic(7, [2, 4], 0.5, seed=seed, epoch=epoch, step=step) for step in range(30)
        ]

    state = torch.get_rng_state()
    first = choices(0, 0)
    torch.rand(3)
    np.random.rand(3)
    assert choices(0, 0) == first
    assert choices(0, 1) != first
    assert choices(1, 0) != first
    torch.set_rng_state(state)


def test_shares_and_scales_are_drawn_as_asked():
    found = [choose_mosaic(4, [2, 4], 0.4, seed=0, epoch=0, step=step) for step in range(2000)]
    scales = collections.Counter(None if item is None else item.scale for item in found)
    assert 1120 < scales[None] < 1280
    assert 340 < scales[2] < 460
    assert set(scales) == {None, 2, 4}


def test_no_scales_give_no_mosaics():
    assert choose_mosaic(4, [], 1.0, seed=0, epoch=0, step=0) is None
