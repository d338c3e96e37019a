from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation.bootstrap import bootstrap
from softcam.evaluation.localisation import activation_precision
from softcam.evaluation.scoring import (
    LOCALISATION_NAMES,
    measure,
    score_maps,
    summarise,
    uniform_reference,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(70, 6, 5)).astype(np.float32)
    masks = rng.random((70, 6, 5)) > 0.8
    masks[3] = masks[40] = False
    return maps, masks, [f"p{i // 2}" for i in range(70)]


def test_scores_in_chunks_are_the_scores_at_once(table):
    maps, masks, _ = table
    at_once = activation_precision(torch.from_numpy(maps), torch.from_numpy(masks))
    np.testing.assert_array_equal(measure(maps, masks)["activation_precision"], at_once.numpy())


def test_score_maps_averages_the_images_that_have_a_mask(table):
    maps, masks, patients = table
    found = score_maps(maps, masks, patients, resamples=100, seed=2)
    assert list(found) == list(LOCALISATION_NAMES)
    values = measure(maps, masks)["activation_precision"]
    assert found["activation_precision"].value == pytest.approx(np.nanmean(values))
    assert found["activation_precision"].n == 68
    slow = bootstrap(lambda r: {"x": np.nanmean(values[r])}, patients, resamples=100, seed=2)["x"]
    assert found["activation_precision"].low == pytest.approx(slow.low)
    assert found["activation_precision"].high == pytest.approx(slow.high)


def test_tensors_and_arrays_score_the_same(table):
    maps, masks, patients = table
    tensors = torch.from_numpy(maps), torch.from_numpy(masks)
    assert score_maps(*tensors, patients, 20) == score_maps(maps, masks, patients, 20)


def test_the_uniform_reference_is_the_score_of_a_uniform_map_and_a_random_point(table):
    maps, masks, patients = table
    found = uniform_reference(masks, patients, resamples=50, seed=1)
    drawn = score_maps(np.ones_like(maps), masks, patients, resamples=50, seed=1)
    for name in ("activation_precision", "activation_sensitivity"):
        assert found[name].value == pytest.approx(drawn[name].value)
        assert found[name].low == pytest.approx(drawn[name].low)
    # Chance of a random point, by pointing at every pixel in turn.
    hits = []
    for y in range(6):
        for x in range(5):
            point = np.zeros_like(maps)
            point[:, y, x] = 1
            hits.append(measure(point, masks)["pointing_game"])
    assert found["pointing_game"].value == pytest.approx(np.nanmean(hits))


def test_a_table_without_any_mask_is_undefined():
    masks = np.zeros((4, 3, 3), dtype=bool)
    found = score_maps(np.ones((4, 3, 3)), masks, list("abcd"), resamples=10)
    reference = uniform_reference(masks, list("abcd"), resamples=10)
    for interval in [*found.values(), *reference.values()]:
        assert math.isnan(interval.value)
        assert (interval.n, interval.undefined) == (0, 10)


def test_an_image_beyond_the_first_chunk_is_named_by_its_place_in_the_table():
    maps, masks = np.ones((70, 3, 3)), np.ones((70, 3, 3), dtype=bool)
    maps[65, 1, 1] = math.nan
    with pytest.raises(InputError, match="infinity for image 65 "):
        measure(maps, masks)


def test_lengths_and_shapes_that_do_not_fit_are_named():
    maps, masks = np.ones((4, 3, 3)), np.ones((4, 3, 3), dtype=bool)
    with pytest.raises(InputError, match="3 patients for 4 images"):
        score_maps(maps, masks, list("abc"))
    with pytest.raises(InputError, match=r"\(4, 3, 3\) and masks of shape \(3, 3, 3\)"):
        score_maps(maps, masks[:3], list("abcd"))
    with pytest.raises(InputError, match=r"torch.float64.*booleans of shape \(N, H, W\)"):
        uniform_reference(maps, list("abcd"))
    with pytest.raises(InputError, match="2 patients for 1 images"):
        summarise({"x": np.ones(1)}, ["a", "b"])
