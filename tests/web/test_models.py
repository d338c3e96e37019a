from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.web import models
from softcam.web.models import open_models, serve_predictor
from tests.web.conftest import Blocks


@pytest.fixture
def opened(monkeypatch):
    monkeypatch.setattr(models, "open_predictor", lambda run: Blocks())


def file_in(folder: Path, name: str = "model.safetensors") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(str(folder).encode())
    return folder / name


def test_models_are_called_after_their_folder_or_file(opened, tmp_path):
    folder = file_in(tmp_path / "a run").parent
    inside = file_in(tmp_path / "other")
    exported = file_in(tmp_path / "exports", "eyes.onnx")
    found = open_models([folder, inside, exported])
    assert list(found) == ["a_run", "other", "eyes"]
    assert found["eyes"].digest == hashlib.sha256(exported.read_bytes()).hexdigest()
    assert found["a_run"].digest == hashlib.sha256(f"{folder}".encode()).hexdigest()


def test_names_that_are_alike_are_told_apart_by_their_parents(opened, tmp_path):
    runs = [file_in(tmp_path / name / "seed0").parent for name in ("dense", "focused")]
    assert list(open_models(runs)) == ["dense-seed0", "focused-seed0"]


def test_the_same_run_twice_and_none_at_all_are_refused(opened, tmp_path):
    run = file_in(tmp_path / "run").parent
    with pytest.raises(InputError, match="twice"):
        open_models([run, run / ".." / "run"])
    with pytest.raises(InputError, match="no model"):
        open_models([])


def test_a_model_without_preprocessing_is_refused_by_name():
    with pytest.raises(InputError, match=r"eyes.*preprocessing"):
        serve_predictor("eyes", Blocks(ModelInfo()))


def test_a_model_that_says_little_has_numbered_classes():
    info = ModelInfo(preprocessing=Blocks().info.preprocessing)
    served = serve_predictor("plain", Blocks(info))
    assert served.task is Task.MULTICLASS
    assert served.classes == ("class 0", "class 1")
    assert np.asarray(served.warm_up()).shape == (1, 2)
