import dataclasses

import numpy as np
import pytest

from softcam.data.table import read_table
from softcam.evidence.info import ModelInfo, Task
from softcam.training.config import TrainConfig
from softcam.training.run import Run
from softcam.workflows.models import new_model
from softcam.workflows.sweep.judge import (
    Judging,
    digest_of_judging,
    judge_once,
    read_judged,
    read_split,
    split_of,
)
from tests.system.conftest import draw_dots


@pytest.fixture
def made(tmp_path):
    """Settings whose run folder holds an untrained model."""
    data = draw_dots(tmp_path / "dots")
    config = TrainConfig(
        table=data / "table.csv", out=tmp_path / "run", model="resnet18", stages=1, size=32
    )
    config.out.mkdir()
    new_model(config, read_table(config.table), 2).save(Run(config.out).model)
    return config


def test_what_was_judged_is_read_again(made, tmp_path):
    path = tmp_path / "judged" / "a.json"
    found = judge_once(made, "val", Judging(), path)
    again = read_judged(path)
    for name in ("patients", "cases"):
        assert getattr(found, name) == getattr(again, name)
    for name in ("labels", "probabilities"):
        np.testing.assert_array_equal(getattr(found, name), getattr(again, name))
        assert getattr(found, name).dtype == getattr(again, name).dtype
    for name, values in found.measures.items():
        np.testing.assert_array_equal(values, again.measures[name])
    assert again.info.classes == found.info.classes
    assert len(found.patients) == 6 and len(found.cases) == 3


def test_multi_label_answers_are_read_again(tmp_path):
    from softcam.workflows.sweep.judge import Judged, _from_json, _to_json

    info = ModelInfo(task=Task.MULTILABEL, classes=("a", "b"))
    labels = np.array([[0.0, np.nan], [1.0, 1.0]])
    judged = Judged(info, ("p", "q"), labels, np.full((2, 2), 0.5), ("p",), {})
    np.testing.assert_array_equal(_from_json(_to_json(judged)).labels, labels)


def test_it_is_not_judged_twice(made, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    judge_once(made, "val", Judging(), path)
    monkeypatch.setattr("softcam.workflows.sweep.judge.judge", None)  # calling it would fail
    judge_once(made, "val", Judging(), path)
    with pytest.raises(TypeError):
        judge_once(made, "val", Judging(maps="contrast"), path)


def test_a_damaged_judgement_counts_as_missing(made, tmp_path):
    path = tmp_path / "a.json"
    judge_once(made, "val", Judging(), path)
    path.write_text(path.read_text()[:100])
    assert read_judged(path) is None
    assert read_judged(tmp_path / "none.json") is None
    judge_once(made, "val", Judging(), path)
    assert read_judged(path) is not None


def test_other_weights_labels_images_or_settings_are_judged_anew(made):
    run, how = Run(made.out), Judging()
    table = read_split(made, "val", annotated=False)
    first = digest_of_judging(run, table, how)
    assert digest_of_judging(run, table, how) == first
    assert digest_of_judging(run, table, dataclasses.replace(how, limit=3)) != first
    record = table.records[0]
    other = dataclasses.replace(record, label=1 - record.label)
    changed = dataclasses.replace(table, records=(other, *table.records[1:]))
    assert digest_of_judging(run, changed, how) != first
    record.image.write_bytes(record.image.read_bytes() + b"\0")
    assert digest_of_judging(run, table, how) != first
    run.model.write_bytes(run.model.read_bytes() + b"\0")
    assert digest_of_judging(run, table, how) != digest_of_judging(run, changed, how)


def test_annotations_are_not_seen_unless_allowed(made):
    assert read_split(made, "val", annotated=False).annotations is None
    assert read_split(made, "val", annotated=True).annotations is not None
    whole = read_table(made.table)
    assert {record.split for record in split_of(whole, "val", annotated=False).records} == {"val"}
