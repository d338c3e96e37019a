from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from softcam.errors import InputError
from softcam.evaluation.faithfulness.baselines import Blur, Constant, LocalMean
from tests.evaluation.faithfulness import slow


def slow_local_mean(image, patch):
    """Mean of all pixels within the patches whose grid place differs by at most one."""
    groups = slow.cells(image.shape[1:], patch)
    places = [tuple(side // patch for side in group[0]) for group in groups]
    found = np.empty(image.shape)
    for group, place in zip(groups, places, strict=True):
        around = [
            cell
            for other, there in zip(groups, places, strict=True)
            if other is not group
            and max(abs(a - b) for a, b in zip(place, there, strict=True)) == 1
            for cell in other
        ]
        for channel in range(len(image)):
            mean = sum(float(image[(channel, *cell)]) for cell in around) / len(around)
            for cell in group:
                found[(channel, *cell)] = mean
    return found


@pytest.mark.parametrize(
    ("shape", "patch"), [((7, 5), 2), ((4, 4), 3), ((1, 5), 2), ((6, 6), 1), ((5, 4, 3), 2)]
)
def test_the_local_mean_agrees_with_slow_loops(shape, patch):
    images = torch.randn(2, 3, *shape, dtype=torch.float64)
    found = LocalMean()(images, patch)
    for image, expected in zip(found.numpy(), images, strict=True):
        np.testing.assert_allclose(image, slow_local_mean(expected, patch), atol=1e-12)


def test_the_local_mean_of_the_only_patch_is_refused():
    with pytest.raises(InputError, match="no surroundings"):
        LocalMean()(torch.randn(1, 3, 4, 4), patch=4)


@pytest.mark.parametrize(("shape", "sigma"), [((9, 14), 1.3), ((5, 6), 4.0), ((6, 5, 7), 0.8)])
def test_the_blur_is_scipys(shape, sigma):
    images = torch.randn(2, 2, *shape, dtype=torch.float64)
    found = Blur(sigma)(images, patch=2)
    for image, given in zip(found.flatten(0, 1), images.flatten(0, 1), strict=True):
        expected = gaussian_filter(given.numpy(), sigma, mode="nearest", truncate=4.0)
        np.testing.assert_allclose(image.numpy(), expected, atol=1e-12)


def test_the_blur_is_as_wide_as_a_patch_unless_told():
    images = torch.randn(1, 1, 12, 12)
    assert torch.equal(Blur()(images, patch=3), Blur(3.0)(images, patch=7))


def test_a_constant_is_one_colour_in_the_images_type():
    images = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    found = Constant((1.0, 2.0, -3.0))(images, patch=2)
    assert found.dtype == torch.float64
    assert found.shape == (2, 3, 1, 1, 1)
    assert found[1].flatten().tolist() == [1.0, 2.0, -3.0]
    assert torch.equal(Constant([1.0, 2.0, -3.0])(images, patch=2), found)
    assert Constant(0.5)(images, patch=2).unique().tolist() == [0.5]


@pytest.mark.parametrize(
    ("baseline", "message"),
    [(Constant((1.0, 2.0)), "2 values for images with 3 channels"), (Blur(0.0), "above 0 px")],
)
def test_wrong_settings_are_named(baseline, message):
    with pytest.raises(InputError, match=message):
        baseline(torch.randn(1, 3, 4, 4), 2)
