from __future__ import annotations

import hashlib

import pytest

from softcam.deploy.dicom.identity import ModelIdentity, algorithm_items, file_digest
from softcam.errors import InputError
from softcam.evidence.info import Architecture, ModelInfo


def test_a_model_is_known_by_its_file(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"weights" * 300_000)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    info = ModelInfo(architecture=Architecture(source="timm", name="resnet18", num_outputs=2))
    found = ModelIdentity.of(path, info)
    assert found == ModelIdentity("softcam resnet18", f"sha256:{digest[:12]}", digest)
    assert ModelIdentity.of(path, ModelInfo()).name == "softcam classifier"
    named = ModelIdentity.of(path, info, name="lungs", version="3")
    assert (named.name, named.version, named.sha256) == ("lungs", "3", digest)


def test_a_graph_in_two_files_is_known_by_both(tmp_path):
    (tmp_path / "model.xml").write_bytes(b"graph")
    alone = file_digest(tmp_path / "model.xml")
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert alone == hashlib.sha256(b"graph").hexdigest()
    assert file_digest(tmp_path / "model.xml") == hashlib.sha256(b"graphweights").hexdigest()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.onnx: cannot be read \(No such file"):
        file_digest(tmp_path / "none.onnx")


def test_the_algorithm_tells_how_it_was_used(model):
    items = algorithm_items(model, {"views": "flips"})
    found = {item.name.meaning: [] for item in items}
    for item in items:
        found[item.name.meaning].append(getattr(item.value, "meaning", item.value))
    assert found == {
        "Algorithm Name": ["softcam tiny"],
        "Algorithm Version": ["1.2"],
        "Algorithm Manufacturer": ["softcam"],
        "Algorithm Parameters": [f"model_file_sha256={model.sha256}", "views=flips"],
        "Algorithm Family": ["Artificial Intelligence"],
    }
