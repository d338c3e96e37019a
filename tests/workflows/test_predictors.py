from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from softcam.deploy.export.onnx_predictor import OnnxPredictor
from softcam.deploy.export.openvino_predictor import OpenVinoPredictor
from softcam.deploy.export.write import onnx_bytes, openvino_bytes, openvino_model, write_files
from softcam.errors import InputError, ModelFileError
from softcam.explanation.predictor import TorchPredictor
from softcam.workflows.predictors import open_predictor
from tests.deploy.export.sample import batch, by_hand, description, graph

# Everything that a slim installation is without.
BLOCKED = "torch torchvision timm lightning torchmetrics captum safetensors onnx tensorboard"
BLOCK = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {BLOCKED.split()!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Block())
"""


def without_torch(code, *arguments):
    """Run code in a process that cannot import torch."""
    command = [sys.executable, "-c", BLOCK + code, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.fixture
def files(tmp_path):
    (tmp_path / "model.onnx").write_bytes(onnx_bytes(graph(), description()))
    pair = openvino_bytes(openvino_model(graph()), description())
    write_files(tmp_path / "model.xml", *pair)
    return tmp_path


def test_exported_files_are_opened_by_their_suffix(files):
    assert isinstance(open_predictor(files / "model.onnx"), OnnxPredictor)
    assert isinstance(open_predictor(str(files / "model.xml")), OpenVinoPredictor)
    (files / "model.pt2").write_bytes(b"PK")
    with pytest.raises(ModelFileError, match="unpickling"):
        open_predictor(files / "model.pt2")
    with pytest.raises(ModelFileError, match="no such file"):
        open_predictor(files / "other.onnx")


def test_a_predictor_stays_what_it_is_and_a_model_becomes_one(files):
    from torch import nn

    from softcam.evidence.layer import EvidenceLayer
    from softcam.evidence.model import SoftCAM

    predictor = open_predictor(files / "model.onnx")
    assert open_predictor(predictor) is predictor
    model = SoftCAM(nn.Conv2d(3, 4, 3), EvidenceLayer(4, 2))
    assert isinstance(open_predictor(model), TorchPredictor)
    with pytest.raises(InputError, match="no such run folder"):
        open_predictor(files / "run")


@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_exported_files_run_where_there_is_no_torch(files, name):
    images = batch()
    np.save(files / "images.npy", images)
    code = """
import numpy as np
from softcam.workflows.predictors import open_predictor
predictor = open_predictor(sys.argv[1] + "/" + sys.argv[2])
logits, evidence = predictor.predict(np.load(sys.argv[1] + "/images.npy"))
np.savez(sys.argv[1] + "/found.npz", logits=logits, evidence=evidence)
"""
    done = without_torch(code, files, name)
    assert done.returncode == 0, done.stderr
    with np.load(files / "found.npz") as found:
        expected = by_hand(images)
        np.testing.assert_allclose(found["logits"], expected[0], atol=1e-6)
        np.testing.assert_allclose(found["evidence"], expected[1], atol=1e-6)


def test_a_run_names_what_it_needs_where_there_is_no_torch(files):
    code = """
from softcam.cli.app import app
from softcam.cli.errors import run_safely
sys.exit(run_safely(lambda: app(sys.argv[1:], standalone_mode=False)))
"""
    done = without_torch(code, "explain", files, files / "image.png", "--out", files / "out")
    assert done.returncode == 1
    assert "a run needs torch, which this slim installation is without" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_block_blocks():
    assert "No module named 'torch'" in without_torch("import torch").stderr
