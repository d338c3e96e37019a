import json
import warnings

import pytest
import safetensors
import safetensors.torch
import timm
import torch
import torchvision
from torch import nn

from softcam.conversion.convert import convert
from softcam.conversion.create import create_black_box, create_model
from softcam.conversion.load import load, load_black_box
from softcam.errors import InputError, ModelFileError
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from tests.conftest import randomise_norms

CASES = (
    ("resnet18", {}),
    ("resnet18", {"stages": (2, 3)}),
    ("resnet18", {"output_stride": 16, "in_chans": 1}),
    ("densenet121", {"stages": 3}),
    ("efficientnet_b0", {}),
    ("vgg11", {"mode": "fresh"}),
    ("torchvision/resnet18", {"stages": 3}),
    ("torchvision/densenet121", {}),
    ("torchvision/vgg11", {"mode": "fresh"}),
)


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_a_model_file_is_enough(name, arguments, tmp_path):
    model = randomise_norms(create_model(name, num_classes=3, **arguments)).eval()
    loaded = load(model.save(tmp_path / "m.safetensors"))
    images = torch.randn(2, arguments.get("in_chans", 3), 64, 96)
    with torch.no_grad():
        expected, output = model(images), loaded(images)
    assert torch.equal(output.logits, expected.logits)
    assert torch.equal(output.evidence, expected.evidence)
    assert not loaded.training
    torch.testing.assert_close(output.logits, output.evidence.mean((2, 3)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: timm.create_model("resnet18", num_classes=4),
        lambda: timm.create_model("efficientnet_b0", num_classes=4, drop_rate=0.2),
        lambda: torchvision.models.resnet18(num_classes=4),
        lambda: torchvision.models.densenet121(num_classes=4),
    ],
)
def test_a_converted_stock_instance_is_recognised_and_rebuilt(build, tmp_path):
    original = randomise_norms(build()).eval()
    loaded = load(convert(original).save(tmp_path / "m.safetensors"))
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, original(images), rtol=1e-5, atol=1e-5)


FAMILIES = (
    "test_convnext",
    "test_mambaout",
    "test_nfnet",
    "mobilenetv3_small_050",
    "ghostnet_050",
    "efficientvit_b0",
    "edgenext_xx_small",
    "pvt_v2_b0",
    "test_vit2",
    "efficientformer_l1",
    "dla46x_c",
    "torchvision/squeezenet1_1",
    "torchvision/shufflenet_v2_x0_5",
    "torchvision/mobilenet_v3_small",
    "torchvision/regnet_y_400mf",
)


@pytest.mark.parametrize("name", FAMILIES)
def test_converted_instances_of_every_kind_come_back_from_their_file_alone(name, tmp_path):
    source, _, plain = name.rpartition("/")
    if source:
        original = torchvision.models.get_model(plain, weights=None, num_classes=4)
    else:
        original = timm.create_model(plain, num_classes=4)
    found = convert(randomise_norms(original).eval())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a file that needs its black box would say so
        path = found.save(tmp_path / "m.safetensors")
    loaded = load(path)
    images = torch.randn(2, 3, *found.info.input_size)
    with torch.no_grad():
        expected, output = found(images), loaded(images)
    assert torch.equal(output.evidence, expected.evidence)
    assert loaded.evidence_kind == found.evidence_kind
    assert loaded.info.architecture.name == plain


def test_the_arguments_that_an_instance_tells_are_found_and_proved(tmp_path):
    original = timm.create_model("test_vit", num_classes=3, global_pool="avg", img_size=96)
    loaded = load(convert(original.eval()).save(tmp_path / "m.safetensors"))
    assert loaded.info.architecture.kwargs == {"global_pool": "avg", "img_size": (96, 96)}
    assert loaded(torch.randn(1, 3, 96, 96)).evidence.shape == (1, 3, 6, 6)


