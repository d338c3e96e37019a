from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from softcam.errors import InputError
from softcam.evaluation.faithfulness.summaries import (
    accuracy_kept,
    area_under_curve,
    comprehensiveness,
    relative_confidence,
    sufficiency,
    target_logit,
    target_probability,
)
from softcam.evaluation.scoring import summarise
from softcam.evidence.info import Task

NAMES = ["a", "b", "c", "d"]


def slow_probability(row, wanted, task):
    """One class's probability from one row of logits, by the textbook formula."""
    if task is Task.MULTILABEL:
        return 1 / (1 + math.exp(-row[wanted]))
    if len(row) == 1:
        return 1 / (1 + math.exp(-row[0] if wanted == 1 else row[0]))
    return math.exp(row[wanted]) / sum(math.exp(value) for value in row)


@pytest.mark.parametrize(
    ("task", "columns", "classes"),
    [
        (Task.BINARY, 1, 2),
        (Task.BINARY, 2, 2),
        (Task.MULTICLASS, 4, 4),
        (Task.ORDINAL, 3, 3),
        (Task.MULTILABEL, 4, 4),
        (Task.MULTILABEL, 1, 1),
    ],
)
def test_probabilities_and_calls_agree_with_slow_loops(task, columns, classes):
    logits = torch.randn(9, 5, columns).mul(3)
    wanted = torch.arange(9) % classes
    names = NAMES[:classes]
    limits = {"a": 0.2, "b": 0.7}
    given = limits if task in (Task.BINARY, Task.MULTILABEL) else None
    found = target_probability(logits, wanted, task)
    hits = accuracy_kept(logits, wanted, task, names, thresholds=given)
    assert found.dtype == hits.dtype == torch.float64
    for n, s in np.ndindex(9, 5):
        row, own = logits[n, s].double().tolist(), int(wanted[n])
        assert found[n, s].item() == pytest.approx(slow_probability(row, own, task), abs=1e-12)
        every = [slow_probability(row, c, task) for c in range(classes)]
        if task is Task.MULTILABEL:
            hit = every[own] >= limits.get(names[own], 0.5)
        elif task is Task.BINARY:
            hit = own == int(every[1] >= limits["b"])
        else:
            hit = own == every.index(max(every))
        assert hits[n, s].item() == float(hit)
    assert 0 < hits.mean() < 1


def test_the_positive_class_of_a_binary_task_may_be_the_first():
    logits = torch.tensor([[[0.0, 0.5]]])
    kwargs = {"positive": "a", "thresholds": {"a": 0.3}}
    assert accuracy_kept(logits, torch.tensor([0]), Task.BINARY, ["a", "b"], **kwargs).item() == 1
    assert accuracy_kept(logits, torch.tensor([0]), Task.BINARY, ["a", "b"]).item() == 0


def test_nan_logits_are_undefined_and_counted():
    logits = torch.randn(3, 2, 4)
    logits[1, 1, 2] = torch.nan
    wanted = torch.tensor([0, 1, 2])
    lost = [[False, False], [False, True], [False, False]]
    hits = accuracy_kept(logits, wanted, Task.MULTICLASS, NAMES)
    assert hits.isnan().tolist() == lost
    probability = target_probability(logits, wanted, Task.MULTICLASS)
    assert probability.isnan().tolist() == lost
    relative = relative_confidence(probability, probability[:, 0])
    area = area_under_curve(relative, torch.tensor([0.0, 0.5]))
    assert area.isnan().tolist() == [False, True, False]
    counted = summarise({"area": area.numpy()}, ["p", "q", "r"], resamples=10)
    assert counted["area"].n == 2


def test_a_target_logit_is_the_class_column_or_the_sign_of_the_only_one():
    logits = torch.randn(4, 3, 5)
    wanted = torch.tensor([4, 0, 2, 2])
    expected = torch.stack([logits[n, :, c] for n, c in enumerate(wanted.tolist())])
    assert torch.equal(target_logit(logits, wanted), expected.double())
    one = torch.randn(2, 3, 1)
    found = target_logit(one, torch.tensor([0, 1]))
    assert torch.equal(found, torch.stack((-one[0, :, 0], one[1, :, 0])).double())


