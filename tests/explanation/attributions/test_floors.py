from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from softcam.explanation.attributions.floors import EDGES, RANDOM, UNIFORM
from softcam.explanation.attributions.subject import subject_of


@pytest.fixture
def subject(softcam):
    return subject_of(softcam)


def test_random_maps_are_as_coarse_as_told_and_in_zero_to_one(subject, images):
    maps = RANDOM.configured(cell=5)(subject, images, [0])
    assert maps.shape == (2, 1, 3, 4)
    many = RANDOM.configured(cell=1)(subject, images, [0])
    assert many.shape == (2, 1, 12, 16)
    assert many.min() >= 0 and many.max() < 1
    assert many.mean().item() == pytest.approx(0.5, abs=0.06)


def test_random_maps_belong_to_the_image_and_the_seed(subject, images):
    method = RANDOM.configured(cell=4)
    both = method(subject, images, [0])
    assert not torch.equal(both[0], both[1])
    assert torch.equal(both.flip(0), method(subject, images.flip(0), [0]))
    assert not torch.equal(both, method.configured(seed=1)(subject, images, [0]))


def test_the_uniform_map_is_one_everywhere(subject, images):
    assert torch.equal(UNIFORM(subject, images, [0, 1]), torch.ones(2, 2, 12, 16))


def test_edges_are_the_sobel_magnitude_of_the_luma(subject, images):
    grey = np.tensordot([0.299, 0.587, 0.114], images.numpy(), axes=(0, 1))
    expected = [
        np.hypot(*(ndimage.sobel(one, axis=a, mode="nearest") for a in (0, 1))) for one in grey
    ]
    found = EDGES(subject, images, [0])[:, 0]
    np.testing.assert_allclose(found.numpy(), np.stack(expected), rtol=1e-5)


def test_edges_undo_the_channels_scale(subject, images):
    scale = torch.tensor([0.5, 0.25, 2.0]).double()
    plain = EDGES(subject, images * scale[:, None, None], [0])
    subject.info.preprocessing = {"std": scale.tolist()}
    torch.testing.assert_close(EDGES(subject, images, [0]), plain)


@pytest.mark.parametrize("channels", [1, 2])
def test_edges_of_other_channel_counts_are_those_of_their_mean(subject, images, channels):
    grey = images[:, :channels]
    expected = EDGES(subject, grey.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1), [0])
    torch.testing.assert_close(EDGES(subject, grey, [0]), expected)
