"""Stages joined into one map: what is computed, and that its models save, load and train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import softcam
from softcam.conversion.errors import ConversionError
from softcam.conversion.hypercolumn import Hypercolumn
from softcam.errors import InputError


class Stages(nn.Module):
    """Three maps, each half as large as the one before."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
        self.layers = nn.ModuleList(
            conv(a, b, 3, stride=2, padding=1) for a, b in ((3, 4), (4, 6), (6, 8))
        )

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        return maps


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_position_is_the_sum_of_the_projected_and_enlarged_stages(dims: int) -> None:
    torch.manual_seed(0)
    neck = Hypercolumn(Stages(dims), (4, 6, 8), 5, dims=dims).eval().double()
    for layer in neck.projections:
        layer[1].running_mean.normal_()
        layer[1].running_var.uniform_(0.5, 2)
    image = torch.randn((2, 3, *(16,) * dims), dtype=torch.float64)
    expected = torch.zeros((2, 5, *(8,) * dims), dtype=torch.float64)
    mode = ("linear", "bilinear", "trilinear")[dims - 1]
    for features, layer in zip(neck.backbone(image), neck.projections, strict=True):
        weight, norm = layer[0].weight.flatten(1), layer[1]
        column = torch.einsum("oc,bc...->bo...", weight, features)
        shape = (1, -1, *(1,) * dims)
        column = (column - norm.running_mean.view(shape)) / (
            norm.running_var + norm.eps
        ).sqrt().view(shape)
        expected += nn.functional.interpolate(
            column, size=(8,) * dims, mode=mode, align_corners=False
        )
    torch.testing.assert_close(neck(image), expected.relu(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["resnet10t", "torchvision/resnet18"])
def test_a_model_with_a_neck_and_concentration_is_rebuilt_from_its_file(
    name: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    model = softcam.create_model(
        name, num_classes=2, neck="hypercolumn", neck_width=16, concentration=1.5
    )
    assert model.map_size((64, 64)) == (16, 16)
    model.eval()
    again = softcam.load(model.save(tmp_path / "model.safetensors"))
    image = torch.randn(2, 3, 64, 64)
    for found, expected in zip(again(image), model(image), strict=True):
        assert torch.equal(found, expected)
    assert again.evidence_kind == "concentrated"
    assert again.info.architecture is not None
    assert again.info.architecture.stages == (1, 2, 3)


def test_a_converted_instance_with_a_neck_is_loaded_back_with_its_black_box(tmp_path: Path) -> None:
    import timm

    black_box = timm.create_model("resnet10t", num_classes=3).eval()
    model = softcam.convert(black_box, stages=(2, 3), neck="hypercolumn", concentration=1.0)
    path = model.save(tmp_path / "model.safetensors")
    image = torch.randn(1, 3, 64, 64)
    for again in (softcam.load(path), softcam.load(path, backbone=black_box)):
        torch.testing.assert_close(again(image).evidence, model(image).evidence)
    assert softcam.load(path, backbone=model.backbone)(image).evidence.equal(model(image).evidence)


def test_an_exact_conversion_can_be_concentrated_and_a_gated_head_cannot() -> None:
    import timm

    black_box = timm.create_model("resnet10t", num_classes=3).eval()
    image = torch.randn(1, 3, 64, 64)
    plain = softcam.convert(black_box)(image)
    sharp = softcam.convert(black_box, concentration=1.0)(image)
    assert (sharp.logits > plain.logits).all()
    gated = timm.create_model("mobilenetv3_small_050", num_classes=3).eval()
    with pytest.raises(ConversionError, match="cannot be concentrated"):
        softcam.convert(gated, concentration=1.0)


def test_an_unknown_neck_or_width_is_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match='neck must be "hypercolumn"'):
        softcam.create_model("resnet10t", num_classes=2, neck="giraffe")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="neck_width must be from 1 to"):
        softcam.create_model("resnet10t", num_classes=2, neck="hypercolumn", neck_width=0)


def test_every_parameter_of_a_focused_model_gets_a_gradient() -> None:
    model = softcam.create_model("resnet10t", num_classes=2, neck="hypercolumn", concentration=1.0)
    output, plain = model.forward_with_plain(torch.randn(2, 3, 64, 64))
    (output.logits.sum() + plain.sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
