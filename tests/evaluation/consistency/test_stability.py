from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from PIL import Image

from softcam.errors import InputError
from softcam.evaluation.consistency.stability import (
    Perturbed,
    gaussian_noise,
    jpeg,
    max_sensitivity,
    shift,
    uniform_noise,
)


def explain(images):
    """Something like a map: not linear, of every pixel and its neighbours."""
    return torch.tanh(images).cumsum(3).sum(1)


def for_captum(function):
    """captum explains the images in a tuple, the changed ones on their own."""
    return lambda images: (function(images[0]),) if isinstance(images, tuple) else function(images)


def to_pixels(images):
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


def to_input(pixels):
    return pixels.double() / 255


def test_the_largest_change_agrees_with_a_loop_and_with_captum():
    images = torch.randn(3, 2, 5, 6, dtype=torch.float64)
    noise = 0.1 * torch.randn(4, 3, 2, 5, 6, dtype=torch.float64)
    left = list(noise)
    found = max_sensitivity(
        explain, images, lambda x, generator: Perturbed(x + left.pop(0)), samples=4
    )
    slow = []
    for image in range(3):
        before = explain(images)[image].flatten().tolist()
        changes = []
        for sample in range(4):
            after = explain(images + noise[sample])[image].flatten().tolist()
            gap = sum((a - b) ** 2 for a, b in zip(after, before, strict=True))
            changes.append(math.sqrt(gap) / math.sqrt(sum(b * b for b in before)))
        slow.append(max(changes))
    assert found.tolist() == pytest.approx(slow, abs=1e-12)
    # captum repeats each image in place, and perturbs all repetitions at once.
    repeated = noise.transpose(0, 1).flatten(0, 1)
    theirs = sensitivity_max(
        for_captum(explain), images, lambda x: x + repeated, n_perturb_samples=4
    )
    torch.testing.assert_close(found, theirs)


def test_a_map_that_is_zero_everywhere_is_undefined_where_captum_divides_by_one():
    images = torch.randn(2, 1, 4, 4)
    images[0] = 0

    def perturb(x, generator=None):
        return Perturbed(x + 1)

    found = max_sensitivity(lambda x: x[:, 0], images, perturb, samples=1)
    assert found[0].isnan()
    assert found[1] > 0
    theirs = sensitivity_max(
        for_captum(lambda x: x[:, 0]), images, lambda x: x + 1, n_perturb_samples=1
    )
    assert theirs[0].item() == 4
    assert theirs[1].item() == pytest.approx(found[1].item())


@pytest.mark.parametrize(
    ("perturb", "size"), [(uniform_noise(0.1), 0.1 / math.sqrt(3)), (gaussian_noise(0.1), 0.1)]
)
def test_noise_has_its_size_and_depends_on_the_seed_alone(perturb, size):
    images = torch.rand(2, 3, 64, 64)
    noise = perturb(images, torch.Generator().manual_seed(5)).images - images
    assert noise.std().item() == pytest.approx(size, rel=0.02)
    assert noise.mean().abs().item() < 0.01
    values = [max_sensitivity(explain, images, perturb, samples=2, seed=seed) for seed in (1, 1, 2)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_uniform_noise_stays_within_its_radius():
    images = torch.zeros(1, 1, 64, 64)
    noise = uniform_noise(0.3)(images, torch.Generator().manual_seed(0)).images
    assert 0.29 < noise.abs().max() <= 0.3


def test_an_explanation_that_moves_with_the_image_is_stable_under_shifts():
    images = torch.randn(2, 1, 12, 14)
    found = max_sensitivity(lambda x: x[:, 0], images, shift(3), samples=20)
    assert found.tolist() == [0, 0]
    rows = torch.arange(12.0)[None, :, None].expand(2, 12, 14)
    fixed = max_sensitivity(lambda x: rows, images, shift(3), samples=20)
    assert fixed.min() > 0.1


def test_a_shift_moves_every_way_but_never_by_nothing_and_repeats_the_border():
    images = torch.arange(30.0).view(1, 1, 5, 6)
    seen = set()
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        moved = shift(1)(images, generator).images
        down, right = next(
            (d, r)
            for d in (-1, 0, 1)
            for r in (-1, 0, 1)
            if torch.equal(
                moved[0, 0],
                images[0, 0][
                    (torch.arange(5) - d).clamp(0, 4)[:, None], (torch.arange(6) - r).clamp(0, 5)
                ],
            )
        )
        seen.add((down, right))
    assert seen == {(d, r) for d in (-1, 0, 1) for r in (-1, 0, 1)} - {(0, 0)}


def test_a_coarse_map_is_moved_back_in_pixels_of_the_image():
    images = torch.randn(1, 1, 16, 16)
    found = max_sensitivity(
        lambda x: torch.ones(len(x), 4, 4), images, shift(2), samples=5
    )  # the same everywhere: the same after every move
    assert found.item() == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_is_what_pillow_writes_and_reads(channels):
    pixels = torch.randint(0, 256, (2, channels, 16, 24), dtype=torch.uint8)
    images = to_input(pixels)
    changed = jpeg(60, to_pixels, to_input)(images, torch.Generator()).images
    for row in range(2):
        array = pixels[row].permute(1, 2, 0).squeeze(2).numpy()
        file = io.BytesIO()
        Image.fromarray(array).save(file, format="JPEG", quality=60)
        read = np.asarray(Image.open(file)).reshape(16, 24, channels).transpose(2, 0, 1) / 255
        np.testing.assert_allclose(changed[row].numpy(), read, atol=1e-12)
    worse, better = (
        max_sensitivity(explain, images, jpeg(quality, to_pixels, to_input), samples=1)
        for quality in (10, 95)
    )
    assert (worse > better).all()
    assert (better > 0).all()


def test_what_rounding_to_pixels_loses_is_not_the_jpegs():
    images = torch.full((1, 1, 8, 8), 0.5001)  # no uint8 pixel; a flat image survives JPEG
    changed = jpeg(95, to_pixels, to_input)(images, torch.Generator()).images
    assert torch.equal(changed, images)


def test_bad_arguments_are_refused():
    images = torch.rand(1, 1, 4, 4)
    for make, name in ((uniform_noise, "radius"), (gaussian_noise, "std"), (shift, "pixels")):
        with pytest.raises(InputError, match=f"{name} is 0"):
            make(0)
    with pytest.raises(InputError, match="quality is 100"):
        jpeg(100, to_pixels, to_input)
    with pytest.raises(InputError, match="JPEG takes uint8"):
        max_sensitivity(explain, images, jpeg(90, lambda x: x, to_input))
    with pytest.raises(InputError, match="cannot be moved by 4 px"):
        max_sensitivity(explain, images, shift(4))
    with pytest.raises(InputError, match="samples is 0"):
        max_sensitivity(explain, images, uniform_noise(1), samples=0)
    with pytest.raises(InputError, match=r"must be \(N, h, w\)"):
        max_sensitivity(lambda x: x, images, uniform_noise(1))
    with pytest.raises(InputError, match="for image 0 "):
        max_sensitivity(lambda x: x[:, 0] * math.nan, images, uniform_noise(1))
