"""Evaluation and explanation over several views of each image."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from tests.system.conftest import FAST


def logits(path):
    rows = list(csv.DictReader(path.open()))
    return np.array([[float(row["logit_plain"]), float(row["logit_dotted"])] for row in rows])


def test_evaluation_averages_views_and_says_so(trained, softcam, tmp_path):
    data, run = trained
    plain, flips = tmp_path / "plain", tmp_path / "flips"
    twin = ("--twin", run / "twin")
    assert softcam("evaluate", run, data, "--out", plain, *twin).code == 0
    result = softcam("evaluate", run, data, "--out", flips, "--tta", "flips", *twin)
    assert result.code == 0, result.err
    one, other = (logits(folder / "predictions.csv") for folder in (plain, flips))
    assert np.abs(one - other).max() > 0
    settings = [json.loads((p / "metrics.json").read_text())["settings"] for p in (plain, flips)]
    assert "tta" not in settings[0]
    assert settings[1]["tta"] == "flips, 2 views; Grad-CAM one"


def test_each_way_to_look_has_its_own_folder(trained, softcam):
    data, run = trained
    result = softcam("evaluate", run, data, "--tta", "flips")
    assert result.code == 0, result.err
    assert (run / "evaluation-dots-test-flips" / "metrics.json").is_file()


def test_explanations_over_views_are_written(trained, softcam, tmp_path):
    data, run = trained
    images = sorted((data / "images").iterdir())[:2]
    for tta in ("none", "flips"):
        result = softcam("explain", run, *images, "--out", tmp_path / tta, "--tta", tta)
        assert result.code == 0, result.err
    names = [sorted(path.name for path in (tmp_path / tta).iterdir()) for tta in ("none", "flips")]
    assert names[0] == names[1]
    changed = [n for n in names[0] if n.endswith(".json")]
    assert all(
        (tmp_path / "none" / n).read_text() != (tmp_path / "flips" / n).read_text() for n in changed
    )
    assert len(changed) == 2


@pytest.mark.parametrize("tta", ["rotations", "often"])
def test_views_that_do_not_fit_are_refused_before_anything_is_written(
    tta, trained, softcam, tmp_path
):
    data, run = trained
    for words in (("evaluate", run, data), ("explain", run, data / "images" / "0.png")):
        result = softcam(*words, "--out", tmp_path / "out", "--tta", tta)
        assert result.code == 2
        assert "tta: " in result.err
        assert not (tmp_path / "out").exists()


def test_a_model_of_chests_is_not_mirrored(dots, softcam, tmp_path):
    run = tmp_path / "run"
    assert softcam("train", dots, "--out", run, *FAST, "--augment", "chest").code == 0
    result = softcam("evaluate", run, dots, "--tta", "flips")
    assert result.code == 2
    assert "the heart has a side" in result.err
