import copy

import pytest
import timm
import torch
import torchvision
from torch import nn

from softcam.conversion.convert import convert
from softcam.conversion.create import create_model
from softcam.conversion.errors import ConversionError, Reason
from softcam.errors import InputError
from softcam.evidence.model import SoftCAM
from tests.conftest import randomise_norms

NAMES = (
    "resnet18",
    "resnet50d",
    "densenet121",
    "efficientnet_b0",
    "tf_efficientnet_lite0",
    "torchvision/resnet18",
    "torchvision/densenet121",
    "torchvision/efficientnet_b0",
    "torchvision/mobilenet_v2",
)


def black_box(name: str, classes: int = 5) -> nn.Module:
    source, _, plain = name.rpartition("/")
    if source == "torchvision":
        model = torchvision.models.get_model(plain, num_classes=classes)
    else:
        model = timm.create_model(plain, num_classes=classes)
    return randomise_norms(model)


def slow_logits(model: SoftCAM, images: torch.Tensor) -> torch.Tensor:
    """Classify position by position and average, one number after the other, in float64."""
    features = model.backbone(images)
    weight = model.head.conv.weight.detach()[:, :, 0, 0].double()
    bias = model.head.conv.bias.detach().double()
    rows = []
    for image in features.detach().double():
        places = image.flatten(1).T
        rows.append(sum(weight @ place + bias for place in places) / len(places))
    return torch.stack(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_the_logits_stay_the_same_and_are_the_mean_of_the_evidence(name, dtype):
    original = black_box(name).to(dtype).eval()
    images = torch.randn(2, 3, 96, 64, dtype=dtype)
    converted = convert(original)
    with torch.no_grad():
        expected = original(images)
        output = converted(images)
    scale = expected.abs().max()
    tight = 1e-4 if dtype is torch.float32 else 1e-12
    assert (output.logits - expected).abs().max() <= tight * scale
    complete = 1e-5 if dtype is torch.float32 else 1e-12
    assert (output.logits - output.evidence.double().mean((2, 3))).abs().max() <= complete * scale
    assert (slow_logits(converted, images) - expected).abs().max() <= tight * scale


@pytest.mark.parametrize("name", ["resnet18", "torchvision/densenet121"])
def test_the_original_is_left_untouched(name):
    original = black_box(name).train()
    before = copy.deepcopy(original.state_dict())
    structure = str(original)
    converted = convert(original)
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.zero_()
    assert str(original) == structure
    assert original.training
    for key, value in original.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_without_a_copy_the_parameters_are_shared():
    original = black_box("resnet18")
    converted = convert(original, copy=False)
    theirs = {parameter.data_ptr() for parameter in original.parameters()}
    assert {parameter.data_ptr() for parameter in converted.parameters()} == theirs


@pytest.mark.parametrize("built_inside", [False, True])
def test_a_model_converted_in_inference_mode_trains(built_inside):
    if built_inside:
        with torch.inference_mode():
            original = black_box("resnet18")
            converted = convert(original)
    else:
        original = black_box("resnet18")
        with torch.inference_mode():
            converted = convert(original)
    optimizer = torch.optim.SGD(converted.parameters(), lr=0.1)
    before = [parameter.detach().clone() for parameter in converted.parameters()]
    output = converted.train()(torch.randn(2, 3, 64, 64))
    nn.functional.cross_entropy(output.logits, torch.tensor([0, 1])).backward()
    optimizer.step()
    assert all(parameter.grad is not None for parameter in converted.parameters())
    assert any(
        not torch.equal(old, new) for old, new in zip(before, converted.parameters(), strict=True)
    )


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_kept(training):
    assert convert(black_box("resnet18").train(training)).training is training


def test_head_dropout_becomes_channel_dropout():
    assert convert(timm.create_model("resnet18", drop_rate=0.3)).head.dropout == 0.3
    assert convert(torchvision.models.efficientnet_b0()).head.dropout == 0.2


def test_frozen_parameters_stay_frozen():
    original = black_box("resnet18")
    for parameter in original.parameters():
        parameter.requires_grad_(False)
    converted = convert(original)
    assert not any(parameter.requires_grad for parameter in converted.parameters())


def test_replacing_the_classes_keeps_the_backbone():
    original = black_box("resnet18").eval()
    converted = convert(original, num_classes=3)
    images = torch.randn(1, 3, 64, 64)
    assert converted(images).logits.shape == (1, 3)
    assert torch.equal(converted.backbone(images), original.forward_features(images))


def test_a_backbone_without_classifier_needs_the_number_of_classes():
    original = timm.create_model("resnet18", num_classes=0)
    with pytest.raises(ConversionError, match="num_classes=") as caught:
        convert(original)
    assert caught.value.reason is Reason.NO_CLASSIFIER
    converted = convert(original, mode="fresh", num_classes=2)
    assert converted(torch.randn(1, 3, 64, 64)).logits.shape == (1, 2)


@pytest.mark.parametrize("name", ["vgg11", "torchvision/vgg11"])
def test_a_fresh_vgg_has_1x1_layers_in_place_of_the_fully_connected_ones(name):
    original = black_box(name)
    converted = convert(original, mode="fresh").eval()
    convolutions = [m for m in converted.backbone.modules() if isinstance(m, nn.Conv2d)][-2:]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (512, 4096, (1, 1)),
        (4096, 4096, (1, 1)),
    ]
    output = converted(torch.randn(1, 3, 96, 64))
    assert output.evidence.shape == (1, 5, 3, 2)
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))
    features = next(original.parameters())
    assert torch.equal(next(converted.parameters()), features)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("vit_tiny_patch16_224", Reason.CLASS_TOKEN),
        ("coat_tiny", Reason.CLASS_TOKEN),
        ("crossvit_9_240", Reason.CLASS_TOKEN),
        ("resnet50_clip", Reason.ATTENTION_POOL),
        ("efficientvim_m1", Reason.NO_SPATIAL_MAP),
        ("torchvision/vit_b_16", Reason.CLASS_TOKEN),
    ],
)
def test_other_heads_are_refused_with_a_reason(name, reason):
    with pytest.raises(ConversionError) as caught:
        convert(black_box(name))
    assert caught.value.reason is reason
    assert caught.value.remedy in str(caught.value)


