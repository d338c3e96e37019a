import torch

from softcam.training.seeds import ORDER, SAMPLE, derive, seed_torch


def test_a_place_has_one_seed_and_other_places_have_others():
    seeds = {
        derive(seed, purpose, epoch, index)
        for seed in (0, 1)
        for purpose in (ORDER, SAMPLE)
        for epoch in range(3)
        for index in range(5)
    }
    assert len(seeds) == 60
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive(1, SAMPLE, 2, 3) == derive(1, SAMPLE, 2, 3)


def test_torch_is_seeded_as_by_its_own_function():
    for seed in (0, 7, derive(3, 1, 4)):
        torch.manual_seed(seed)
        expected = torch.rand(3)
        torch.rand(5)
        seed_torch(seed)
        assert torch.equal(torch.rand(3), expected)
