import copy

import pytest
import torch
from torch import nn

from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def small(dims: int = 2, classes: int = 3) -> SoftCAM:
    return SoftCAM(
        nn.Sequential(CONVOLUTIONS[dims](2, 6, 3, stride=2), nn.ReLU()),
        EvidenceLayer(6, classes, dims=dims),
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("classes", [1, 4])
def test_logits_are_the_mean_of_the_evidence(dims, classes):
    model = small(dims, classes).double()
    output = model(torch.randn(2, 2, *(9, 11, 7)[:dims], dtype=torch.float64))
    expected = output.evidence.flatten(2).sum(-1) / output.evidence[0, 0].numel()
    torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-12)
    assert output.logits.shape == (2, classes)


def test_completeness_holds_under_autocast_and_in_half_precision():
    for model, dtype in ((small(), torch.float32), (small().bfloat16(), torch.bfloat16)):
        images = torch.randn(4, 2, 33, 33, dtype=dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(images)
        assert output.evidence.dtype == torch.float32
        error = (output.logits - output.evidence.double().mean((2, 3))).abs().max()
        assert error <= 1e-5 * output.logits.abs().max()


def test_completeness_survives_compile():
    model = small().eval()
    images = torch.randn(2, 2, 17, 17)
    # The eager backend traces and guards as any other does, and needs no C++ compiler.
    output = torch.compile(model, backend="eager", fullgraph=True)(images)
    torch.testing.assert_close(output.logits, model(images).logits)
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))


def test_completeness_survives_export():
    model = small().eval()
    images = torch.randn(2, 2, 17, 17)
    output = torch.export.export(model, (images,)).module()(images)
    torch.testing.assert_close(output.logits, model(images).logits)
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))


def test_gradients_reach_every_parameter():
    model = small()
    model(torch.randn(2, 2, 9, 9)).logits.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_a_model_can_be_copied():
    model = small().eval()
    images = torch.randn(1, 2, 9, 9)
    assert torch.equal(copy.deepcopy(model)(images).logits, model(images).logits)


def test_the_number_of_outputs_and_the_kind_are_known():
    assert small(classes=5).num_outputs == 5
    assert small().evidence_kind == "affine"