def test_a_max_pool_is_refused():
    with pytest.raises(ConversionError) as caught:
        convert(timm.create_model("resnet18", global_pool="max"))
    assert caught.value.reason is Reason.MAX_POOL


def test_a_forward_pass_that_does_more_than_its_parts_is_refused():
    original = timm.create_model("resnet18", num_classes=3)

    class Doubled(type(original)):
        def forward(self, x):
            return 2 * super().forward(x)

    original.__class__ = Doubled
    Doubled.__module__ = type(original).__mro__[1].__module__
    with pytest.raises(ConversionError) as caught:
        convert(original)
    assert caught.value.reason is Reason.CHANGED_LOGITS


@pytest.mark.parametrize("arguments", [{"mode": "guess"}, {"num_classes": 0}, {"stages": ()}])
def test_impossible_arguments_are_refused(arguments):
    with pytest.raises(InputError):
        convert(black_box("resnet18"), **arguments)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "efficientnet_b0", "vgg11"])
@pytest.mark.parametrize("source", ["", "torchvision/"])
def test_stage_s_has_stride_4_8_16_32_and_drops_what_lies_behind(name, source):
    sizes = []
    for stage in (1, 2, 3, 4):
        model = create_model(source + name, num_classes=2, stages=stage).eval()
        output = model(torch.randn(1, 3, 64, 64))
        assert output.evidence.shape == (1, 2, 32 >> stage, 32 >> stage)
        torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))
        sizes.append(sum(parameter.numel() for parameter in model.parameters()))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


@pytest.mark.parametrize("name", ["resnet18", "torchvision/resnet18"])
def test_several_stages_are_added_at_the_finest_resolution_and_all_train(name):
    model = create_model(name, num_classes=2, stages=(2, 3))
    output = model(torch.randn(2, 3, 64, 64))
    assert output.evidence.shape == (2, 2, 8, 8)
    output.logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_an_unknown_stage_is_refused_with_those_there_are():
    with pytest.raises(ConversionError, match=r"choose from \[1, 2, 3, 4\]") as caught:
        create_model("resnet18", num_classes=2, stages=5)
    assert caught.value.reason is Reason.UNKNOWN_STAGE
    with pytest.raises(ConversionError, match=r"choose from \[1, 2, 3, 4\]"):
        create_model("torchvision/resnet18", num_classes=2, stages=7)


def test_stage_features_are_the_black_boxs_own():
    original = black_box("torchvision/resnet18").eval()
    images = torch.randn(1, 3, 64, 64)
    features = convert(original, stages=2).eval().backbone(images)
    x = original.maxpool(original.relu(original.bn1(original.conv1(images))))
    assert torch.equal(features, original.layer2(original.layer1(x)))


@pytest.mark.parametrize(
    ("name", "positions"), [("volo_d1_224", (14, 14)), ("cait_xxs24_224", (14, 14))]
)
def test_a_fresh_layer_reads_the_patch_tokens_of_a_class_token_model(name, positions):
    found = convert(timm.create_model(name, num_classes=2), mode="fresh")
    assert found.map_size((224, 224)) == positions


@pytest.mark.parametrize("name", ["pit_ti_224", "torchvision/vit_b_16"])
def test_a_model_whose_patches_cannot_be_had_is_refused_and_not_cut_short(name):
    with pytest.raises(ConversionError) as caught:
        convert(black_box(name), mode="fresh")
    assert caught.value.reason is Reason.NO_SPATIAL_MAP
