from __future__ import annotations

import pytest

from softcam.errors import InputError
from softcam.training.run import Run
from softcam.workflows.predictors import model_file_of


@pytest.mark.parametrize("kind", [str, lambda path: path, Run])
def test_the_file_of_a_run_folder_is_its_model(kind, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"x")
    assert model_file_of(kind(tmp_path)) == tmp_path / "model.safetensors"


def test_a_file_is_itself(tmp_path):
    (tmp_path / "graph.onnx").write_bytes(b"x")
    assert model_file_of(tmp_path / "graph.onnx") == tmp_path / "graph.onnx"


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="no such run folder or model file"):
        model_file_of(tmp_path / "none")


def test_a_model_in_memory_has_none(two_class_predictor):
    with pytest.raises(InputError, match="in memory has no file"):
        model_file_of(two_class_predictor)


@pytest.fixture
def two_class_predictor():
    class Predictor:
        info = None

        def predict(self, batch):
            return batch, batch

    return Predictor()
