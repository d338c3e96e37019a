"""`softcam export`, and explanations from what it wrote, as a user has them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from softcam.deploy.export.exported import open_exported
from softcam.evidence.file import read_model_file
from tests.workflows.test_predictors import without_torch

EXPLAIN = """
from softcam.cli.app import app
from softcam.cli.errors import run_safely
code = run_safely(lambda: app(sys.argv[1:], standalone_mode=False))
heavy = {name.split(".")[0] for name in sys.modules} & {"torch", "onnx", "timm", "lightning"}
assert not heavy, heavy
sys.exit(code)
"""


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The small run as ONNX, with what the command printed."""
    from softcam.cli.app import app
    from softcam.cli.errors import run_safely

    data, run = trained
    out = tmp_path_factory.mktemp("exported") / "model.onnx"
    arguments = ["export", str(run), "--out", str(out), "--precision", "int8"]
    arguments += ["--table", str(data), "--resamples", "20", "--calibrate", "8"]
    assert run_safely(lambda: app(arguments, standalone_mode=False)) == 0
    return out


def test_the_file_is_alone_and_says_all_that_the_model_file_says(trained, exported):
    _, run = trained
    assert [path.name for path in exported.parent.iterdir()] == ["model.onnx"]
    predictor = open_exported(exported)
    told = read_model_file(run / "model.safetensors").info
    assert predictor.info == told
    assert predictor.description.precision == "int8"
    assert predictor.description.source["file"] == "model.safetensors"
    assert len(predictor.description.source["sha256"]) == 64
    assert predictor.description.verified.completeness <= 1e-5
    loss = predictor.description.loss
    assert loss["images"] == 6
    assert loss["pearson"]["value"] > 0.8
    assert str(run) not in predictor.description.to_json()  # folders may name people


def test_an_image_is_explained_without_torch_as_the_run_explains_it(
    trained, exported, softcam, tmp_path
):
    data, run = trained
    image = data / "images" / "1.png"
    done = without_torch(EXPLAIN, "explain", exported, image, "--out", tmp_path / "slim")
    assert done.returncode == 0, done.stderr
    assert softcam("explain", run, image, "--out", tmp_path / "torch").code == 0
    names = {path.name for path in (tmp_path / "torch").iterdir()}
    assert {path.name for path in (tmp_path / "slim").iterdir()} == names
    slim, own = (np.load(tmp_path / kind / "1.npz") for kind in ("slim", "torch"))
    assert np.corrcoef(slim["evidence"].ravel(), own["evidence"].ravel())[0, 1] > 0.95
    np.testing.assert_allclose(slim["evidence"].mean(axis=(1, 2)), slim["logits"], atol=1e-5)
    document = json.loads((tmp_path / "slim" / "1.json").read_text())
    assert document["model"]["classes"] == ["plain", "dotted"]


def test_a_damaged_file_is_refused_in_a_sentence(trained, exported, softcam, tmp_path):
    data, _ = trained
    bad = tmp_path / "bad.onnx"
    content = bytearray(exported.read_bytes())
    content[len(content) // 2] ^= 1
    bad.write_bytes(content)
    image = data / "images" / "1.png"
    result = softcam("explain", bad, image, "--out", tmp_path / "out")
    assert result.code == 2
    assert "bad.onnx: is not as it was exported" in " ".join(result.err.split())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--out", "model.bin"), "is no format; name onnx, openvino or torch"),
        (("--out", "model.onnx", "--format", "tflite"), "is no format"),
        (("--out", "model.onnx", "--format", "openvino"), "ends in .xml; call it model.xml"),
        (("--out", "model.onnx", "--precision", "int4"), "must be fp32, fp16 or int8"),
        (("--out", "model.onnx", "--precision", "int8"), "int8 needs a table"),
        (("--out", "model.pt2", "--precision", "fp16"), "a torch program is exported in fp32"),
        (("--out", "no/folder/model.onnx"), "choose a folder that exists"),
        (("--out", "model.onnx", "--verify-on", "missing.png"), "missing.png"),
        (("--out", "model.onnx", "--table", "missing"), "missing"),
    ],
)
def test_what_does_not_go_together_is_refused_at_once(
    trained, softcam, tmp_path, monkeypatch, arguments, reason
):
    monkeypatch.chdir(tmp_path)
    result = softcam("export", trained[1], *arguments)
    assert result.code == 2
    assert reason in " ".join(result.err.split())
    assert list(tmp_path.iterdir()) == []


def test_a_black_box_and_an_exported_file_are_not_exported(trained, exported, softcam, tmp_path):
    for run, reason in ((trained[1] / "twin", "is a black box"), (exported, "exported already")):
        result = softcam("export", run, "--out", tmp_path / "model.onnx")
        assert result.code == 2
        assert reason in " ".join(result.err.split())
    assert list(tmp_path.iterdir()) == []


def test_commands_that_need_the_model_itself_refuse_an_exported_file(trained, exported, softcam):
    result = softcam("evaluate", exported, trained[0])
    assert result.code == 2
    assert "is an exported file, and this needs the model itself" in " ".join(result.err.split())


def test_a_full_disk_leaves_nothing(trained, softcam, tmp_path, monkeypatch):
    import os

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = softcam("export", trained[1], "--out", tmp_path / "model.pt2")
    assert result.code == 2
    text = " ".join(result.err.split())
    assert f"{tmp_path}/model.pt2: cannot write here (No space left on device)" in text
    assert list(tmp_path.iterdir()) == []


def test_a_graph_that_is_another_model_is_not_written(trained, softcam, tmp_path, monkeypatch):
    from softcam.deploy.export import verify

    nothing = {"logits": 0.0, "evidence": -1.0, "completeness": 1e-5}
    monkeypatch.setitem(verify.TOLERANCES, "fp16", nothing)
    before = tmp_path / "model.onnx"
    before.write_text("what was there")
    result = softcam("export", trained[1], "--out", before, "--precision", "fp16")
    assert result.code == 1
    assert "nothing was written" in " ".join(result.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert before.read_text() == "what was there"
