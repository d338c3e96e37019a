import pytest
import torch

from softcam.training.augment import Augment

RECIPES = ("light", "fundus", "oct", "chest")


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_seed_decides_the_change(recipe, dtype):
    image = torch.rand(3, 32, 40)
    image = (image * 255).to(torch.uint8) if dtype is torch.uint8 else image
    augment = Augment(recipe)
    first = augment(image, 1)
    assert torch.equal(first, augment(image, 1))
    assert any(not torch.equal(first, augment(image, seed)) for seed in range(2, 8))
    assert first.shape == image.shape
    assert first.dtype == dtype


def test_the_global_random_state_is_left_alone():
    image = torch.rand(3, 16, 16)
    before = torch.get_rng_state()
    Augment("fundus")(image, 5)
    assert torch.equal(before, torch.get_rng_state())


def test_none_changes_nothing():
    image = torch.rand(3, 8, 8)
    assert Augment("none")(image, 1) is image


def test_grey_images_can_be_changed():
    assert Augment("chest")(torch.rand(1, 16, 16), 0).shape == (1, 16, 16)
    assert Augment("oct")(torch.rand(1, 16, 16), 0).shape == (1, 16, 16)


def test_a_chest_is_never_mirrored():
    image = torch.zeros(3, 32, 32)
    image[:, :, 20:] = 1.0  # the heart's side
    for seed in range(20):
        changed = Augment("chest")(image, seed)
        assert changed[:, :, 16:].mean() > changed[:, :, :16].mean()
