"""Folders that may be written, notes on what differs, and whose figures are shown."""

from __future__ import annotations

import pytest

from softcam.errors import InputError
from softcam.report.reproduction.content import Published
from softcam.workflows.reproduce.plan import parts
from softcam.workflows.reproduce.reproduce import _notes, _part, check_out
from softcam.workflows.reproduce.settings import SETTINGS, make_reproduction
from softcam.workflows.reproduce.tables import PublishedFigures

KNOWN = PublishedFigures(
    {"notes": "read"},
    {("kaggle-dr", "onset1", "vgg16", "dense", "auc"): Published(0.942, "notes")},
)


def settings(tmp_path, **changes):
    values = {"data_set": "kaggle-dr", "data": tmp_path, "out": tmp_path / "out"}
    return make_reproduction({**values, "models": ["vgg16"], "tasks": ["onset1"], **changes})


def test_published_figures_are_shown_beside_the_papers_backbone_alone(tmp_path):
    for changes, shown in (
        ({}, {("dense", "auc"): Published(0.942, "notes")}),
        ({"tasks": ["levels"]}, {}),
        ({"training": {"model": "resnet10t"}}, {}),
    ):
        given = settings(tmp_path, **changes)
        (part,) = parts(given)
        assert _part(part, None, [], KNOWN, given).published == shown


def test_what_differs_from_the_paper_is_noted(tmp_path):
    weights = tmp_path / "w"
    weights.write_bytes(b"")
    faithful = settings(tmp_path, weights_vgg16=weights, splits=[tmp_path])
    assert _notes(faithful, parts(faithful)) == []
    other = settings(tmp_path, epochs=2, size=64, penalty_form="sum", training={"lr": 0.1})
    said = " ".join(_notes(other, parts(other)))
    for words in ("random weights", "epochs 2, size 64, lr 0.1", "form sum", "published size"):
        assert words in said
    assert "published ones (--splits)" in said


def test_a_folder_is_taken_only_where_nothing_else_lies(tmp_path):
    out = tmp_path / "out"
    check_out(out, "oct2017", resume=False)  # it need not exist
    out.mkdir()
    for name in ("published.yaml", "penalties.yaml", f".{SETTINGS}.x1"):
        (out / name).write_text("")
    check_out(out, "oct2017", resume=False)
    (out / "notes.txt").write_text("")
    with pytest.raises(InputError, match="is not empty and no reproduction"):
        check_out(out, "oct2017", resume=False)
    (out / SETTINGS).write_text("")
    check_out(out, "oct2017", resume=True)
    with pytest.raises(InputError, match="softcam reproduce oct2017 --resume --out"):
        check_out(out, "oct2017", resume=False)
    with pytest.raises(InputError, match="is a file"):
        check_out(out / SETTINGS, "oct2017", resume=False)
