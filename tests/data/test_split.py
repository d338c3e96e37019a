from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from softcam.data.records import Record
from softcam.data.split import split_by_patient
from softcam.errors import InputError


def _records(pairs: list[tuple[str, object]]) -> list[Record]:
    return [
        Record(Path(f"{i}.png"), f"{i}.png", label, None, patient, i + 2)  # type: ignore[arg-type]
        for i, (patient, label) in enumerate(pairs)
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 3)), max_size=60),
    st.integers(0, 5),
)
def test_no_patient_straddles_and_every_image_is_placed(
    pairs: list[tuple[int, int]], seed: int
) -> None:
    records = _records([(str(patient), label) for patient, label in pairs])
    splits = split_by_patient(records, seed=seed)
    assert len(splits) == len(records)
    assert set(splits) <= {"train", "val", "test"}
    where: dict[str, set[str]] = {}
    for record, split in zip(records, splits, strict=True):
        where.setdefault(record.patient, set()).add(split)
    assert all(len(found) == 1 for found in where.values())


def test_fractions_and_classes_are_kept_with_patients_of_many_sizes() -> None:
    rng = np.random.default_rng(0)
    pairs = []
    for patient in range(300):
        label = int(rng.random() < 0.2)
        pairs += [(f"p{patient}", label)] * int(rng.integers(1, 8))
    records = _records(pairs)
    splits = split_by_patient(records, seed=1)
    total = len(records)
    for split, fraction in (("train", 0.7), ("val", 0.1), ("test", 0.2)):
        labels = [r.label for r, s in zip(records, splits, strict=True) if s == split]
        assert len(labels) / total == pytest.approx(fraction, abs=0.01)
        positives = sum(label == 1 for _, label in pairs)
        assert sum(labels) / positives == pytest.approx(fraction, abs=0.03)


def test_the_order_of_the_rows_does_not_matter_and_the_seed_does() -> None:
    records = _records([(f"p{i}", i % 2) for i in range(40)])
    splits = dict(zip((r.name for r in records), split_by_patient(records, seed=0), strict=True))
    turned = records[::-1]
    again = dict(zip((r.name for r in turned), split_by_patient(turned, seed=0), strict=True))
    assert splits == again
    assert split_by_patient(records, seed=1) != split_by_patient(records, seed=0)


def test_a_rare_class_reaches_every_split_when_it_has_the_patients() -> None:
    pairs = [(f"n{i}", 0) for i in range(50)] + [(f"r{i}", 1) for i in range(3)]
    splits = split_by_patient(_records(pairs))
    assert sorted(splits[50:]) == ["test", "train", "val"]


def test_the_only_patient_of_a_class_goes_to_train() -> None:
    for seed in range(5):
        splits = split_by_patient(
            _records([(f"n{i}", 0) for i in range(9)] + [("r", 1)]), seed=seed
        )
        assert splits[-1] == "train"


def test_no_split_is_left_empty_when_there_are_three_patients() -> None:
    assert sorted(split_by_patient(_records([("a", 0), ("b", 0), ("c", 0)]))) == [
        "test",
        "train",
        "val",
    ]


def test_multilabel_images_are_shared_out_by_what_they_show() -> None:
    rng = np.random.default_rng(2)
    flags = (rng.random((400, 3)) < [0.5, 0.2, 0.05]).astype(float)
    flags[rng.random((400, 3)) < 0.1] = np.nan
    records = _records([(f"p{i}", tuple(row)) for i, row in enumerate(flags.tolist())])
    splits = np.array(split_by_patient(records))
    assert Counter(splits.tolist())["train"] == pytest.approx(280, abs=12)
    for column in range(3):
        positive = flags[:, column] == 1
        share = (splits[positive] == "train").mean()
        assert share == pytest.approx(0.7, abs=0.05)
        assert {"train", "val", "test"} == set(splits[positive])


def test_unlabelled_images_and_other_fractions() -> None:
    records = _records([(f"p{i}", None) for i in range(100)])
    counts = Counter(split_by_patient(records, {"train": 3, "test": 1, "val": 0}))
    assert counts == {"train": 75, "test": 25}


def test_nothing_is_split_into_nothing() -> None:
    assert split_by_patient([]) == []


@pytest.mark.parametrize("fractions", [{"train": -1.0}, {"train": 0.0}, {"a": float("nan")}])
def test_fractions_that_are_no_shares_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(InputError, match="fractions"):
        split_by_patient(_records([("a", 0)]), fractions)
