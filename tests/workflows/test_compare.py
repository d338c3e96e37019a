"""Runs are compared image by image; other images, labels and patients are named."""

import csv
import json
import shutil

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.workflows.answered import read_answered
from softcam.workflows.compare import compare, compare_runs
from tests.workflows.finished import finished


@pytest.fixture
def pair(tmp_path):
    return [
        finished(tmp_path / "dense", skill=1.0),
        finished(tmp_path / "sparse", skill=2.0, settings={"l1": 0.1}),
    ]


def edit(run, old, new):
    path = run / "predictions.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize("task", list(Task))
def test_values_are_those_of_the_runs_own_metrics(task, tmp_path):
    runs = [
        finished(tmp_path / "a", task=task),
        finished(tmp_path / "b", task=task, skill=2.0, settings={"l1": 0.1}),
    ]
    found = compare(runs, resamples=20)
    for row, run in enumerate(runs):
        own = json.loads((run / "metrics.json").read_text())["classification"]["intervals"]
        assert set(own) | {"loss"} == {one.key for one in found.measures}
        for one in found.measures:
            if one.key in own:
                assert one.values[row].value == pytest.approx(own[one.key]["value"], abs=2e-5)


def test_seeds_make_one_row_with_their_spread(tmp_path):
    dense = [finished(tmp_path / f"dense-s{seed}", seed=seed) for seed in range(3)]
    sparse = [
        finished(tmp_path / f"sparse-s{seed}", seed=seed, skill=2.0, settings={"l1": 0.1})
        for seed in range(3)
    ]
    found = compare([*dense, *sparse], resamples=50, measures=["auc"])
    assert [group.label for group in found.groups] == ["dense (3 seeds)", "sparse (3 seeds)"]
    each = [
        compare([run, other], resamples=10, measures=["auc"]).measures[0].values[1].value
        for run, other in zip(dense, sparse, strict=True)
    ]
    one = found.measures[0]
    assert one.values[1].value == pytest.approx(np.mean(each), abs=1e-12)
    assert one.spreads[1].sd == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    drawn = compare([*dense, *sparse], resamples=50, measures=["auc"], draw_seeds=True)
    assert drawn.measures[0].values[1].value == one.values[1].value
    assert drawn.measures[0].errors[1] != one.errors[1]


def test_a_copy_of_a_run_differs_by_nothing(pair, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(pair[0], copy)
    for one in compare([pair[0], copy], resamples=100).measures:
        gap = one.differences[1]
        assert (gap.value, gap.low, gap.high, one.p[1]) == (0, 0, 0, 1), one.key


def test_the_order_of_the_images_does_not_matter(pair):
    before = compare(pair, resamples=30)
    path = pair[1] / "predictions.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    after = compare(pair, resamples=30)
    for one, other in zip(before.measures, after.measures, strict=True):
        np.testing.assert_array_equal(one.p, other.p)
        assert str(one.differences) == str(other.differences)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n7.png,", "\nseven.png,", r"sparse: has no prediction for 7\.png"),
        ("3.png,dotted,", "3.png,plain,", r"another label for 3\.png"),
        (",p4,", ",p9,", r"another patient for 8\.png \(p9\)"),
        ("\n7.png,", "\n6.png,", r"no prediction for 7\.png"),
    ],
)
def test_the_first_image_that_differs_is_named(pair, old, new, message):
    edit(pair[1], old, new)
    with pytest.raises(InputError, match=message):
        compare(pair, resamples=10)


def test_an_image_that_only_the_second_run_has_is_named(pair):
    text = (pair[0] / "predictions.csv").read_text().splitlines()
    (pair[0] / "predictions.csv").write_text("\n".join(text[:-1]) + "\n")
    with pytest.raises(InputError, match=r"dense: has no prediction for 39\.png"):
        compare(pair, resamples=10)


def test_an_image_named_twice_is_refused(pair):
    for run in pair:
        lines = (run / "predictions.csv").read_text().splitlines()
        (run / "predictions.csv").write_text("\n".join([*lines, lines[1]]) + "\n")
    path = pair[1] / "predictions.csv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *reversed(rows)]) + "\n")
    with pytest.raises(InputError, match="names an image twice"):
        compare(pair, resamples=10)


def test_other_classes_or_another_task_are_refused(pair, tmp_path):
    other = finished(tmp_path / "other", task=Task.ORDINAL)
    with pytest.raises(InputError, match="its task is ordinal, that of"):
        compare([pair[0], other], resamples=10)


