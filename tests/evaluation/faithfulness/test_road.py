from __future__ import annotations

import numpy as np
import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation.faithfulness.road import impute, road
from tests.evaluation.faithfulness import slow


def slow_impute(image, removed):
    """The same equations written pixel by pixel into a dense matrix."""
    channels, height, width = image.shape
    size = height * width
    matrix, right = np.eye(size), image.reshape(channels, size).T.copy()
    for y in range(height):
        for x in range(width):
            if not removed[y, x]:
                continue
            row = y * width + x
            right[row] = 0
            total = 0.0
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    there = 0 <= y + dy < height and 0 <= x + dx < width
                    if (dy, dx) == (0, 0) or not there:
                        continue
                    weight = 1 / 12 if dy and dx else 1 / 6
                    matrix[row, row + dy * width + dx] -= weight
                    total += weight
            matrix[row] = matrix[row] / total
            matrix[row, row] = 1.0
    return np.linalg.solve(matrix, right).T.reshape(image.shape)


@pytest.mark.parametrize(
    ("shape", "share"), [((9, 7), 0.1), ((9, 7), 0.9), ((1, 12), 0.5), ((12, 1), 0.5), ((5, 5), 0)]
)
def test_imputation_agrees_with_a_dense_system(shape, share):
    generator = np.random.default_rng(0)
    image = generator.normal(size=(3, *shape))
    removed = generator.random(shape) < share
    removed[0, 0] = False
    np.testing.assert_allclose(impute(image, removed), slow_impute(image, removed), atol=1e-10)


def test_known_pixels_stay_and_a_plane_in_one_colour_is_restored():
    image = np.full((2, 6, 6), 3.0)
    removed = np.zeros((6, 6), dtype=bool)
    removed[:, 1:] = True
    np.testing.assert_allclose(impute(image, removed), image, atol=1e-12)
    noisy = np.random.default_rng(1).normal(size=(2, 6, 6))
    assert (impute(noisy, removed)[:, ~removed] == noisy[:, ~removed]).all()


def test_one_known_pixel_fills_the_image():
    image = np.random.default_rng(2).normal(size=(1, 8, 8))
    removed = np.ones((8, 8), dtype=bool)
    removed[5, 2] = False
    np.testing.assert_allclose(impute(image, removed), image[0, 5, 2], atol=1e-9)


def test_imputation_is_that_of_grad_cam_without_noise():
    library = pytest.importorskip("pytorch_grad_cam.metrics.road")
    image, removed = torch.randn(3, 14, 17), torch.rand(14, 17) < 0.6
    expected = library.NoisyLinearImputer(noise=0)(image, (~removed).float())
    np.testing.assert_allclose(impute(image, removed), expected, atol=1e-5)


def test_an_image_without_known_pixels_is_refused():
    with pytest.raises(InputError, match="none to fill them from"):
        impute(np.ones((1, 2, 2)), np.ones((2, 2)))
    with pytest.raises(InputError, match=r"\(C, H, W\) and \(H, W\)"):
        impute(np.ones((1, 2, 2)), np.ones((2, 3)))


@pytest.mark.parametrize("first", ["most", "least"])
@pytest.mark.parametrize("patch", [1, 4])
def test_the_curve_agrees_with_one_image_at_a_time(network, images, maps, first, patch):
    found = road(
        network,
        images,
        maps,
        first=first,
        fractions=[0.25, 0.5, 0.9],
        patch=patch,
        noise=0,
        batch_size=5,
    )
    network = network.double()
    for image, values, logits in zip(images.double(), maps, found.logits, strict=True):
        order = slow.order(values, patch)
        order = order if first == "most" else order[::-1]
        groups = slow.cells((13, 11), patch)
        for count, row in zip(found.counts, logits, strict=True):
            removed = np.zeros((13, 11), dtype=bool)
            for number in order[:count]:
                for cell in groups[number]:
                    removed[cell] = True
            filled = torch.from_numpy(slow_impute(image.numpy(), removed))
            np.testing.assert_allclose(row, network(filled[None])[0], atol=3e-6)
    assert found.counts == tuple(
        int(f * len(slow.cells((13, 11), patch)) + 0.5) for f in (0, 0.25, 0.5, 0.9)
    )


def test_noise_is_on_imputed_pixels_only_and_the_same_at_every_step_and_batch_size():
    images, maps = torch.randn(5, 2, 8, 8), torch.randn(5, 8, 8)

    def copies(noise, batch_size, seed=0):
        seen = []
        road(
            lambda batch: seen.append(batch.clone()) or batch.flatten(1)[:, :1],
            images,
            maps,
            fractions=[0.2, 0.6],
            noise=noise,
            seed=seed,
            batch_size=batch_size,
        )
        return torch.cat(seen).unflatten(0, (5, 3))

    noisy, clean = copies(0.5, 4), copies(0.0, 4)
    for size in (1, 7, 100):
        torch.testing.assert_close(copies(0.5, size), noisy, atol=0, rtol=0)
    assert not torch.equal(copies(0.5, 4, seed=1), noisy)
    assert torch.equal(noisy[:, 0], images)  # nothing is removed at step 0
    added = noisy - clean
    for step, share in ((1, 13), (2, 38)):
        touched = (added[:, step] != 0).any(1)
        assert (touched.flatten(1).sum(1) == share).all()
        assert torch.equal(clean[:, step].movedim(1, -1)[~touched], images.movedim(1, -1)[~touched])
    both = (added[:, 1] != 0) & (added[:, 2] != 0)
    torch.testing.assert_close(added[:, 1][both], added[:, 2][both], atol=1e-6, rtol=0)
    assert 0.3 < added[:, 2][added[:, 2] != 0].std() < 0.7


def test_removing_what_matters_first_costs_more_than_last():
    images = torch.zeros(4, 1, 12, 12)
    images[:, :, 4:8, 4:8] = 1  # a bright square is what the classifier looks for
    maps = images[:, 0] + 0.01 * torch.randn(4, 12, 12)

    def classify(batch):
        return batch.flatten(1).sum(1, keepdim=True)

    most, least = (
        road(classify, images, maps, first=first, fractions=[0.12], noise=0).logits[:, 1]
        for first in ("most", "least")
    )
    assert (most < 0.1).all()
    assert (least > 15).all()  # of 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": torch.randn(2, 3, 4, 4)}, "ROAD fills images"),
        ({"fractions": [1.0]}, "all 16 patches are removed"),
        ({"fractions": [0.9], "patch": 4}, "all 1 patches are removed"),
        ({"fractions": [2]}, "A step is 2.0"),
        ({"first": "best"}, "First is 'best'"),
        ({"noise": -1.0}, "noise -1.0"),
        ({"maps": torch.full((2, 4, 4), torch.nan)}, "image 0, 1"),
    ],
)
def test_what_cannot_be_removed_is_named(changes, message):
    settings = {"maps": torch.randn(2, 4, 4), **changes}
    with pytest.raises(InputError, match=message):
        road(lambda batch: batch.flatten(1), torch.randn(2, 1, 4, 4), **settings)
