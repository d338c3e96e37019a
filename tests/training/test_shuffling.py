"""Labels in random order: which change places, and which stay."""

from collections import Counter

import pytest

from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.evidence.info import Task
from softcam.training.config import make_config
from softcam.training.shuffling import has_shuffled_labels, learned_split


def table_of(labels=None):
    splits = ["train"] * 40 + ["val"] * 40 + ["test"] * 10
    labels = labels or [int(row % 4 == 0) for row in range(90)]
    records = tuple(
        Record(f"{row}.png", f"{row}.png", labels[row], split, f"p{row}", row)
        for row, split in enumerate(splits)
    )
    return Table("t.csv", records, DatasetSpec(Task.BINARY, ("a", "b"), "b"))


def settings(**given):
    return make_config({"table": "t.csv", "out": "run", **given})


def labels_of(split, **given):
    return [r.label for r in learned_split(table_of(), split, settings(**given)).records]


def test_without_the_setting_labels_are_the_tables():
    table = table_of()
    assert learned_split(table, "train", settings()) == table.subset("train")


@pytest.mark.parametrize("split", ["train", "val"])
def test_labels_change_places_and_nothing_else_does(split):
    table = table_of()
    before, after = table.subset(split), learned_split(table, split, settings(shuffle_labels=True))
    assert Counter(r.label for r in after.records) == Counter(r.label for r in before.records)
    moved = sum(a.label != b.label for a, b in zip(after.records, before.records, strict=True))
    assert 5 <= moved <= 30  # of 40; 15 are to be expected where one in four is ill
    assert [(r.name, r.split, r.patient, r.row) for r in after.records] == [
        (r.name, r.split, r.patient, r.row) for r in before.records
    ]
    assert table == table_of()  # it stays as it was: the test labels are read from it


def test_the_order_follows_from_seed_and_split():
    shuffled = labels_of("train", shuffle_labels=True)
    assert shuffled == labels_of("train", shuffle_labels=True)
    assert shuffled != labels_of("train", shuffle_labels=True, seed=1)
    assert shuffled != labels_of("val", shuffle_labels=True)  # of the same labels in that order


def test_labels_of_several_findings_move_together():
    table = table_of([(float(row), float("nan")) for row in range(90)])
    after = learned_split(table, "train", settings(shuffle_labels=True))
    assert sorted(r.label[0] for r in after.records) == list(range(40))
    assert [r.label[0] for r in after.records] != list(range(40))


def test_the_twin_learns_the_same_labels():
    twin = settings(shuffle_labels=True, with_twin=True).for_twin()
    assert twin.shuffle_labels
    table = table_of()
    assert learned_split(table, "train", twin) == learned_split(
        table, "train", settings(shuffle_labels=True)
    )


def test_a_models_description_tells():
    assert has_shuffled_labels({"config": settings(shuffle_labels=True).model_dump(mode="json")})
    assert not has_shuffled_labels({"config": settings().model_dump(mode="json")})
    assert not has_shuffled_labels({"config": {}})  # of an older version
    assert not has_shuffled_labels({})
