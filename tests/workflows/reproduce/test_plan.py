"""What is trained for each task and backbone, and that it is the paper's."""

from __future__ import annotations

import pytest

from softcam.errors import InputError
from softcam.workflows.reproduce.papers import DATA_SETS, MODELS
from softcam.workflows.reproduce.plan import parts, training_of
from softcam.workflows.reproduce.settings import make_reproduction, reproduction_for


def settings(tmp_path, **changes):
    values = {"data_set": "kaggle-dr", "data": tmp_path, "out": tmp_path / "out"}
    return make_reproduction({**values, **changes})


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_task_and_backbone_has_the_papers_five_models(name, tmp_path):
    planned = parts(settings(tmp_path, data_set=name))
    tasks = [task.name for task in DATA_SETS[name].tasks]
    assert [(p.task.name, p.model) for p in planned] == [(t, m) for t in tasks for m in MODELS]
    for part in planned:
        assert list(part.names) == ["black-box", "dense", "sparse", "smooth", "elastic"]
        found = part.recipes()
        assert [bool(r.config.l1) for r in found.values()] == [False, False, True, False, True]
        assert [bool(r.config.l2) for r in found.values()] == [False, False, False, True, True]
        assert found["black-box"].config.black_box
        dense = training_of(part, "dense")
        assert (dense.optimizer, dense.lr, dense.epochs, dense.batch_size) == ("sgd", 1e-3, 50, 12)
        assert (dense.penalty_form, dense.split_seed) == ("norm", 0)
        assert dense.mode == ("fresh" if part.model == "vgg16" else "exact")
        assert dense.size[0] == (496 if name == "oct2017" else 512)


def test_options_reach_every_run(tmp_path):
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(b"")
    given = {"models": ["vgg16"], "tasks": ["levels"], "seeds": [3, 5], "epochs": 2, "size": 64}
    given |= {"weights_vgg16": weights, "training": {"lr": 0.5}, "penalty_form": "mean", "jobs": 2}
    (part,) = parts(settings(tmp_path, **given))
    assert (part.sweep.seeds, part.sweep.jobs) == ((3, 5), 2)
    for role in part.names:
        config = training_of(part, role)
        assert (config.epochs, config.size, config.lr) == (2, (64, 64), 0.5)
        assert config.weights == weights
    assert training_of(part, "sparse").penalty_form == "mean"


def test_weights_in_the_folder_win_and_another_file_is_refused(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "penalties.yaml").write_text("kaggle-dr: {onset1: {vgg16: {l1: 0.5}}}", "utf-8")
    found = {part.key: part.weights() for part in parts(settings(tmp_path))}
    assert found["onset1-vgg16"] == {"sparse": (0.5, 0.0)}
    assert found["levels-resnet50"] == {}
    other = tmp_path / "other.yaml"
    other.write_text("kaggle-dr: {onset1: {vgg16: {l1: 0.25}}}", "utf-8")
    with pytest.raises(InputError, match="differs from"):
        parts(settings(tmp_path, penalties=other))


def test_resuming_may_change_means_and_parts_but_not_what_is_trained(tmp_path):
    first = settings(tmp_path, epochs=3)
    first.out.mkdir()
    (first.out / "reproduce.yaml").write_text(first.to_yaml(), "utf-8")
    wider = reproduction_for({"out": first.out, "seeds": [0, 1], "jobs": 4}, resume=True)
    assert (wider.seeds, wider.jobs, wider.epochs) == ((0, 1), 4, 3)
    with pytest.raises(InputError, match="was started with epochs 3, not 4"):
        reproduction_for({"out": first.out, "epochs": 4}, resume=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"models": ["resnet18"]}, "models"),
        ({"tasks": ["four"]}, "kaggle-dr has no task 'four'; use onset1, levels"),
        ({"training": {"seed": 1}}, "seed cannot be set here"),
        ({"training": {"model": "resnet18"}}, "give one with --models"),
        ({"splits": ["a"], "resplit": True}, "either splits or resplit"),
        ({"seeds": [-1]}, "seeds"),
        ({"max_hours": 0}, "max_hours"),
    ],
)
def test_wrong_settings_are_one_sentence(changes, said, tmp_path):
    with pytest.raises(InputError, match=said) as caught:
        settings(tmp_path, **changes)
    assert "\n" not in str(caught.value)


def test_a_wrong_training_setting_is_named(tmp_path):
    with pytest.raises(InputError, match="no such setting"):
        parts(settings(tmp_path, training={"learning": 1}))
