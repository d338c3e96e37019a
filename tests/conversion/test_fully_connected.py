"""VGG and AlexNet: exact shares, the sliding window and the paper's new layers."""

import pytest
import timm
import torch
import torchvision
from torch import nn

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError, Reason
from softcam.evidence.steps import (
    LinearStep,
)


def small_vgg() -> nn.Module:
    """A VGG of torchvision's class with narrow fully connected layers."""
    features = nn.Sequential(nn.Conv2d(3, 6, 3, 8, 1), nn.ReLU(), nn.MaxPool2d(4))
    model = torchvision.models.VGG(features, num_classes=4, init_weights=False)
    layers = [nn.Linear(6 * 49, 20), nn.ReLU(True), nn.Dropout(), nn.Linear(20, 10), nn.ReLU(True)]
    model.classifier = nn.Sequential(*layers, nn.Dropout(0.25), nn.Linear(10, 4))
    return model.double().eval()


def timm_vgg() -> nn.Module:
    return timm.create_model("vgg11", num_classes=4, mlp_ratio=0.01).double().eval()


def images(*size: int) -> torch.Tensor:
    return torch.randn(2, 3, *size, dtype=torch.float64)


@pytest.mark.parametrize("size", [(224, 224), (96, 160), (256, 288)])
@pytest.mark.parametrize("build", [small_vgg, timm_vgg])
def test_the_exact_map_has_the_black_boxs_logits_as_its_mean(build, size):
    model = build()
    found = convert(model)
    with torch.no_grad():
        expected, output = model(images(*size)), None
        given = images(*size)
        expected, output = model(given), found(given)
    torch.testing.assert_close(output.logits, expected, rtol=1e-9, atol=1e-12)
    assert found.evidence_kind == "gated"
    assert output.evidence.shape[2:] == found.map_size(size)


def test_each_position_gets_what_its_own_weights_give_it():
    """The whole stack with its ReLUs held open or shut as the image left them, in loops."""
    model = small_vgg()
    given = images(224, 224)[:1]
    with torch.no_grad():
        features = model.avgpool(model.features(given))[0]
        evidence = convert(model)(given).evidence[0]
        first, _, _, second, _, _, last = model.classifier
        hidden = first(features.flatten())
        other = second(hidden.relu())
        gates = (hidden > 0).double(), (other > 0).double()
        constant = last(gates[1] * second(gates[0] * first.bias))
        for row in range(7):
            for column in range(7):
                alone = torch.zeros_like(features)
                alone[:, row, column] = features[:, row, column]
                units = gates[0] * (first.weight @ alone.flatten())
                share = last.weight @ (gates[1] * (second.weight @ units))
                expected = 49 * share + constant
                torch.testing.assert_close(evidence[:, row, column], expected)


@pytest.mark.parametrize("build", [small_vgg, timm_vgg])
def test_the_sliding_window_has_the_old_weights_and_one_cell_per_window(build):
    model = build()
    found = convert(model, mode="sliding")
    given = images(224, 224)
    with torch.no_grad():
        torch.testing.assert_close(found(given).logits, model(given))
        wide = found(images(256, 288))
    assert found(given).evidence.shape == (2, 4, 1, 1)
    assert wide.evidence.shape == (2, 4, 2, 3)
    assert found.evidence_kind == "affine"


def test_a_window_of_the_sliding_map_is_the_black_box_on_that_part():
    model = small_vgg()
    found = convert(model, mode="sliding")
    given = images(256, 288)
    with torch.no_grad():
        cells = found(given).evidence
        features = model.features(given)
        for row in range(cells.shape[2]):
            for column in range(cells.shape[3]):
                part = features[:, :, row : row + 7, column : column + 7]
                expected = model.classifier(part.flatten(1))
                torch.testing.assert_close(cells[:, :, row, column], expected)


def test_alexnets_three_ways():
    model = torchvision.models.alexnet(num_classes=3).eval()
    given = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = model(given)
        exact, sliding = convert(model)(given), convert(model, mode="sliding")(given)
        fresh = convert(model, mode="fresh", num_classes=2)(given)
    torch.testing.assert_close(exact.logits, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sliding.logits, expected, rtol=1e-4, atol=1e-6)
    assert exact.evidence.shape == (1, 3, 6, 6)
    assert sliding.evidence.shape == (1, 3, 1, 1)
    assert fresh.evidence.shape == (1, 2, 6, 6)


@pytest.mark.parametrize("build", [small_vgg, timm_vgg])
def test_new_classes_keep_the_hidden_layers(build):
    model = build()
    found = convert(model, num_classes=2)
    assert found(images(224, 224)).evidence.shape == (2, 2, 7, 7)
    second = next(step for step in found.head.steps if isinstance(step, LinearStep))
    assert torch.equal(
        second.weight.flatten(),
        (model.classifier[3] if hasattr(model, "classifier") else model.pre_logits.fc2)
        .weight.detach()
        .flatten(),
    )


def test_a_changed_head_is_refused_and_fresh_is_the_way_out():
    model = small_vgg()
    model.classifier = nn.Sequential(nn.Linear(6 * 49, 4))
    with pytest.raises(ConversionError, match='mode="fresh"') as caught:
        convert(model)
    assert caught.value.reason is Reason.UNSUPPORTED_HEAD


def test_sliding_is_refused_for_other_models():
    with pytest.raises(ConversionError, match='mode="exact"'):
        convert(timm.create_model("test_resnet", num_classes=2), mode="sliding")