@pytest.mark.parametrize("stride", [8, 16])
def test_a_dilated_instance_is_never_taken_for_the_stock_one(stride, tmp_path):
    """The weights of both have the same names and shapes: only their function tells."""
    original = timm.create_model("resnet18", num_classes=3, output_stride=stride)
    found = convert(randomise_norms(original).eval())
    assert found.info.architecture is None
    with pytest.warns(UserWarning, match="no name can rebuild"):
        path = found.save(tmp_path / "m.safetensors")
    stock = timm.create_model("resnet18", num_classes=3)
    with pytest.raises(ModelFileError, match="does not give the output stored"):
        load(path, backbone=stock)


def test_an_instance_with_another_output_stride_is_not_guessed_at(tmp_path):
    # The same weights as the stock model's, and another function.
    original = randomise_norms(timm.create_model("resnet18", num_classes=3, output_stride=16))
    path = convert(original.eval()).save(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"load\(path, backbone=model\)"):
        load(path)
    again = timm.create_model("resnet18", num_classes=3, output_stride=16)
    loaded = load(path, backbone=again)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).logits, original(images), rtol=1e-5, atol=1e-5)


def test_the_wrong_architecture_is_caught_by_the_probe(tmp_path):
    original = randomise_norms(timm.create_model("resnet18", num_classes=3, output_stride=16))
    path = convert(original.eval()).save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="does not give the output stored"):
        load(path, backbone=timm.create_model("resnet18", num_classes=3))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_model_of_ones_own_comes_back_with_its_backbone(dims, tmp_path):
    convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    model = SoftCAM(convolution(2, 4, 3), EvidenceLayer(4, 2, dims=dims)).double()
    model.head.dropout = 0.25
    path = model.eval().save(tmp_path / "m.safetensors")
    loaded = load(path, backbone=convolution(2, 4, 3))
    assert loaded.head.dropout == 0.25
    images = torch.randn(1, 2, *(8,) * dims, dtype=torch.float64)
    assert torch.equal(loaded(images).logits, model(images).logits)
    with pytest.raises(InputError, match="backbone"):
        load(path)
    with pytest.raises(InputError, match="other parameters"):
        load(path, backbone=nn.Linear(2, 2))


def test_double_precision_is_kept(tmp_path):
    model = create_model("resnet18", num_classes=2).double().eval()
    loaded = load(model.save(tmp_path / "m.safetensors"))
    assert next(loaded.parameters()).dtype == torch.float64


def test_a_loaded_model_trains(tmp_path):
    loaded = load(create_model("resnet18", num_classes=2).save(tmp_path / "m.safetensors"))
    loaded.train()(torch.randn(2, 3, 64, 64)).logits.sum().backward()
    assert all(parameter.grad is not None for parameter in loaded.parameters())


def test_black_box_and_softcam_files_are_told_apart(tmp_path):
    box = create_black_box("resnet18", num_classes=2).eval()
    path = box.save(tmp_path / "b.safetensors")
    images = torch.randn(1, 3, 64, 64)
    assert torch.equal(load_black_box(path)(images), box(images))
    with pytest.raises(ModelFileError, match="load_black_box"):
        load(path)
    other = create_model("resnet18", num_classes=2).save(tmp_path / "m.safetensors")
    with pytest.raises(ModelFileError, match="holds a SoftCAM"):
        load_black_box(other)


def edited(path, change):
    with safetensors.safe_open(path, framework="pt") as archive:
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118
        document = json.loads(archive.metadata()["softcam"])
    change(document["info"]["architecture"], tensors)
    safetensors.torch.save_file(tensors, path, metadata={"softcam": json.dumps(document)})


@pytest.mark.parametrize(
    "change",
    [
        lambda a, t: a.update(name="hf-hub:someone/model"),
        lambda a, t: a.update(name="resnet50"),
        lambda a, t: a["kwargs"].update(checkpoint_path="/etc/passwd"),
        lambda a, t: a["kwargs"].update(pretrained=True),
        lambda a, t: a.update(stages=[9]),
        lambda a, t: t.pop("model.head.conv.bias"),
        lambda a, t: t["model.backbone.model.conv1.weight"].mul_(-3),
    ],
)
def test_a_file_that_was_changed_is_refused(change, tmp_path):
    path = create_model("resnet18", num_classes=2).save(tmp_path / "m.safetensors")
    edited(path, change)
    with pytest.raises(ModelFileError, match=r"m\.safetensors"):
        load(path)
