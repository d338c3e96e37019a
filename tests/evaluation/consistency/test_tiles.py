from __future__ import annotations

import math

import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation.consistency.tiles import tile_game, tile_share


def flat_images(*values):
    """Images of one colour, which resizing does not change."""
    return torch.stack([torch.full((2, 8, 12), float(value)) for value in values])


def test_a_mosaic_has_the_diseased_image_in_its_tile_and_three_healthy_ones_around():
    game = tile_game(flat_images(*range(100, 140)), flat_images(*range(6)))
    assert game.images.shape == (40, 2, 8, 12)
    for row in range(40):
        quarters = [game.images[row][:, y : y + 4, x : x + 6] for y in (0, 4) for x in (0, 6)]
        assert all(quarter.amax() - quarter.amin() < 1e-4 for quarter in quarters)
        colours = [round(quarter.mean().item(), 3) for quarter in quarters]
        assert colours.pop(int(game.tile[row])) == pytest.approx(100 + row)
        assert colours == pytest.approx(game.healthy[row].tolist(), abs=1e-5)
        assert len(set(colours)) == 3
    assert set(game.tile.tolist()) == {0, 1, 2, 3}


def test_the_seed_decides_the_game():
    diseased, healthy = torch.rand(9, 1, 4, 4), torch.rand(7, 1, 4, 4)
    one, again, other = (tile_game(diseased, healthy, seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.tile, again.tile)
    assert not torch.equal(one.images, other.images)
    assert tile_game(diseased[:0], healthy).images.shape == (0, 1, 4, 4)


def test_evidence_is_counted_in_the_tile_where_it_lies():
    maps = torch.zeros(4, 6, 6)
    maps[:, 0, 0], maps[:, 5, 5], maps[:, 0, 5] = 3.0, 1.0, -8.0
    found = tile_share(maps, torch.arange(4))
    assert found.tolist() == [0.75, 0, 0, 0.25]


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 7), (1, 1), (7, 2)])
def test_shares_agree_with_the_map_drawn_at_twice_the_size(height, width):
    maps = torch.randn(3, height, width, dtype=torch.float64)
    maps[:, 0, 0] = 1
    fine = maps.clamp_min(0).repeat_interleave(2, 1).repeat_interleave(2, 2)
    for tile in range(4):
        rows = slice(0, height) if tile < 2 else slice(height, None)
        columns = slice(0, width) if tile % 2 == 0 else slice(width, None)
        expected = fine[:, rows, columns].sum((1, 2)) / fine.sum((1, 2))
        torch.testing.assert_close(tile_share(maps, torch.full((3,), tile)), expected)


def test_a_uniform_map_has_a_quarter_and_one_without_evidence_is_undefined():
    maps = torch.stack([torch.full((7, 7), 0.2), -torch.ones(7, 7)])
    found = tile_share(maps, torch.tensor([2, 2]))
    assert found.tolist() == pytest.approx([0.25, math.nan], abs=1e-12, nan_ok=True)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="even H and W"):
        tile_game(torch.rand(1, 1, 5, 4), torch.rand(3, 1, 5, 4))
    with pytest.raises(InputError, match="even H and W"):
        tile_game(torch.rand(1, 1, 4, 4), torch.rand(3, 3, 4, 4))
    with pytest.raises(InputError, match="2 healthy images"):
        tile_game(torch.rand(1, 1, 4, 4), torch.rand(2, 1, 4, 4))
    with pytest.raises(InputError, match="numbered 0 to 3"):
        tile_share(torch.rand(1, 4, 4), torch.tensor([4]))
    with pytest.raises(InputError, match=r"give \(N, h, w\)"):
        tile_share(torch.rand(2, 4, 4), torch.tensor([0]))
    with pytest.raises(InputError, match="for image 0 "):
        tile_share(torch.full((1, 4, 4), math.nan), torch.tensor([0]))
