import pytest
import torch

from softcam.conversion.create import create_black_box, create_model, normalisation
from softcam.conversion.errors import ConversionError
from softcam.errors import InputError


@pytest.mark.parametrize("classes", [1, 2, 7])
def test_a_model_is_built_by_name(classes):
    output = create_model("resnet18", num_classes=classes)(torch.randn(2, 3, 64, 64))
    assert output.logits.shape == (2, classes)
    assert output.evidence.shape == (2, classes, 2, 2)


def test_grey_input_where_the_library_can():
    assert create_model("resnet18", num_classes=2, in_chans=1)(torch.randn(2, 1, 64, 64))
    with pytest.raises(InputError, match="takes 3 channels"):
        create_model("torchvision/resnet18", num_classes=2, in_chans=1)


@pytest.mark.parametrize("stride", [8, 16])
def test_output_stride_makes_a_finer_map(stride):
    model = create_model("resnet18", num_classes=2, output_stride=stride)
    assert model(torch.randn(2, 3, 64, 64)).evidence.shape[-1] == 64 // stride


def test_constructor_arguments_are_passed_on():
    assert create_model("resnet18", num_classes=2, drop_rate=0.25).head.dropout == 0.25


def test_an_unknown_name_gets_close_ones():
    with pytest.raises(InputError, match=r"did you mean .*resnet18"):
        create_model("resnet_18", num_classes=2)
    with pytest.raises(InputError, match="torchvision has no classifier of that name"):
        create_model("torchvision/nothing_like_it", num_classes=2)
    with pytest.raises(InputError, match="no classifier of that name"):
        create_model("hf-hub:someone/something", num_classes=2)


@pytest.mark.parametrize("name", ["checkpoint_path", "pretrained_cfg", "features_only"])
def test_arguments_that_read_files_or_change_the_output_are_refused(name):
    with pytest.raises(InputError, match=name):
        create_model("resnet18", num_classes=2, **{name: "x"})


def test_arguments_that_are_not_the_constructors_are_refused():
    with pytest.raises(InputError, match="cannot build it with depth=9"):
        create_model("resnet18", num_classes=2, depth=9)
    with pytest.raises(InputError, match="only plain arguments"):
        create_model("resnet18", num_classes=2, act_layer=torch.nn.GELU)
    with pytest.raises(InputError, match="output_stride"):
        create_model("vgg11", num_classes=2, mode="fresh", output_stride=8)


def test_pretrained_without_a_hub_names_the_weights_flag():
    with pytest.raises(InputError, match="--weights"):
        create_model("resnet18", num_classes=2, pretrained=True)


def test_pretrained_and_weights_exclude_each_other(tmp_path):
    with pytest.raises(InputError, match="not both"):
        create_model("resnet18", num_classes=2, pretrained=True, weights=tmp_path / "w")


def test_a_black_box_twin_is_the_stock_model():
    twin = create_black_box("resnet18", num_classes=3).eval()
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(twin(images), twin.model(images))
    assert twin.num_outputs == 3
    assert twin.feature_layer is twin.model.layer4


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        ("densenet121", 1024),
        ("efficientnet_b0", 1280),
        ("vgg11", 512),
        ("torchvision/resnet18", 512),
        ("torchvision/densenet121", 1024),
        ("torchvision/vgg11", 512),
    ],
)
def test_the_feature_layer_gives_the_last_feature_map(name, channels):
    twin = create_black_box(name, num_classes=3).eval()
    seen = []
    handle = twin.feature_layer.register_forward_hook(lambda *args: seen.append(args[2].shape))
    twin(torch.randn(1, 3, 224, 224))
    handle.remove()
    assert seen == [(1, channels, 7, 7)]


def test_input_statistics_are_the_backbones_own():
    assert normalisation("tf_efficientnet_lite0") == ((0.5,) * 3, (0.5,) * 3)
    assert normalisation("torchvision/vgg16")[0] == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("convnext_atto", {"in_chans": 1}, (2, 2)),
        ("convnext_atto", {"output_stride": 16}, (4, 4)),
        ("convnext_atto", {"output_stride": 8}, (8, 8)),
        ("convnext_atto", {"stages": 3}, (4, 4)),
        ("mobilenetv3_small_050", {"stages": (2, 3)}, (8, 8)),
        ("vgg11", {"mode": "sliding", "mlp_ratio": 0.02}, (1, 1)),
        ("vgg11", {"mlp_ratio": 0.02}, (7, 7)),
        ("torchvision/squeezenet1_1", {}, (3, 3)),
    ],
)
def test_every_kind_of_head_is_built_by_name(name, arguments, shape):
    model = create_model(name, num_classes=2, **arguments).eval()
    channels = arguments.get("in_chans", 3)
    with torch.no_grad():
        output = model(torch.randn(2, channels, 64, 64))
    assert output.evidence.shape == (2, 2, *shape)
    assert model.map_size((64, 64)) == shape
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))


def test_tokens_without_their_class_token_take_a_fresh_layer():
    model = create_model("test_vit", num_classes=2, mode="fresh")
    assert model(torch.randn(2, 3, 160, 160)).evidence.shape == (2, 2, 10, 10)
    model.eval().zero_grad()
    model(torch.randn(2, 3, 160, 160)).logits.sum().backward()
    assert all(value.grad is not None for value in model.parameters())


def test_a_transformers_stages_are_those_of_its_strides():
    model = create_model("test_vit", num_classes=2, stages=3)
    assert model(torch.randn(2, 3, 160, 160)).evidence.shape == (2, 2, 10, 10)
    with pytest.raises(ConversionError, match=r"choose from \[3\]"):
        create_model("test_vit", num_classes=2, stages=2)
