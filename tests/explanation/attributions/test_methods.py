"""What every method promises."""

from __future__ import annotations

import copy
import re
import warnings
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import nn

from softcam.conversion.black_box import BlackBox
from softcam.conversion.convert import convert
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.explanation.attributions.gradients import GRADIENT, GUIDED_BACKPROP
from softcam.explanation.attributions.methods import GROUPS, METHODS, method, methods
from softcam.explanation.attributions.subject import subject_of
from tests.explanation.attributions.conftest import make_softcam

QUICK = {
    "smoothgrad": {"samples": 3},
    "smoothgrad-saliency": {"samples": 3},
    "integrated-gradients": {"steps": 6},
    "occlusion": {"window": 0.5, "stride": 0.25},
    "rise": {"masks": 20, "cells": 3, "batch_size": 8},
    "random": {"cell": 4},
}
EVERY = [pytest.param(METHODS[name].configured(**QUICK.get(name, {})), id=name) for name in METHODS]


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.fixture
def four():
    return torch.randn(4, 3, 12, 16, generator=torch.Generator().manual_seed(5)).double()


@pytest.mark.parametrize("contrast", [False, True])
@pytest.mark.parametrize("each", EVERY)
def test_a_map_depends_on_its_image_and_class_alone(each, four, contrast):
    subject = subject_of(make_softcam())
    classes = torch.tensor([[0, 2], [1, 0], [2, 1], [1, 2]])
    together = each(subject, four, classes, contrast=contrast)
    assert together.shape[:2] == (4, 2) and together.dtype == torch.float32
    assert torch.equal(together, each(subject, four, classes, contrast=contrast))
    for n in range(4):
        for k in range(2):
            alone = each(subject, four[n : n + 1], [int(classes[n, k])], contrast=contrast)
            close(together[n, k], alone[0, 0])


@pytest.mark.parametrize("each", EVERY)
def test_maps_of_two_classes_and_of_the_contrast_differ_where_the_method_says_so(each, four):
    subject = subject_of(make_softcam())
    maps = each(subject, four, [0, 1])
    other = each(subject, four, [0, 1], contrast=True)
    assert torch.equal(maps[:, 0], maps[:, 1]) is not each.by_class
    assert torch.equal(maps, other) is not each.by_class
    if not each.signed and each.name != "eigen-cam":
        assert maps.min() >= 0
    if each.signed:
        assert maps.min() < 0 < maps.max()


@pytest.mark.parametrize("each", EVERY)
def test_a_one_logit_model_s_classes_are_opposites(each, four):
    subject = subject_of(make_softcam(1))
    maps = each(subject, four, [0, 1])
    assert torch.equal(maps, each(subject, four, [0, 1], contrast=True))
    if each.signed and each.name != "guided-backprop" and each.name != "guided-grad-cam":
        close(maps[:, 0], -maps[:, 1])


@pytest.mark.parametrize("each", EVERY)
def test_model_images_and_random_state_are_left_as_they_were(each, four):
    model = make_softcam()
    subject = subject_of(model)
    model.train()
    model.backbone[1].eval()
    model.head.conv.weight.grad = torch.ones_like(model.head.conv.weight)
    model.head.conv.bias.requires_grad_(False)
    before, images = copy.deepcopy(model.state_dict()), four.clone()
    random = torch.get_rng_state()
    children = [(name, id(part)) for name, part in model.named_modules()]
    maps = each(subject, four, [0])
    assert not maps.requires_grad
    assert [(name, id(part)) for name, part in model.named_modules()] == children
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert model.training and model.backbone[3].training and not model.backbone[1].training
    assert model.backbone[0].weight.requires_grad and not model.head.conv.bias.requires_grad
    assert [n for n, p in model.named_parameters() if p.grad is not None] == ["head.conv.weight"]
    assert model.head.conv.weight.grad.eq(1).all()
    for part in subject.classifier.modules():
        assert not (part._forward_hooks or part._forward_pre_hooks or part._backward_hooks)
    assert torch.equal(images, four) and not four.requires_grad
    assert torch.equal(random, torch.get_rng_state())


@pytest.mark.parametrize("each", EVERY)
def test_it_works_wherever_it_is_called(each, four):
    model = make_softcam().float()
    subject = subject_of(model)
    expected = each(subject, four, [0, 1], contrast=True)
    model.requires_grad_(False)
    with torch.inference_mode():
        close(each(subject, four * 1, [0, 1], contrast=True), expected)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        close(each(subject, four, [0, 1], contrast=True), expected)


@pytest.mark.parametrize("each", EVERY)
def test_nothing_is_printed(each, four, capfd):
    each(subject_of(make_softcam()), four[:1], [0])
    assert tuple(capfd.readouterr()) == ("", "")


@pytest.mark.parametrize("each", [p for p in EVERY if p.values[0].by_class])
def test_a_class_that_is_none_is_refused(each, four):
    with pytest.raises(InputError, match="tells 3 classes apart"):
        each(subject_of(make_softcam()), four, [3])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("each", EVERY)
def test_a_gpu_gives_the_same_maps(each, four):
    expected = each(subject_of(make_softcam()), four, [0, 1], contrast=True)
    found = each(subject_of(make_softcam().cuda()), four, [0, 1], contrast=True)
    assert found.device.type == "cuda"
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)


