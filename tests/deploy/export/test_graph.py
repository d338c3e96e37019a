"""Small models of our own; whole backbones are in test_parity.py."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from softcam.deploy.export.artefact import make_artefact
from softcam.deploy.export.graph import prepared, to_onnx, traced
from softcam.errors import InputError, WorkError
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.model import SoftCAM
from softcam.explanation.predictor import TorchPredictor
from tests.deploy.export.sample import description


class TwoStages(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.second = nn.Conv2d(4, 5, 3, stride=2, padding=1)

    def forward(self, x):
        fine = torch.relu(self.first(x))
        return [fine, torch.relu(self.second(fine))]


def two_stages():
    return SoftCAM(TwoStages(), StageEvidence([4, 5], 2, concentration=0.5))


def images(height=64, width=96, count=2):
    return torch.randn(count, 3, height, width)


def test_the_graph_names_its_ends_and_knows_its_backbone():
    model = prepared(two_stages())
    graph = to_onnx(traced(model, images(), any_size=True), any_size=True)
    assert [item.name for item in graph.model.graph.input] == ["images"]
    assert [item.name for item in graph.model.graph.output] == ["logits", "evidence"]
    kinds = {node.name: node.op_type for node in graph.model.graph.node}
    assert sorted(kinds[name] for name in graph.backbone) == ["Conv", "Conv", "Relu", "Relu"]
    assert "Softmax" in {kinds[name] for name in set(kinds) - graph.backbone}
    text = str(graph.model)
    assert "test_graph" not in text  # where the code lies is nobody's business
    assert ".py" not in text


def test_stages_are_added_right_at_sizes_that_do_not_divide():
    model = prepared(two_stages())
    artefact = make_artefact(model, images().numpy(), "onnx", any_size=True)
    for size in ((64, 96), (65, 99), (130, 66), (96, 64)):
        batch = images(*size, count=3).numpy()
        expected, found = TorchPredictor(model).predict(batch), artefact.predict(batch)
        for own, other in zip(expected, found, strict=True):
            np.testing.assert_allclose(other, own, atol=1e-4 * np.abs(own).max())
        np.testing.assert_allclose(
            found[1].mean(axis=(2, 3)), found[0], atol=1e-5 * np.abs(found[0]).max()
        )


def test_the_model_given_is_left_as_it_was():
    model = two_stages().double().train()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    copy = prepared(model)
    assert model.training
    assert not copy.training
    assert next(copy.parameters()).dtype == torch.float32
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_models_of_volumes_are_refused():
    model = SoftCAM(nn.Conv3d(1, 4, 3), EvidenceLayer(4, 2, dims=3))
    with pytest.raises(InputError, match="takes 3-D input"):
        prepared(model)


class Stubborn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x) if float(x.sum()) > 0 else -self.conv(x)


def test_a_model_that_cannot_be_traced_is_refused_in_a_sentence():
    model = prepared(SoftCAM(Stubborn(), EvidenceLayer(4, 2)))
    with pytest.raises(WorkError, match=r"torch.export cannot trace this model") as caught:
        traced(model, images(), any_size=False)
    assert "\n" not in str(caught.value)


def test_a_torch_program_tells_no_images_and_no_folders_and_runs_again(tmp_path):
    model = prepared(two_stages())
    batch = images()
    artefact = make_artefact(model, batch.numpy(), "torch", any_size=True)
    (content,) = artefact.contents(description())
    path = tmp_path / "model.pt2"
    path.write_bytes(content)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    (told,) = (data for name, data in files.items() if name.endswith("extra/softcam.json"))
    assert told.decode() == description().to_json()
    everything = b"".join(files.values())
    assert b"test_graph.py" not in everything
    assert b"graph.py" not in everything
    assert batch.numpy().tobytes()[:4096] not in everything
    assert not [
        name for name, data in files.items() if "sample_inputs" in name and len(data) > 4096
    ]
    again = torch.export.load(path)  # written a moment ago, by this test
    found = again.module()(images(96, 64, count=3))
    assert found[1].shape == (3, 2, 48, 32)
