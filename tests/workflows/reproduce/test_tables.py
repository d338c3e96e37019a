"""Penalty weights and published figures: what comes with softcam, and what a user may write."""

from __future__ import annotations

import pytest

from softcam.errors import InputError
from softcam.report.reproduction.content import Published
from softcam.workflows.reproduce.papers import DATA_SETS, MODELS
from softcam.workflows.reproduce.tables import (
    PENALTIES,
    PUBLISHED,
    Penalty,
    packaged,
    read_penalties,
    read_published,
    write_once,
)

PARTS = {
    (name, task.name, model)
    for name, about in DATA_SETS.items()
    for task in about.tasks
    for model in MODELS
}


def file(tmp_path, text, name="x.yaml"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_the_packaged_weights_cover_every_part_and_name_their_source(tmp_path):
    found = read_penalties(file(tmp_path, packaged(PENALTIES)))
    assert set(found) == PARTS
    assert {one.source for one in found.values()} == {"notes", "repository", "assumed"}
    assert all(one.l1 > 0 and one.l2 > 0 for one in found.values())
    assert found["kaggle-dr", "onset1", "resnet50"] == Penalty(5e-5, 7e-5, "notes")


def test_every_packaged_figure_names_a_source_and_lists_every_part(tmp_path):
    found = read_published(file(tmp_path, packaged(PUBLISHED)))
    assert found.figures and all(one.source in found.sources for one in found.figures.values())
    assert {one.source for one in found.figures.values()} == {"notes"}
    vgg = found.of("kaggle-dr", "onset1", "vgg16")
    assert vgg["dense", "auc"] == Published(0.942, "notes")
    assert ("smooth", "auc") not in vgg  # null: not known


def test_roles_follow_the_weights_that_are_known():
    assert Penalty(0.1, 0.2).roles() == {
        "sparse": (0.1, 0.0),
        "smooth": (0.0, 0.2),
        "elastic": (0.1, 0.2),
    }
    assert Penalty(0.1, None).roles() == {"sparse": (0.1, 0.0)}
    assert Penalty().roles() == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mnist: {}", "mnist: is no data set"),
        ("kaggle-dr: {onset9: {}}", "kaggle-dr.onset9: is no task; use onset1, levels"),
        ("kaggle-dr: {onset1: {alexnet: {}}}", "onset1.alexnet: is no model"),
        ("kaggle-dr: {onset1: {vgg16: {l3: 1}}}", "vgg16: l3 is none of l1, l2, source"),
        ("kaggle-dr: {onset1: {vgg16: {l1: -1}}}", "vgg16.l1: -1 is no weight"),
        ("kaggle-dr: {onset1: {vgg16: {l2: much}}}", "vgg16.l2: 'much' is no weight"),
        ("kaggle-dr: {onset1: {vgg16: {l2: .nan}}}", "vgg16.l2: nan is no weight"),
        ("kaggle-dr: 3", "kaggle-dr: must hold tasks, not 3"),
        ("[", "no valid YAML"),
    ],
)
def test_wrong_weights_are_named(text, said, tmp_path):
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        read_penalties(file(tmp_path, text))


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("dense: {auc: high}", "vgg16.dense.auc: 'high' is no number"),
        ("dense: {auc: true}", "vgg16.dense.auc: True is no number"),
        ("dense: {auk: 1}", "vgg16.dense.auk: is no measure"),
        ("denser: {auc: 1}", "vgg16.denser: is no model"),
        ("dense: {auc: {value: 1, source: me}}", "the source 'me' is not under sources"),
        ("dense: {auc: {valeu: 1}}", "valeu is none of value, source"),
        ("dense: 1", "vgg16.dense: must hold measures, not 1"),
    ],
)
def test_wrong_figures_are_named(inner, said, tmp_path):
    text = f"figures: {{kaggle-dr: {{onset1: {{vgg16: {{{inner}}}}}}}}}"
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        read_published(file(tmp_path, text))


def test_a_post_hoc_method_and_a_bare_number_will_do(tmp_path):
    text = "figures: {oct2017: {drusen: {vgg16: {grad-cam: {deletion_auc: 0.5}}}}}"
    found = read_published(file(tmp_path, text))
    assert found.of("oct2017", "drusen", "vgg16") == {
        ("grad-cam", "deletion_auc"): Published(0.5, "")
    }


def test_what_a_user_has_edited_is_not_written_over(tmp_path):
    write_once(tmp_path, PUBLISHED, "first")
    assert write_once(tmp_path, PUBLISHED, "second").read_text("utf-8") == "first"
