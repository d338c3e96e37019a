"""Predictions are read back as they were measured, and what is damaged is named."""

import json

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.workflows.answered import read_answered
from tests.workflows.finished import CLASSES, finished, labels_of


@pytest.mark.parametrize("task", list(Task))
def test_labels_and_probabilities_come_back(task, tmp_path):
    run = finished(tmp_path / "run", task=task)
    found = read_answered(run)
    assert (found.task, found.classes) == (task, CLASSES[task])
    np.testing.assert_array_equal(found.labels, np.array(labels_of(task, 40)))
    assert found.images[:2] == ("0.png", "1.png")
    assert found.patients[:3] == ("p0", "p0", "p1")
    shape = (40, 3) if task is Task.MULTILABEL else (40,)
    assert found.calls.shape == shape
    assert np.isfinite(found.losses).sum() >= 39


def test_unknown_labels_stay_unknown(tmp_path):
    labels = [(1.0, np.nan, 0.0), (np.nan, np.nan, np.nan), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)] * 10
    run = finished(tmp_path / "run", task=Task.MULTILABEL, labels=labels)
    text = (run / "predictions.csv").read_text()
    assert "0.png,a|?b," in text
    assert "1.png,?a|?b|?c," in text
    np.testing.assert_array_equal(read_answered(run).labels, np.array(labels))


def test_unknown_labels_that_an_older_file_took_for_absent_are_noticed(tmp_path):
    labels = [(1.0, np.nan, 0.0), (0.0, 1.0, 0.0)] * 20
    run = finished(tmp_path / "run", task=Task.MULTILABEL, labels=labels)
    text = (run / "predictions.csv").read_text()
    (run / "predictions.csv").write_text(text.replace("a|?b", "a"))
    with pytest.raises(InputError, match="unknown labels from absent ones"):
        read_answered(run)


@pytest.mark.parametrize("one_logit", [False, True])
def test_probabilities_near_one_are_taken_from_the_logits(one_logit, tmp_path):
    run = finished(tmp_path / "run", one_logit=one_logit, skill=18.0)
    found = read_answered(run)
    assert len(np.unique(found.probabilities[:, 1])) > 30  # the column prob_dotted has ties at 1
    assert np.isfinite(found.losses).all()


def test_a_file_with_probabilities_only_will_do(tmp_path):
    run = finished(tmp_path / "run")
    whole = read_answered(run)
    lines = (run / "predictions.csv").read_text().splitlines()
    bare = [",".join(line.split(",")[:5] + line.split(",")[7:]) for line in lines]
    (run / "predictions.csv").write_text("\n".join(bare) + "\n")
    found = read_answered(run)
    np.testing.assert_allclose(found.probabilities, whole.probabilities, atol=1e-5)
    np.testing.assert_allclose(found.losses, whole.losses, rtol=1e-4)


def replace_in(name, old, new):
    def spoil(run):
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return spoil


def classified(**changes):
    def spoil(run):
        document = json.loads((run / "metrics.json").read_text())
        document["classification"] |= changes
        (run / "metrics.json").write_text(json.dumps(document))

    return spoil


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "predictions.csv").unlink(), "predictions.csv does not exist"),
        (lambda run: (run / "metrics.json").unlink(), "unfinished run"),
        (lambda run: (run / "metrics.json").write_text("{"), "is damaged"),
        (lambda run: (run / "metrics.json").write_text("[]"), "is damaged"),
        (classified(classes=None), "does not say task and classes"),
        (classified(classes=["plain"]), "does not say task and classes"),
        (classified(classes=["plain", "plain"]), "does not say task and classes"),
        (classified(positive="striped"), "does not say task and classes"),
        (classified(task="guessing"), "does not say task and classes"),
        (replace_in("predictions.csv", ",patient,", ",who,"), "no column 'patient'"),
        (replace_in("predictions.csv", "0.png,", "0.png,dotty,x,"), "row 2"),
        (lambda run: (run / "predictions.csv").write_text(""), "is empty"),
    ],
)
def test_what_is_damaged_is_named(spoil, message, tmp_path):
    run = finished(tmp_path / "run")
    spoil(run)
    with pytest.raises(InputError, match=message):
        read_answered(run)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        (1, "striped", "row 2: label: 'striped' is not one of plain, dotted"),
        (1, "", "row 2: label: '' is not one of"),
        (4, "striped", "row 2: predicted"),
        (5, "high", "row 2: logit_plain: 'high' is no finite number"),
        (6, "nan", "row 2: logit_dotted: 'nan' is no finite number"),
    ],
)
def test_a_bad_cell_is_named_with_its_row(column, value, message, tmp_path):
    run = finished(tmp_path / "run")
    lines = (run / "predictions.csv").read_text().splitlines()
    cells = lines[1].split(",")
    cells[column] = value
    lines[1] = ",".join(cells)
    (run / "predictions.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=message):
        read_answered(run)


def test_a_folder_that_is_no_run_is_named(tmp_path):
    with pytest.raises(InputError, match="no such run folder"):
        read_answered(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no metrics\.json"):
        read_answered(tmp_path)
