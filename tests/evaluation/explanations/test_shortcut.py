"""Flips on insertion and removal, on images and answers with known outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.shortcut import (
    FEWEST,
    Shortcut,
    flips,
    soft_cover,
    transplant,
    without,
)
from softcam.evaluation.faithfulness.baselines import Constant

NAN = float("nan")


def called(probability):
    return probability >= 0.5


def test_a_flip_counts_only_where_the_answer_could_turn():
    before, after = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.9, 0.2, 0.9, 0.1])
    towards = flips(before, after, called, towards=True)
    away = flips(before, after, called, towards=False)
    np.testing.assert_array_equal(towards, [1, 0, NAN, NAN])
    np.testing.assert_array_equal(away, [NAN, NAN, 0, 1])


def test_a_transplant_copies_each_donors_covered_pixels_alone():
    images = torch.arange(24.0).view(2, 3, 2, 2)
    donors = torch.stack([-torch.ones(3, 2, 2), -2 * torch.ones(3, 2, 2)])
    covers = torch.zeros(2, 2, 2)
    covers[:, 0, 0], covers[1, 1, 1] = 1, 0.5
    changed = transplant(images, donors, covers)
    assert changed[:, :, 0, 0].tolist() == [[-1] * 3, [-2] * 3]
    assert torch.equal(changed[1, :, 1, 1], (images[1, :, 1, 1] - 2) / 2)
    untouched = covers == 0
    for row in range(2):
        kept = untouched[row]
        assert torch.equal(changed[row][:, kept], images[row][:, kept])


def test_a_soft_cover_falls_off_around_the_mask_and_spares_lesions():
    mask, lesion = np.zeros((9, 9), dtype=bool), np.zeros((9, 9), dtype=bool)
    mask[3:6, 3:6], lesion[4, 5:8] = True, True
    cover = soft_cover(mask, lesion, width=2)
    expected = np.zeros((9, 9))
    for y in range(9):
        for x in range(9):
            places = np.argwhere(mask & ~lesion)
            away = np.sqrt(((places - (y, x)) ** 2).sum(axis=1)).min()
            expected[y, x] = 0 if lesion[y, x] else max(0.0, 1 - away / 3)
    np.testing.assert_allclose(cover, expected, atol=1e-6)
    assert not soft_cover(mask, mask, width=2).any()


def test_without_paints_each_images_own_mask():
    images = torch.ones(2, 1, 1, 2)
    masks = torch.tensor([[[True, False]], [[False, True]]])
    found = without(images, masks, Constant((0.0,)), patch=1)
    assert found.flatten().tolist() == [0, 1, 1, 0]


def shortcut(inserted=(NAN, NAN, 0), removed=(NAN, NAN, 0), energy=0.5, copied=0.0, carriers=0.6):
    def share(value, low, n):
        return Interval(value, low, 1.0, n, 0)

    change = Interval(0.25, 0.1, 0.3, 9, 0)
    value, low, n = inserted
    return Shortcut(
        "SoftCAM", "ill", "mark", "Evidence, own", 0.01, Interval(energy, NAN, NAN, 9, 0),
        inserted=share(*inserted), copied=share(copied if n else NAN, NAN, n),
        beyond=share(value - copied, low - copied, n),
        carriers=share(carriers, NAN, 5), others=share(0.2, NAN, 10 if n else 0),
        removed=share(*removed), rise=change, fall=change,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"inserted": (0.9, 0.7, 20)}, True),
        ({"removed": (0.9, 0.7, 20)}, True),
        ({"inserted": (0.3, 0.05, 20)}, False),  # too few, or by chance
        ({"inserted": (1.0, 1.0, FEWEST - 1)}, False),  # the interval of one case has no width
        ({"inserted": (1.0, NAN, 20)}, False),  # one patient has no interval
        ({"inserted": (0.9, 0.7, 20), "copied": 0.65}, False),  # what any copy does
        # Those that have it by nature are not called ill, whatever a copy does; removal counts.
        ({"inserted": (0.9, 0.7, 20), "carriers": 0.2}, False),
        ({"inserted": (0.9, 0.7, 20), "removed": (0.9, 0.7, 20), "carriers": 0.2}, True),
        ({}, False),
    ],
)
def test_a_shortcut_is_told_where_the_flips_interval_is_clear(given, found):
    one = shortcut(**given)
    assert one.found is found
    sentence = one.sentence()
    assert ("uses 'mark' as a shortcut" in sentence) == found
    assert ("not seen to hang on" in sentence) != found


def test_the_sentence_leaves_out_what_is_not_known():
    sentence = shortcut(inserted=(0.9, 0.7, 20), energy=math.nan).sentence()
    assert "nan" not in sentence
    assert "painted over" not in sentence
    assert "turns 0.90 [0.70, 1.00] of 20 other answers into 'ill'" in sentence
    assert "where a copy of an image without it turns 0.00" in sentence
    assert "0.60 of 5 that have it are called so, and 0.20 of 10 that have it not" in sentence
    assert "that have it not" not in shortcut().sentence()
    assert "50% of the positive part of its maps (Evidence, own)" in shortcut().sentence()


def test_everything_is_given_as_json_knows_it():
    found = shortcut(inserted=(0.9, 0.7, 20), energy=math.nan).to_dict()
    assert (found["subject"], found["class_name"], found["found"]) == ("SoftCAM", "ill", True)
    assert found["inserted"] == {"value": 0.9, "low": 0.7, "high": 1.0, "n": 20, "undefined": 0}
    assert found["energy"]["value"] is None
    assert found["removed"]["low"] is None
    assert set(found) >= {
        *("finding", "method", "area", "rise", "fall"),
        *("copied", "beyond", "carriers", "others"),
    }
