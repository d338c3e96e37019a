"""Exported graphs give the model's logits and evidence: backbones and heads of every kind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import softcam
from softcam.deploy.export.artefact import Artefact, make_artefact
from softcam.deploy.export.graph import prepared
from softcam.deploy.export.verify import TOLERANCES
from softcam.evidence.model import SoftCAM
from softcam.evidence.steps import GateStep, LinearStep
from softcam.evidence.windows import WindowedEvidence, WindowStep
from softcam.explanation.predictor import TorchPredictor
from tests.conftest import randomise_norms

NECK = {"neck": "hypercolumn", "neck_width": 16, "concentration": 2.0}

# Name, arguments, kind of evidence, the size it is traced at, and whether it takes others.
BACKBONES = {
    "affine": ("resnet18", {}, "affine", 64, True),
    "affine, grey": ("mobilenetv2_035", {"in_chans": 1}, "affine", 64, True),
    "activation": ("torchvision/squeezenet1_1", {}, "affine", 64, True),
    "stages added": ("resnet10t", {"stages": (1, 2, 3)}, "affine", 64, True),
    "concentrated": ("resnet10t", {"stages": (1, 2), **NECK}, "concentrated", 64, True),
    "dense": ("densenet121", {}, "affine", 64, True),
    "normalised": ("test_convnext", {}, "normalised", 64, True),
    "normalised, windows": ("swinv2_cr_tiny_ns_224", {}, "affine", 224, False),
    "gated": ("mobilenetv3_small_050", {}, "gated", 64, True),
    "gated, tokens": ("test_mambaout", {}, "gated", 64, True),
    "tokens": ("test_vit", {"global_pool": "avg"}, "normalised", 160, False),
    "windowed": ("torchvision/alexnet", {}, "gated", 224, False),
    "windowed, VGG": ("torchvision/vgg11", {}, "gated", 224, False),
    "windowed, VGG of timm": ("vgg11", {}, "gated", 224, False),
    "windowed, sliding": ("torchvision/alexnet", {"mode": "sliding"}, "affine", 224, None),
}
QUICK = ("concentrated", "tokens")
CASES = [pytest.param(case, marks=() if case in QUICK else pytest.mark.slow) for case in BACKBONES]


def built(case):
    name, arguments, kind, size, any_size = BACKBONES[case]
    torch.manual_seed(0)
    model = randomise_norms(softcam.create_model(name, num_classes=3, **arguments))
    assert model.evidence_kind == kind
    return prepared(model), size, any_size


def check(artefact, model, shape):
    batch = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    expected, found = TorchPredictor(model).predict(batch), artefact.predict(batch)
    errors = [
        np.abs(own - other).max() / np.abs(own).max()
        for own, other in zip(expected, found, strict=True)
    ]
    completeness = np.abs(found[1].mean(axis=(2, 3), dtype=np.float64) - found[0]).max()
    allowed = TOLERANCES["fp32"]
    assert errors[0] <= allowed["logits"]
    assert errors[1] <= allowed["evidence"]
    assert completeness <= allowed["completeness"] * np.abs(found[0]).max()


@pytest.mark.parametrize("case", CASES)
def test_onnx_and_openvino_give_the_models_logits_and_evidence(case):
    model, size, any_size = built(case)
    channels = 1 if case == "affine, grey" else 3
    example = np.random.default_rng(0).normal(size=(2, channels, size, size)).astype(np.float32)
    openvino = make_artefact(model, example, "openvino", any_size=bool(any_size))
    onnx = Artefact("onnx", openvino.graph.model, openvino.graph)
    sizes = [(size, size)]
    if any_size:
        sizes += [(size + 32, size + 64), (size + 37, size + 11)]
    for artefact in (onnx, openvino):
        for count in (1, 3):
            for height, width in sizes:
                check(artefact, model, (count, channels, height, width))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["concentrated", "tokens", "windowed", "gated"])
def test_a_torch_program_gives_the_same(case):
    model, size, any_size = built(case)
    example = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    artefact = make_artefact(model, example, "torch", any_size=bool(any_size))
    check(artefact, model, (3, 3, size, size))
    if any_size:
        check(artefact, model, (1, 3, size + 32, size + 64))


def test_openvino_adds_the_bias_of_a_windowed_head_to_the_right_units():
    """It adds it wrongly to a sum over the last of three axes (openvino issue 23616)."""
    torch.manual_seed(0)
    hidden, positions = 32, (4, 5)
    head = WindowedEvidence(
        [
            WindowStep(nn.Parameter(torch.randn(hidden, 3, *positions)), parameter(hidden)),
            GateStep(nn.ReLU()),
            LinearStep(parameter(2, hidden), parameter(2)),
        ]
    )
    model = prepared(SoftCAM(nn.Conv2d(3, 3, 4, stride=4), head))
    example = np.random.default_rng(0).normal(size=(2, 3, 16, 20)).astype(np.float32)
    artefact = make_artefact(model, example, "openvino", any_size=False)
    for count in (1, 3):
        check(artefact, model, (count, 3, 16, 20))


def parameter(*shape):
    return nn.Parameter(torch.randn(*shape))
