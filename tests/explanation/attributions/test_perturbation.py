from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.perturbation import OCCLUSION, RISE, rise_masks
from softcam.explanation.attributions.subject import subject_of
from tests.explanation.attributions.conftest import make_softcam, score

MASKS = {"masks": 23, "cells": 3, "keep": 0.4, "seed": 2}


def check(found, expected):
    assert found.dtype == torch.float32
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("window", "stride"), [(0.25, 0.25), (0.5, 0.2), (1.0, 1.0)])
def test_occlusion_by_hand(case, images, by_hand, window, stride):
    """A pixel's value is the mean fall of the score over the windows that hide it."""
    subject, contrast, classes = case

    @torch.no_grad()
    def formula(image, score):
        height, width = image.shape[1:]
        whole = score(subject.classifier(image[None])[0])
        total, times = torch.zeros(height, width).double(), torch.zeros(height, width)
        sides = [max(1, round(window * side)) for side in (height, width)]
        steps = [max(1, round(stride * side)) for side in (height, width)]
        rows, columns = (
            range(0, step * math.ceil((side - wide) / step) + 1, step)
            for side, wide, step in zip((height, width), sides, steps, strict=True)
        )
        for top in rows:
            for left in columns:
                hidden = image.clone()
                place = slice(top, top + sides[0]), slice(left, left + sides[1])
                hidden[:, *place] = 0
                total[place] += whole - score(subject.classifier(hidden[None])[0])
                times[place] += 1
        assert times.min() > 0
        return total / times

    method = OCCLUSION.configured(window=window, stride=stride)
    check(method(subject, images, classes, contrast=contrast), by_hand(formula))


@pytest.mark.parametrize(("window", "stride"), [(0.1, 0.2), (1.5, 0.1), (0.5, 0.0)])
def test_windows_that_leave_gaps_are_refused(softcam, images, window, stride):
    method = OCCLUSION.configured(window=window, stride=stride)
    with pytest.raises(InputError, match="0 < stride <= window <= 1"):
        method(subject_of(softcam), images, [0])


def test_rise_by_hand(case, images, by_hand):
    subject, contrast, classes = case
    masks = torch.cat(list(rise_masks((12, 16), **MASKS, batch_size=100)))
    outputs = subject.classifier(images[:1]).shape[1]

    @torch.no_grad()
    def formula(image, read):
        total = torch.zeros(12, 16).double()
        for mask in masks.double():
            logits = subject.classifier((image * mask)[None])[0]
            if contrast or outputs == 1:
                chance = 1 / (1 + (-read(logits)).exp())
            else:
                chance = (read(logits) - logits.logsumexp(0)).exp()
            total += chance * mask[0]
        return total / (23 * 0.4)

    for size in (1, 5, 100):
        method = RISE.configured(**MASKS, batch_size=size)
        check(method(subject, images, classes, contrast=contrast), by_hand(formula))


def test_of_two_classes_that_exclude_each_other_rise_s_contrast_is_its_own(images):
    subject = subject_of(make_softcam(2))
    method = RISE.configured(**MASKS)
    own = method(subject, images, [0, 1])
    torch.testing.assert_close(method(subject, images, [0, 1], contrast=True), own)


def test_labels_that_do_not_exclude_each_other_have_each_its_own_probability(images):
    method = RISE.configured(**MASKS)
    found = method(subject_of(make_softcam(task=Task.MULTILABEL)), images, [1], contrast=True)
    model = make_softcam().eval()
    expected = torch.zeros(2, 12, 16).double()
    for mask in torch.cat(list(rise_masks((12, 16), **MASKS, batch_size=9))).double():
        chances = model(images * mask).logits[:, 1].sigmoid().detach()
        expected += chances[:, None, None] * mask
    check(found[:, 0], (expected / (23 * 0.4)).float())


def test_masks_are_enlarged_grids_shifted_by_less_than_a_cell():
    found = list(rise_masks((12, 16), **MASKS, batch_size=5))
    assert [len(part) for part in found] == [5, 5, 5, 5, 3]
    whole = torch.cat(found)
    assert whole.shape == (23, 1, 12, 16)
    generator = torch.Generator().manual_seed(2)
    grids = (torch.rand(23, 1, 3, 3, generator=generator) < 0.4).float()
    wide = F.interpolate(grids, (4 * 4, 4 * 6), mode="bilinear", align_corners=False)
    for mask, enlarged in zip(whole, wide, strict=True):
        crops = [
            enlarged[:, top : top + 12, left : left + 16] for top in range(4) for left in range(6)
        ]
        assert any(torch.equal(mask, crop) for crop in crops)
    assert whole.min() >= 0 and whole.max() <= 1


def test_the_masks_keep_what_they_are_told_to():
    whole = torch.cat(
        list(rise_masks((20, 20), masks=4000, cells=5, keep=0.3, seed=0, batch_size=500))
    )
    # Each pixel mixes up to four cells: its spread over 4000 masks is at most 0.46 / 63.
    assert (whole.mean(dim=0) - 0.3).abs().max() < 0.035


def test_another_seed_gives_other_masks():
    first = next(rise_masks((12, 16), **MASKS, batch_size=5))
    assert torch.equal(first, next(rise_masks((12, 16), **MASKS, batch_size=5)))
    assert not torch.equal(first, next(rise_masks((12, 16), **{**MASKS, "seed": 3}, batch_size=5)))


def test_the_score_by_hand_is_the_contrast_that_is_meant():
    logits = torch.tensor([1.0, 2.0, 6.0])
    assert score(logits, 2, contrast=True).item() == 4.5
