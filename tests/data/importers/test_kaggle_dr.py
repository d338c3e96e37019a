from __future__ import annotations

import pytest

from softcam.data.importers.kaggle_dr import plan
from softcam.data.spec import read_spec
from softcam.errors import InputError
from tests.data.importers import replicas


@pytest.fixture(scope="module")
def download(tmp_path_factory):
    return replicas.kaggle_dr(tmp_path_factory.mktemp("dr"))


def test_every_task_has_the_same_images_and_labels(download):
    plans = {task: plan(download, task) for task in ("onset1", "onset2", "levels")}
    items = plans["levels"].items
    assert all(other.items == items for other in plans.values())
    assert {item.label for item in items} == set("01234")
    assert plans["onset2"].labels == {
        "0": "no_referral",
        "1": "no_referral",
        "2": "referral",
        "3": "referral",
        "4": "referral",
    }


@pytest.mark.parametrize(
    ("task", "kind", "classes"),
    [("onset1", "binary", 2), ("onset2", "binary", 2), ("levels", "ordinal", 5)],
)
def test_the_meaning_is_one_that_dataset_yaml_takes(task, kind, classes, download, tmp_path):
    import yaml

    path = tmp_path / "dataset.yaml"
    path.write_text(yaml.safe_dump(plan(download, task).meaning))
    spec = read_spec(path)
    assert (spec.task, len(spec.classes)) == (kind, classes)
    assert spec.positive == (None if kind == "ordinal" else spec.classes[-1])


def test_the_patient_is_the_number_and_the_suffix_does_not_matter(download):
    items = {item.name: item for item in plan(download, "onset1").items}
    assert items["10_left"].patient == items["10_right"].patient == "10"
    assert items["11_left"].source.endswith("11_left.jpg")
    assert "13_left" not in items


def test_a_file_that_is_there_twice_is_taken_once(tmp_path):
    root = replicas.kaggle_dr(tmp_path, patients=8)
    copy = (root / "train" / "train" / "10_left.jpeg").read_bytes()
    replicas.put(root / "10_left.jpeg", copy)
    made = plan(root, "onset1")
    assert [item.source for item in made.items if item.name == "10_left"] == ["10_left.jpeg"]
    left = {x.what: x.reason for x in made.left_out}
    assert left["train/train/10_left.jpeg"] == "another file has this name; that is taken"


def test_the_test_set_of_the_competition_is_no_problem(tmp_path):
    root = replicas.kaggle_dr(tmp_path, patients=8)
    replicas.put(root / "test" / "5_left.jpeg", b"x")
    left = {x.what: x.problem for x in plan(root, "onset1").left_out}
    assert left["test/5_left.jpeg"] is False
    assert left["train/train/900_left.jpeg"] is True


def test_another_table_is_refused(tmp_path):
    replicas.write_csv(tmp_path / "trainLabels.csv", ("image", "grade"), [("1_left", 0)])
    with pytest.raises(InputError, match="no column 'level'"):
        plan(tmp_path, "onset1")
    replicas.write_csv(tmp_path / "b" / "trainLabels.csv", ("image", "level"), [])
    with pytest.raises(InputError, match=r"2 files called trainLabels\.csv"):
        plan(tmp_path, "onset1")