def test_relative_confidence_starts_at_one_and_is_undefined_from_nothing():
    values = torch.tensor([[0.8, 0.4, 1.0], [0.0, 0.0, 0.3], [math.nan, 0.1, 0.2]])
    found = relative_confidence(values, values[:, 0])
    np.testing.assert_allclose(found[0], [1, 0.5, 1.25], atol=1e-6)
    assert found[1:].isnan().all()


def test_the_area_agrees_with_a_slow_sum_and_with_numpy():
    values = torch.randn(6, 8, dtype=torch.float64)
    fractions = torch.rand(8, dtype=torch.float64).sort().values
    found = area_under_curve(values, fractions)
    for row, area in zip(values.tolist(), found.tolist(), strict=True):
        total = 0.0
        for i in range(7):
            total += (fractions[i + 1] - fractions[i]).item() * (row[i] + row[i + 1]) / 2
        assert area == pytest.approx(total / (fractions[-1] - fractions[0]).item(), abs=1e-12)
    numpys = np.trapezoid(values, fractions, axis=1) / (fractions[-1] - fractions[0]).item()
    np.testing.assert_allclose(found, numpys, atol=1e-12)


def test_a_constant_curve_has_its_height_as_area_whatever_its_width():
    for end in (0.01, 1.0):
        found = area_under_curve(torch.full((2, 3), 0.7), torch.tensor([0, end / 3, end]))
        np.testing.assert_allclose(found, 0.7, atol=1e-7)


def test_a_curve_without_width_has_no_area():
    assert area_under_curve(torch.ones(2, 1), torch.zeros(1)).isnan().all()
    assert area_under_curve(torch.ones(2, 3), torch.zeros(3)).isnan().all()
    assert area_under_curve(torch.ones(2, 0), torch.zeros(0)).isnan().all()


def test_what_is_lost_and_what_is_lacking_are_differences_from_the_untouched():
    values, whole = torch.rand(3, 4), torch.rand(3)
    for n, s in np.ndindex(3, 4):
        expected = whole[n].double().item() - values[n, s].double().item()
        assert comprehensiveness(values, whole)[n, s].item() == expected
        assert sufficiency(values, whole)[n, s].item() == expected


def test_no_images_give_no_values():
    none = torch.zeros(0, 3, 4)
    nobody = torch.zeros(0, dtype=torch.int64)
    assert target_probability(none, nobody, Task.MULTICLASS).shape == (0, 3)
    assert accuracy_kept(none, nobody, Task.MULTILABEL, NAMES).shape == (0, 3)
    assert area_under_curve(torch.zeros(0, 3), torch.rand(3)).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: target_logit(torch.zeros(2, 3), torch.zeros(2).int()), r"\(N, S, K\)"),
        (lambda: target_logit(torch.zeros(2, 1, 3), torch.zeros(3).int()), "for 2 images"),
        (lambda: target_logit(torch.zeros(2, 1, 3), torch.zeros(2)), "torch.float32"),
        (lambda: target_logit(torch.zeros(2, 1, 3), torch.tensor([0, 3])), "from 0 to 3"),
        (lambda: target_logit(torch.zeros(1, 1, 1), torch.tensor([-1])), "has 2"),
        (
            lambda: accuracy_kept(
                torch.zeros(1, 1, 3), torch.tensor([0]), Task.MULTICLASS, ["a", "b"]
            ),
            "2 class names for 3",
        ),
        (lambda: relative_confidence(torch.ones(2, 3), torch.ones(3)), r"\(N, S\) and \(N,\)"),
        (lambda: area_under_curve(torch.ones(2, 3), torch.ones(2)), r"\(N, S\) and \(S,\)"),
    ],
)
def test_wrong_shapes_and_classes_are_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
