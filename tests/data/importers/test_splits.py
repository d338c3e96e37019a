from __future__ import annotations

import pytest

from softcam.data.importers.plan import Item, Plan
from softcam.data.importers.splits import make_splits, take_splits
from softcam.errors import InputError


def oct_plan() -> Plan:
    items = [
        Item(f"O/{s}/{k}/{k}-{p}-{n}.jpeg", f"{s}/{k}/{k}-{p}-{n}", k, str(p), s)
        for s, k, p, n in [
            ("train", "NORMAL", 1, 1),
            ("train", "NORMAL", 1, 2),
            ("train", "DRUSEN", 2, 1),
            ("train", "DRUSEN", 3, 1),
            ("test", "NORMAL", 4, 1),
            ("test", "DRUSEN", 2, 2),
        ]
    ]
    return Plan(items, split_cells={"drusen": {"NORMAL": "0", "DRUSEN": "1"}})


def write(folder, **tables: str):
    folder.mkdir(exist_ok=True)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def by_name(plan: Plan) -> dict[str, str]:
    return {item.name.rpartition("/")[2]: item.split for item in plan.items}


def reasons(plan: Plan) -> dict[str, str]:
    return {left.what.rpartition("/")[2]: left.reason for left in plan.left_out}


def test_published_tables_name_the_split_by_their_file_and_not_by_their_column_type(tmp_path):
    """The published OCT tables: .png for .jpeg, and a column `type` that says otherwise."""
    head = "patient_id,filename,type,drusen\n"
    folder = write(
        tmp_path / "csv",
        train=head + "1,train/NORMAL/NORMAL-1-1.png,Train,0\n1,train/NORMAL/NORMAL-1-2.png,Val,0\n",
        val=head + "3,train/DRUSEN/DRUSEN-3-1.png,Train,1\n",
        test=head + "4,test/NORMAL/NORMAL-4-1.png,,0\n9,test/NORMAL/NORMAL-9-9.png,,0\n",
    )
    plan = oct_plan()
    assert take_splits(plan, [folder])
    assert by_name(plan) == {
        "NORMAL-1-1": "train",
        "NORMAL-1-2": "train",
        "DRUSEN-3-1": "val",
        "NORMAL-4-1": "test",
    }
    assert reasons(plan) == {
        "DRUSEN-2-1.jpeg": "the split tables do not list it",
        "DRUSEN-2-2.jpeg": "the split tables do not list it",
        "NORMAL-9-9": "a split table lists it, the download lacks it",
    }
    assert [left.problem for left in plan.left_out] == [False, False, True]


def test_base_names_and_a_split_column_will_do(tmp_path):
    folder = write(
        tmp_path / "csv", all="image,split\nNORMAL-1-1.png,train\nDRUSEN-2-1,Validation\n"
    )
    plan = oct_plan()
    take_splits(plan, [folder / "all.csv"])
    assert by_name(plan) == {"NORMAL-1-1": "train", "DRUSEN-2-1": "val"}


def test_folders_that_disagree_are_two_images(tmp_path):
    folder = write(tmp_path / "csv", train="filename\nx/train/NORMAL/NORMAL-4-1.png\n")
    plan = oct_plan()
    take_splits(plan, [folder])
    assert by_name(plan) == {}
    folder = write(tmp_path / "csv", train="filename\nx/test/NORMAL/NORMAL-4-1.png\n")
    plan = oct_plan()
    take_splits(plan, [folder])
    assert by_name(plan) == {"NORMAL-4-1": "train"}


def test_patients_will_do(tmp_path):
    folder = write(
        tmp_path / "csv", kaggle_train_reduce="patient_id\n1\n2\n", my_test="patient_id\n4\n"
    )
    plan = oct_plan()
    take_splits(plan, [folder])
    assert by_name(plan) == {
        "NORMAL-1-1": "train",
        "NORMAL-1-2": "train",
        "DRUSEN-2-1": "train",
        "DRUSEN-2-2": "train",
        "NORMAL-4-1": "test",
    }


def test_a_label_that_contradicts_the_download_is_left_out(tmp_path):
    folder = write(
        tmp_path / "csv", train="filename,drusen\nNORMAL-1-1.png,1\nDRUSEN-2-1.png,1.0\n"
    )
    plan = oct_plan()
    take_splits(plan, [folder])
    assert by_name(plan) == {"DRUSEN-2-1": "train"}
    assert reasons(plan)["NORMAL-1-1.jpeg"] == "its label in the split table is another"


def test_a_torn_patient_stays_in_test():
    plan = oct_plan()
    assert take_splits(plan, [])
    assert "DRUSEN-2-1" not in by_name(plan)
    assert by_name(plan)["DRUSEN-2-2"] == "test"
    assert reasons(plan) == {"DRUSEN-2-1.jpeg": "it is in train and its patient is in test too"}
    assert any("1 patient(s) are in more than one" in note for note in plan.notes)


def test_splits_are_made_where_none_are_known_or_wanted():
    plan = oct_plan()
    assert not take_splits(plan, [], resplit=True)
    items = [Item(f"{i}.png", str(i), str(i % 3 == 0), str(i // 2)) for i in range(100)]
    assert not take_splits(Plan(items), [])
    made = make_splits(items, seed=1)
    assert made == make_splits(items, seed=1) != make_splits(items, seed=2)
    assert all(a.split == b.split for a, b in zip(made[::2], made[1::2], strict=True))
    assert {item.split for item in made} == {"train", "val", "test"}


def test_several_labels_are_shared_out_too():
    items = [Item(f"{i}.png", str(i), "", "", flags=(str(i % 2), "", "1")) for i in range(30)]
    assert {item.split for item in make_splits(items, seed=0)} == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"train": "name\na\n"}, "none of the columns"),
        ({"list": "image\na\n"}, "call it train.csv"),
        ({"train_and_test": "image\na\n"}, "call it train.csv"),
        ({"all": "image,split\na,later\n"}, "'later' is unknown"),
        ({"train": "image\na.png\n", "val": "image\na.jpeg\n"}, "keep it in one"),
        ({}, "holds no split table"),
    ],
)
def test_a_split_table_that_cannot_be_used_is_named(tables, words, tmp_path):
    with pytest.raises(InputError, match=words):
        take_splits(oct_plan(), [write(tmp_path / "csv", **tables)])