def small_vgg() -> torchvision.models.VGG:
    """A VGG in shape, with few channels."""
    features = torchvision.models.vgg.make_layers([4, "M", 8, "M", 8, "M", 8, "M", 16, "M"])
    model = torchvision.models.VGG(features)
    model.classifier = nn.Sequential(
        *(nn.Linear(16 * 49, 24), nn.ReLU(True), nn.Dropout(0.5)),
        *(nn.Linear(24, 24), nn.ReLU(True), nn.Dropout(0.5)),
        nn.Linear(24, 3),
    )
    return model


STOCK = {
    "timm resnet18": lambda: timm.create_model("resnet18", num_classes=3),
    "torchvision resnet18": lambda: torchvision.models.resnet18(num_classes=3),
    "torchvision vgg": small_vgg,
    "timm mobilenetv3": lambda: timm.create_model("mobilenetv3_small_050", num_classes=3),
    "timm convnext": lambda: timm.create_model("convnext_atto", num_classes=3),
}
LINEAR = ("timm resnet18", "torchvision resnet18")


def stock_images(name: str) -> torch.Tensor:
    side = 224 if "vgg" in name else 64
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", STOCK)
def test_stock_twins_are_explained_from_the_conversion_s_seam(name):
    torch.manual_seed(0)
    subject = subject_of(BlackBox(STOCK[name](), info=ModelInfo()))
    refused = {each.name for each in METHODS.values() if each.refusal(subject)}
    expected = {"evidence"} if name in LINEAR else {"evidence", "cam"}
    if "convnext" in name:
        expected |= {"guided-backprop", "guided-grad-cam"}
    assert refused == expected
    images = stock_images(name)
    coarse = {"grad-cam", "grad-cam++", "hirescam", "layer-cam", "eigen-cam"}
    fine = {"gradient", "guided-backprop", "guided-grad-cam"}
    for each in methods(sorted((coarse | fine) - refused)):
        maps = each(subject, images, [0, 2], contrast=True)
        assert maps.isfinite().all() and maps.shape[:2] == (1, 2)
        assert (maps.shape[2:] == images.shape[2:]) is (each.name in fine)


@pytest.mark.parametrize("name", ["timm resnet18", "torchvision resnet18", "torchvision vgg"])
def test_guided_backprop_of_a_twin_is_the_black_box_s(name):
    """Whatever its conversion makes of the ReLU modules, reused and in-place ones too."""
    from captum.attr import GuidedBackprop

    torch.manual_seed(0)
    model = STOCK[name]().eval()
    images = stock_images(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = GuidedBackprop(model).attribute(images.clone().requires_grad_(), target=1)
    subject = subject_of(BlackBox(model, info=ModelInfo()).train())
    found = GUIDED_BACKPROP(subject, images, [1])[0, 0]
    plain = GRADIENT(subject, images, [1])[0, 0]
    largest = expected.abs().max().item()
    torch.testing.assert_close(found, expected[0].sum(dim=0), rtol=1e-3, atol=1e-4 * largest)
    assert (found - plain).abs().max() > 0.1 * found.abs().max()
    assert model.training


def test_a_softcam_that_reads_gates_off_its_relus_has_no_guided_backprop():
    torch.manual_seed(0)
    subject = subject_of(convert(small_vgg()))
    assert "the head of SoftCAM reads gates off them" in GUIDED_BACKPROP.refusal(subject)
    of_resnet = subject_of(convert(STOCK["torchvision resnet18"]()))
    assert GUIDED_BACKPROP.refusal(of_resnet) is None
    images = stock_images("torchvision resnet18")
    assert GUIDED_BACKPROP(of_resnet, images, [1]).isfinite().all()


def test_methods_are_found_by_name_and_by_group():
    assert method("grad-cam") is METHODS["grad-cam"]
    assert all(each.name == name and each.source for name, each in METHODS.items())
    assert methods(["all"]) == list(METHODS.values())
    assert [each.name for each in methods(["rise", "floors", "uniform"])] == [
        "rise",
        "random",
        "uniform",
        "edges",
    ]
    assert GROUPS["all"] == tuple(METHODS)


def test_fast_methods_take_few_passes_of_the_backbone(four):
    model = make_softcam()
    passes = []
    model.backbone.register_forward_hook(lambda _module, given, _out: passes.append(len(given[0])))
    subject = subject_of(model)
    counts = {}
    for name, each in METHODS.items():
        passes.clear()
        each(subject, four[:1], [0, 1])
        counts[name] = sum(passes)
    slow = set(GROUPS["all"]) - set(GROUPS["fast"])
    # The tiny model has 5 channels, for Score-CAM; a real one has hundreds.
    assert {name for name in counts if counts[name] > 3} == slow
    assert counts["score-cam"] == 1 + 5 and counts["rise"] == 2000
    assert counts["ablation-cam"] == counts["grad-cam"] == 1 and counts["uniform"] == 0


def test_a_name_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(InputError, match="no attribution method 'gradcam'; there are: evidence, "):
        method("gradcam")
    with pytest.raises(InputError, match=r"'quick'; there are: .*, and the groups all, fast"):
        methods(["grad-cam", "quick"])


def test_the_documentation_lists_every_method():
    page = Path(__file__).parents[3] / "docs" / "how-to" / "compare-attributions.md"
    rows = re.findall(
        r"^\| `([a-z+-]+)` \| (.+?) \| (.*?) \|", page.read_text("utf-8"), re.MULTILINE
    )
    expected = [(each.name, each.label, "yes" * each.signed) for each in METHODS.values()]
    assert rows == expected