def test_the_split_is_chosen_or_named(tmp_path):
    runs = [
        finished(tmp_path / "a", splits=("test", "val")),
        finished(tmp_path / "b", splits=("test", "val"), settings={"l1": 0.1}),
    ]
    assert compare(runs, resamples=10).counts["images"] == 20
    assert compare(runs, resamples=10).settings["split"] == "test"
    assert compare(runs, split="val", resamples=10).counts["images"] == 20
    assert compare(runs, split="all", resamples=10).counts["images"] == 40
    with pytest.raises(InputError, match=r"has no train images \(test, val\)"):
        compare(runs, split="train", resamples=10)


def test_images_without_splits_are_all_taken(tmp_path):
    runs = [
        finished(tmp_path / "a", splits=(None,)),
        finished(tmp_path / "b", splits=(None,), settings={"l1": 0.1}),
    ]
    found = compare(runs, resamples=10)
    assert (found.counts["images"], found.settings["split"]) == (40, "")


def test_one_class_only_is_undefined_and_counted(tmp_path):
    runs = [
        finished(tmp_path / "a", labels=[1] * 40),
        finished(tmp_path / "b", labels=[1] * 40, settings={"l1": 0.1}),
    ]
    found, folder = compare_runs(runs, out=tmp_path / "out", resamples=20)
    document = json.loads((folder / "compare.json").read_text())
    auc = document["measures"]["auc"]["b"]
    assert auc["value"] is None
    assert auc["difference"]["p"] is None
    assert auc["delong"]["p"] is None
    defined = [one for one in found.measures if np.isfinite(one.p[1])]
    assert document["comparisons"] == len(defined) < len(found.measures)
    assert "n/a" in (folder / "compare.md").read_text()


def test_files_hold_the_same_numbers_and_the_json_comes_last(pair, tmp_path):
    found, folder = compare_runs(pair, resamples=50, reference="sparse")
    assert folder == tmp_path / "comparison"
    assert {path.name for path in folder.iterdir()} == {
        "compare.json", "compare.csv", "compare-models.csv", "compare.md", "compare.tex",
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "compare.csv").open(newline="")))
    document = json.loads((folder / "compare.json").read_text())
    by_label = {(row["Measure"], row["Model"]): row for row in rows}
    auc = by_label["AUC (ROC) ↑", "dense"]
    entry = document["measures"]["auc"]["dense"]
    assert float(auc["Difference low"]) == pytest.approx(entry["difference"]["low"], rel=1e-5)
    assert float(auc["p (Holm)"]) == pytest.approx(entry["difference"]["p_holm"], rel=1e-5)
    assert float(auc["p (DeLong)"]) == pytest.approx(entry["delong"]["p"], rel=1e-5)
    assert by_label["AUC (ROC) ↑", "sparse"]["Difference"] == ""
    shown = f"{entry['difference']['value']:.3f} [{entry['difference']['low']:.3f}, "
    assert shown in (folder / "compare.md").read_text()
    latex = (folder / "compare.tex").read_text().replace("$-$", "-")
    assert f"{entry['difference']['value']:.3f} {{\\tiny [" in latex
    assert "difference" not in document["measures"]["auc"]["sparse"]
    assert found.groups[found.reference].name == "sparse"
    compare_runs(pair, resamples=10)  # a former comparison is replaced


def test_the_same_call_writes_the_same_bytes(pair, tmp_path):
    for name in ("one", "two"):
        compare_runs(pair, resamples=30, seed=4, out=tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_folder_with_other_files_is_left_alone(pair, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    with pytest.raises(InputError, match="other files"):
        compare_runs(pair, out=tmp_path / "notes")
    with pytest.raises(InputError, match="holds a run"):
        compare_runs(pair, out=pair[0])
    with pytest.raises(InputError, match="is a file"):
        compare_runs(pair, out=tmp_path / "notes" / "mine.txt")


def test_one_model_is_nothing_to_compare(pair, tmp_path):
    with pytest.raises(InputError, match="at least two"):
        compare(pair[:1])
    other = finished(tmp_path / "dense-again", seed=1)
    with pytest.raises(InputError, match="differ in the seed alone"):
        compare([pair[0], other])


def test_a_foreign_model_is_compared_by_its_probabilities_alone(pair):
    lines = (pair[1] / "predictions.csv").read_text().splitlines()
    bare = [",".join(line.split(",")[:5] + line.split(",")[7:]) for line in lines]
    (pair[1] / "predictions.csv").write_text("\n".join(bare) + "\n")
    (pair[1] / "config.yaml").unlink()
    found = compare(pair, resamples=10, measures=["auc", "loss"])
    assert len(read_answered(pair[1]).images) == 40
    assert all(np.isfinite(one.p[1]) for one in found.measures)
