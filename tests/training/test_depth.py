"""Stages of any backbone, found by running it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from softcam.conversion.create import create_black_box, create_model
from softcam.errors import InputError
from softcam.training.config import make_config
from softcam.training.depth import measure_depth
from softcam.training.freezing import freeze, frozen_parameters
from softcam.training.schedule import cosine_with_floor, learning_groups, make_optimizer


def levels(model, size=64):
    """Level to the names of the modules that stand there, without their last two words."""
    found: dict[int, set[str]] = {}
    depth = measure_depth(model, (size, size))
    for name, level in depth.levels.items():
        found.setdefault(level, set()).add(name)
    return depth, found


def starting(names, *beginnings):
    return all(name.startswith(beginnings) for name in names)


@pytest.mark.parametrize(
    ("build", "name", "body", "head"),
    [
        (create_model, "resnet10t", "backbone.model.", "head.conv."),
        (create_model, "resnet50", "backbone.model.", "head.conv."),
        (create_model, "torchvision/resnet18", "backbone.layers.", "head.conv."),
        (create_black_box, "resnet50", "model.", "model.fc."),
        (create_black_box, "torchvision/resnet18", "model.", "model.fc."),
    ],
)
def test_the_stages_of_a_resnet_are_its_layers(build, name, body, head):
    depth, found = levels(build(name, num_classes=2))
    assert (depth.unit, depth.last) == ("stage", 4)
    assert starting(found[0], f"{body}conv1", f"{body}bn1")
    for stage in range(1, 5):
        assert starting(found[stage], f"{body}layer{stage}."), stage
    assert set(depth.head) == {f"{head}weight", f"{head}bias"}


@pytest.mark.parametrize(
    ("name", "size", "first", "third"),
    [
        ("convnext_atto", 64, 1, "stages.2."),
        ("efficientnet_b0", 64, 0, "blocks."),
        ("torchvision/densenet121", 64, 0, ("transition2", "denseblock3")),
        ("swin_tiny_patch4_window7_224", 224, 1, "layers.2."),
        ("swinv2_tiny_window8_256", 256, 1, "layers.2."),
        ("selecsls42b", 64, 0, "features."),
    ],
)
def test_other_backbones_have_the_same_stages(name, size, first, third):
    depth, found = levels(create_model(name, num_classes=2), size)
    assert (depth.unit, min(found), depth.last) == ("stage", first, 4)
    third = (third,) if isinstance(third, str) else third
    assert all(any(part in n for part in third) for n in found[3])
    counted = sum(len(names) for names in found.values()) + len(depth.head)
    assert counted == len(list(create_model(name, num_classes=2).parameters()))


def test_transformers_of_one_stride_count_their_blocks():
    depth, found = levels(create_model("vit_tiny_patch16_224", num_classes=2, mode="fresh"), 224)
    assert depth.unit == "block"
    assert any(name.endswith("pos_embed") for name in found[0])
    for block in range(12):
        assert starting(found[block + 1], f"backbone.model.blocks.{block}.")


@pytest.mark.parametrize(
    ("name", "classifier"),
    [("torchvision/squeezenet1_1", "model.classifier.1."), ("dla34", "model.fc.")],
)
def test_a_classifier_of_1x1_kernels_is_the_head_of_a_black_box(name, classifier):
    depth = measure_depth(create_black_box(name, num_classes=2), (64, 64))
    assert set(depth.head) == {f"{classifier}weight", f"{classifier}bias"}


def test_blocks_that_follow_a_stem_of_several_strides_are_counted():
    depth, found = levels(create_black_box("xcit_nano_12_p16_224", num_classes=2), 224)
    assert depth.unit == "block"
    assert len(found) > 12


@pytest.mark.parametrize("mode", ["exact", "fresh"])
def test_the_fully_connected_layers_of_vgg_are_its_head(mode):
    depth = measure_depth(create_model("torchvision/vgg11", num_classes=2, mode=mode), (64, 64))
    twin = measure_depth(create_black_box("torchvision/vgg11", num_classes=2), (64, 64))
    assert len(depth.head) == len(twin.head) == 6
    assert all("classifier" in name for name in twin.head)
    assert len(depth.levels) == len(twin.levels) == 16


def test_a_model_is_left_as_it_was():
    model = create_model("resnet10t", num_classes=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure_depth(model, (64, 64))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())


def config(**values):
    return make_config({"table": "t", "out": "o", "size": 64, **values})


def test_rates_fall_from_the_head_to_the_image():
    model = create_model("resnet10t", num_classes=2)
    settings = config(lr=0.01, layer_decay=0.5, head_lr=3)
    groups = learning_groups(model, settings)
    rates = [group["lr"] for group in groups]
    assert rates == pytest.approx([0.03, *(0.01 * 0.5**k for k in range(1, 6))])
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)] for p in groups[0]["params"]} == {"head.conv.weight", "head.conv.bias"}
    assert all(".layer4." in names[id(p)] for p in groups[1]["params"])
    assert all(".layer1." in names[id(p)] for p in groups[4]["params"])
    assert sum(len(group["params"]) for group in groups) == len(names)
    optimizer = make_optimizer(model, settings)
    factor = cosine_with_floor(10, warmup=0, peak=0.01, floor=0.001)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for _ in range(10):
        optimizer.step()
        schedule.step()
    found = [group["lr"] for group in optimizer.param_groups]
    assert found == pytest.approx([0.1 * rate for rate in rates])


def test_without_factors_there_is_one_group_in_the_models_order():
    model = create_model("resnet10t", num_classes=2)
    (group,) = learning_groups(model, config())
    assert all(a is b for a, b in zip(group["params"], model.parameters(), strict=True))


def test_a_factor_of_the_head_alone_leaves_the_backbone_at_the_full_rate():
    model = create_model("resnet10t", num_classes=2)
    rates = {group["lr"] for group in learning_groups(model, config(lr=0.5, head_lr=0.1))}
    assert rates == {0.05, 0.5}


def test_frozen_stages_need_no_gradient_and_are_not_in_the_optimizer():
    model = create_model("resnet10t", num_classes=2)
    modules = freeze(model, 2, (64, 64))
    for name, parameter in model.named_parameters():
        deep = ".layer3." in name or ".layer4." in name or name.startswith("head.")
        assert parameter.requires_grad == deep, name
    assert "backbone.model.layer2" in modules
    assert "backbone.model.bn1" in modules
    assert not any("layer3" in name for name in modules)
    trained = sum(len(group["params"]) for group in learning_groups(model, config(layer_decay=0.5)))
    assert trained == sum(p.requires_grad for p in model.parameters())


def test_a_whole_backbone_is_frozen_up_to_the_head():
    for model in (
        create_model("resnet10t", num_classes=2),
        create_black_box("resnet10t", num_classes=2),
        create_model("torchvision/vgg11", num_classes=2, mode="fresh"),
    ):
        freeze(model, "backbone", (64, 64))
        trained = {name for name, p in model.named_parameters() if p.requires_grad}
        assert trained == set(measure_depth(model, (64, 64)).head)


def test_stages_that_are_not_there_are_refused():
    model = create_model("resnet10t", num_classes=2, stages=2)
    assert frozen_parameters(model, 0, (64, 64)) == frozenset()
    with pytest.raises(InputError, match="has stages up to 2, not 3"):
        freeze(model, 3, (64, 64))
    assert all(p.requires_grad for p in model.parameters())


def test_a_model_without_parts_has_one_level():
    class Tiny(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.fc = nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.conv(x).mean((2, 3)))

    depth = measure_depth(Tiny(), (16, 16))
    assert depth.levels == {"conv.weight": 0, "conv.bias": 0}
    assert depth.head == ("fc.weight", "fc.bias")
