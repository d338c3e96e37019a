"""Stages joined into one map: what is computed, and that its models save, load and train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import softcam
from softcam.conversion.errors import ConversionError
from softcam.conversion.hypercolumn import Hypercolumn, _Listed
from softcam.errors import InputError
from softcam.evidence.placement import placements


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


def slow_value(line: list[float], at: float) -> float:
    """Interpolate linearly at a place among samples, the outermost ones reaching on."""
    at = min(max(at, 0.0), len(line) - 1)
    lower = min(int(at), max(len(line) - 2, 0))
    upper = min(lower + 1, len(line) - 1)
    return line[lower] * (1 - (at - lower)) + line[upper] * (at - lower)


def slow_map(maps: torch.Tensor, sizes, pixels, placed) -> torch.Tensor:
    """Bring maps (B, C, ...) to other cells, one line after the other."""
    for axis, (cells, length, (stride, offset)) in enumerate(
        zip(sizes, pixels, placed, strict=True), start=2
    ):
        lines = maps.movedim(axis, -1)
        flat = lines.reshape(-1, lines.shape[-1]).tolist()
        rows = [
            [
                slow_value(line, ((j + 0.5) * length / cells - offset) / stride - 0.5)
                for j in range(cells)
            ]
            for line in flat
        ]
        maps = (
            torch.tensor(rows, dtype=maps.dtype).reshape(*lines.shape[:-1], cells).movedim(-1, axis)
        )
    return maps


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_each_position_is_the_sum_of_the_stages_where_they_look(dims: int) -> None:
    torch.manual_seed(0)
    placed = [[(stride, 0.5 - stride / 2)] * dims for stride in (2, 4, 8)]
    neck = Hypercolumn(Stages(dims), (4, 6, 8), 5, dims=dims, placed=placed).eval().double()
    for layer in neck.projections:
        layer[1].running_mean.normal_()
        layer[1].running_var.uniform_(0.5, 2)
    image = torch.randn((2, 3, *(16,) * dims), dtype=torch.float64)
    expected = torch.zeros((2, 5, *(8,) * dims), dtype=torch.float64)
    for features, layer, places in zip(neck.backbone(image), neck.projections, placed, strict=True):
        weight, norm = layer[0].weight.flatten(1), layer[1]
        column = torch.einsum("oc,bc...->bo...", weight, features)
        shape = (1, -1, *(1,) * dims)
        column = (column - norm.running_mean.view(shape)) / (
            norm.running_var + norm.eps
        ).sqrt().view(shape)
        expected += slow_map(column, (8,) * dims, (16,) * dims, places)
    torch.testing.assert_close(neck(image), expected.relu(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_places_of_strided_odd_kernels_are_measured(dims: int) -> None:
    measured = placements(Stages(dims), 3, dims=dims)
    assert measured == [((stride, 0.5 - stride / 2),) * dims for stride in (2, 4, 8)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_places_are_the_same_whatever_type_the_weights_have(dtype: torch.dtype) -> None:
    stages = Stages(2)
    stages.add_module("norm", nn.BatchNorm2d(3))
    assert placements(stages.to(dtype), 3) == placements(Stages(2), 3)


def test_patches_are_measured_in_the_middle_of_their_cells() -> None:
    assert placements(nn.Conv2d(3, 4, 4, stride=4), 3) == [((4.0, 0.0), (4.0, 0.0))]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", (-1.5, -3.5, -7.5)),
        ("torchvision/mobilenet_v2", (-1.5, -3.5, -7.5)),
        ("convnext_atto", (0.0, 0.0, 0.0)),
    ],
)
def test_real_backbones_are_placed_as_their_kernels_say(name: str, expected) -> None:
    model = softcam.create_model(name, num_classes=2, neck="hypercolumn", neck_width=4)
    assert model.info.architecture is not None
    placed = model.info.architecture.placed
    assert placed is not None
    assert tuple(stage[0][1] for stage in placed) == expected
    assert [stage[1] for stage in placed] == [stage[0] for stage in placed]


def test_a_backbone_of_one_image_size_is_measured_with_that() -> None:
    model = softcam.create_model(
        "swin_tiny_patch4_window7_224", num_classes=2, neck="hypercolumn", neck_width=4
    )
    assert model.info.architecture is not None
    assert model.info.architecture.placed is not None
    # Attention looks everywhere in its window, so that the measure is rough.
    assert all(
        stride == 4 and abs(offset) <= 1 for stride, offset in model.info.architecture.placed[0]
    )


def test_a_bright_spot_is_seen_where_it_is() -> None:
    """What a stage of stride 4 sees must not be drawn 1.5 pixels beside it."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False),
        nn.Conv2d(1, 1, 3, stride=2, padding=1, bias=False),
    )
    for layer in body:
        layer.weight.data.fill_(1.0)
    neck = Hypercolumn(_Listed(body), (1,), 1, placed=placements(body, 1)).eval()
    neck.projections[0][0].weight.data.fill_(1.0)
    maps = []
    for row in range(24, 40):
        image = torch.zeros(1, 1, 64, 64)
        image[0, 0, row, 30] = 1.0
        weights = neck(image)[0, 0].detach().double().sum(1)
        centres = (torch.arange(16) + 0.5) * 4
        maps.append(float((weights * centres).sum() / weights.sum()) - (row + 0.5))
    assert abs(sum(maps) / len(maps)) < 0.05


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
