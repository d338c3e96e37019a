"""The sentences follow from the numbers: direction, interval, construction."""

from __future__ import annotations

import pytest

from softcam.evaluation.bootstrap import Interval
from softcam.evaluation.explanations.conclusions import LABEL_SURVIVOR, SURVIVOR, conclude
from softcam.evaluation.explanations.measures import MEASURES
from softcam.evaluation.explanations.result import Answer, Method, MethodRow

NAN = float("nan")
EVIDENCE = Method("SoftCAM", "evidence", "Evidence", "own")
CAM = Method("SoftCAM", "cam", "CAM", "own")
RISE = Method("SoftCAM", "rise", "RISE", "own")


def row(method, differences=(), means=(), flags=()):
    found = {key: Interval(sum(ends) / 2, *ends, 9, 0) for key, ends in dict(differences).items()}
    return MethodRow(method, dict(means), {}, found, {}, flags=tuple(flags))


def said(rows, affine=False, agreements=None, answers=()):
    return conclude(rows, EVIDENCE, {"SoftCAM": affine}, agreements or {}, answers)


@pytest.mark.parametrize(
    ("key", "ends", "words"),
    [
        ("activation_precision", (0.1, 0.2), "better than SoftCAM: RISE, own, worse than none"),
        ("activation_precision", (-0.2, -0.1), "better than none, worse than SoftCAM: RISE, own"),
        # Of deletion less is better, so that the reference's larger mean is the worse one.
        ("deletion_auc", (0.1, 0.2), "better than none, worse than SoftCAM: RISE, own"),
        ("deletion_auc", (-0.2, -0.1), "better than SoftCAM: RISE, own, worse than none"),
        ("deletion_auc", (-0.1, 0.1), "not told apart from 1 other(s)"),
        ("deletion_auc", (0.0, 0.1), "not told apart from 1 other(s)"),
    ],
)
def test_a_comparison_follows_the_interval_and_the_direction(key, ends, words):
    sentences = said([row(EVIDENCE, {key: (0, 0)}), row(RISE, {key: ends})])
    assert len(sentences) == 1
    assert "SoftCAM: Evidence, own is" in sentences[0]
    assert words in sentences[0]


def test_differences_without_an_interval_are_not_told():
    assert said([row(EVIDENCE), row(RISE, {"deletion_auc": (NAN, NAN)})]) == ()


def test_only_an_affine_head_makes_maps_the_same_by_construction():
    rows = [row(EVIDENCE), row(CAM), row(RISE)]
    assert said(rows, affine=False) == ()
    (sentence,) = said(rows, affine=True, agreements={"SoftCAM": 0.99994})
    assert "Evidence and CAM" in sentence
    assert "RISE" not in sentence
    assert "0.9999" in sentence
    assert said([row(EVIDENCE), row(RISE)], affine=True) == ()


def test_many_differences_come_with_how_many_are_expected_by_chance():
    ranked = [measure.key for measure in MEASURES if measure.higher_is_better is not None]
    several = row(RISE, dict.fromkeys([*ranked[:20], "gini"], (-1, 1)))
    assert any("20 differences are given" in text and "about 1 " in text
               for text in said([row(EVIDENCE), several]))  # fmt: skip
    few = row(RISE, dict.fromkeys(ranked[:19], (-1, 1)))
    assert not any("differences are given" in text for text in said([row(EVIDENCE), few]))


def test_maps_that_survive_random_weights_are_named():
    means = {"randomised_similarity": Interval(0.91, 0.8, 0.95, 9, 0)}
    rows = [row(EVIDENCE, means=means), row(RISE, means=means, flags=(SURVIVOR,))]
    (sentence,) = said(rows)
    assert "RISE, own (0.91)" in sentence
    assert "Evidence" not in sentence


def test_answers_are_told_where_they_are_known():
    known = Answer("SoftCAM", Interval(0.9, 0.8, 0.95, 9, 0), Interval(0.9, 0.8, 0.95, 9, 0))
    unknown = Answer("Twin", Interval(NAN, NAN, NAN, 9, 0), Interval(0.9, 0.8, 0.95, 9, 0))
    assert said([row(EVIDENCE)], answers=[unknown]) == ()
    (sentence,) = said([row(EVIDENCE)], answers=[known, unknown])
    assert "SoftCAM 0.900 [0.800, 0.950]" in sentence
    assert "Twin" not in sentence


def test_maps_that_survive_shuffled_labels_are_named():
    means = {"label_similarity": Interval(0.8, 0.7, 0.9, 9, 0)}
    rows = [row(EVIDENCE, means=means), row(RISE, means=means, flags=(LABEL_SURVIVOR,))]
    (sentence,) = said(rows)
    assert "SoftCAM trained on shuffled labels gives much the same maps by RISE, own" in sentence
    assert "Evidence" not in sentence


def test_that_nothing_survives_shuffled_labels_is_said_only_where_it_was_measured():
    means = [{"label_similarity": Interval(value, -1, 1, 9, 0)} for value in (0.1, 0.3)]
    (sentence,) = said([row(EVIDENCE, means=means[0]), row(RISE, means=means[1])])
    assert "not seen to give the same maps" in sentence
    assert "0.10 to 0.30" in sentence
    unknown = {"label_similarity": Interval(NAN, NAN, NAN, 9, 9)}
    assert said([row(EVIDENCE, means=unknown)]) == ()
