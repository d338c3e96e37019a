"""Models of no library: traced, or with their two ends named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.load import load
from softcam.errors import InputError
from tests.conversion.nets import Behind, Branching, Net, awake, check, with_head

POOLS = {
    "mean": lambda self, f: self.fc(f.mean((2, 3))),
    "mean twice": lambda self, f: self.fc(f.mean(3).mean(2)),
    "adaptive pool and view": lambda self, f: self.fc(F.adaptive_avg_pool2d(f, 1).view(len(f), -1)),
    "adaptive pool and squeeze": lambda self, f: self.fc(F.adaptive_avg_pool2d(f, 1)[..., 0, 0]),
    "flatten and mean": lambda self, f: self.fc(f.flatten(2).mean(-1)),
    "tokens and mean": lambda self, f: self.fc(f.flatten(2).transpose(1, 2).mean(1)),
    "channels last": lambda self, f: self.fc(f.permute(0, 2, 3, 1).mean((1, 2))),
    "whole average": lambda self, f: self.fc(F.avg_pool2d(f, f.shape[-2:]).flatten(1)),
    "functional dropout": lambda self, f: self.fc(
        F.dropout(f.mean((2, 3)), 0.3, training=self.training)
    ),
    "classified positions": lambda self, f: self.fc(f.permute(0, 2, 3, 1)).mean((1, 2)),
    "scaled logits": lambda self, f: self.fc(f.mean((2, 3))) / 3 + 0.5,
    "scaled vector": lambda self, f: self.fc(2 * f.mean((2, 3)) - 1),
    "two heads": lambda self, f: (self.fc(f.mean((2, 3))) + self.fc(2 * f.mean((2, 3)))) / 2,
    "functional linear": lambda self, f: F.linear(f.mean((2, 3)), self.fc.weight, self.fc.bias),
    "a tuple": lambda self, f: (self.fc(f.mean((2, 3))), f),
}


@pytest.mark.parametrize("spelling", POOLS)
def test_an_average_pool_is_found_however_it_is_spelled(spelling):
    check(with_head(POOLS[spelling])())


GATED = {
    "relu": lambda self, f: self.fc(F.relu(f.mean((2, 3)) - 0.1)),
    "tanh method": lambda self, f: self.fc(f.mean((2, 3)).tanh()),
    "in place": lambda self, f: self.fc(F.hardswish(f.mean((2, 3)), inplace=True)),
    "own swish": lambda self, f: self.fc(Swish()(f.mean((2, 3)))),
}


class Swish(nn.Module):
    def forward(self, x):
        return x * torch.sigmoid(1.7 * x)


class OwnSwish(Net):
    def __init__(self):
        super().__init__()
        self.act = Swish()

    def head(self, features):
        return self.fc(self.act(features.mean((2, 3))))


@pytest.mark.parametrize("spelling", ["relu", "tanh method", "in place"])
def test_an_activation_behind_the_pool_becomes_gates(spelling):
    check(with_head(GATED[spelling])(), "gated")


def test_an_activation_of_the_users_own_becomes_gates():
    check(OwnSwish(), "gated")


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ([nn.BatchNorm1d(12), nn.Linear(12, 3)], "affine"),
        ([nn.Dropout(0.4), nn.Linear(12, 7), nn.Linear(7, 3)], "affine"),
        ([nn.LayerNorm(12), nn.Linear(12, 3)], "normalised"),
        ([nn.RMSNorm(12), nn.Linear(12, 3)], "normalised"),
        ([nn.GroupNorm(3, 12), nn.Linear(12, 3)], "normalised"),
        (
            [nn.BatchNorm1d(12), nn.Linear(12, 9), nn.GELU(), nn.LayerNorm(9), nn.Linear(9, 3)],
            "gated",
        ),
        ([nn.Linear(12, 9), nn.Sequential(nn.PReLU(9), nn.Dropout(0.2)), nn.Linear(9, 3)], "gated"),
    ],
)
def test_layers_behind_the_pool_keep_their_logits(layers, kind):
    check(Behind(*layers), kind)


def test_new_classes_keep_the_hidden_layers_of_the_head():
    model = awake(Behind(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3)))
    found = convert(model, num_classes=5)
    assert torch.equal(found.head.steps[0].weight, model.behind[0].weight)
    assert found(torch.randn(1, 1, 32, 32).double()).evidence.shape == (1, 5, 8, 8)


class Squeeze(Net):
    def __init__(self, activation):
        super().__init__()
        self.last = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(12, 3, 1), activation)

    def head(self, features):
        return torch.flatten(F.adaptive_avg_pool2d(self.last(features), 1), 1)


def test_a_1x1_classifier_in_front_of_the_pool_is_the_evidence_layer():
    model = Squeeze(nn.ReLU())
    found = check(model)
    assert torch.equal(found.head.conv.weight, model.last[1].weight)
    assert isinstance(found.head.activation, nn.ReLU)


def test_a_larger_kernel_in_front_of_the_pool_gives_the_evidence_itself():
    model = Net()
    model.last = nn.Conv2d(12, 3, 3, padding=1)
    type(model).head, old = lambda self, f: self.last(f).mean((2, 3)), type(model).head
    try:
        check(model)
    finally:
        type(model).head = old


class Volume(nn.Module):
    def __init__(self, dims):
        super().__init__()
        convolution = {1: nn.Conv1d, 3: nn.Conv3d}[dims]
        self.features = nn.Sequential(convolution(2, 6, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(6, 4)

    def forward(self, x):
        return self.fc(self.features(x).flatten(2).mean(2))


@pytest.mark.parametrize(("dims", "size"), [(1, (50,)), (3, (12, 16, 20))])
def test_signals_and_volumes_convert(dims, size):
    found = check(Volume(dims), shape=(2, *size))
    assert found.map_size(size) == tuple(length // 2 for length in size)
    assert found.head.dims == dims


def test_the_two_ends_can_be_named_where_the_output_is_no_logit():
    model = awake(Branching())
    found = convert(model, features="layer", head="fc")
    images = torch.randn(2, 1, 224, 224).double()
    with torch.no_grad():
        torch.testing.assert_close(torch.sigmoid(found(images).logits), model(images))
    assert found.info.conversion.features == "layer"
    assert found.info.conversion.head == "fc"
    with pytest.raises(ConversionError, match="name the two ends") as caught:
        convert(model)
    assert caught.value.reason is Reason.UNSUPPORTED_HEAD


def test_a_model_that_no_name_can_rebuild_says_so_and_comes_back_with_its_black_box(tmp_path):
    model = awake(Behind(nn.LayerNorm(12), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))).float()
    found = convert(model)
    with pytest.warns(UserWarning, match=r"load\(path, backbone=model\)"):
        path = found.save(tmp_path / "m.safetensors")
    with pytest.raises(InputError, match=r"load\(path, backbone=model\)"):
        load(path)
    stranger = Behind(nn.LayerNorm(12), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))
    loaded = load(path, backbone=stranger)
    images = torch.randn(2, 1, 40, 40)
    with torch.no_grad():
        assert torch.equal(loaded(images).evidence, found(images).evidence)


def test_named_ends_are_remembered_in_the_file(tmp_path):
    model = awake(Branching()).float()
    found = convert(model, features="layer", head="fc")
    with pytest.warns(UserWarning):
        path = found.save(tmp_path / "m.safetensors")
    loaded = load(path, backbone=Branching())
    images = torch.randn(1, 1, 224, 224)
    with torch.no_grad():
        assert torch.equal(loaded(images).logits, found(images).logits)


def test_another_function_with_the_same_weights_is_caught(tmp_path):
    model = awake(Behind(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3))).float()
    with pytest.warns(UserWarning):
        path = convert(model).save(tmp_path / "m.safetensors")
    other = Behind(nn.Linear(12, 9), nn.GELU(), nn.Linear(9, 3))
    with pytest.raises(Exception, match="does not give the output stored"):
        load(path, backbone=other)


def test_monai_networks_convert_in_two_and_three_dimensions():
    nets = pytest.importorskip("monai.networks.nets")
    flat = nets.DenseNet(spatial_dims=2, in_channels=1, out_channels=3, block_config=(2, 2))
    check(flat, shape=(1, 64, 80))
    volume = nets.DenseNet(spatial_dims=3, in_channels=1, out_channels=3, block_config=(2, 2))
    check(volume, shape=(1, 32, 32, 40), image_size=32)
    widths = [4, 8, 16, 32]
    residual = nets.ResNet("basic", [1, 1, 1, 1], widths, spatial_dims=3, n_input_channels=1)
    check(residual, shape=(1, 32, 32, 32), image_size=32)


def test_segmentation_models_encoders_with_a_head_convert():
    smp = pytest.importorskip("segmentation_models_pytorch")

    class Classifier(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = smp.encoders.get_encoder("resnet18", weights=None)
            self.head = smp.base.ClassificationHead(self.encoder.out_channels[-1], 4, dropout=0.2)

        def forward(self, x):
            return self.head(self.encoder(x)[-1])

    found = check(Classifier(), shape=(3, 64, 96))
    assert found.head.dropout == 0.2


def test_torchxrayvision_densenets_convert_with_and_without_their_probabilities():
    xrv = pytest.importorskip("torchxrayvision")
    model = awake(xrv.models.DenseNet(weights=None, num_classes=18, in_channels=1)).float()
    images = torch.randn(1, 1, 224, 224)
    found = convert(model)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(found(images).logits, expected, rtol=1e-4, atol=1e-5)
        model.apply_sigmoid = True
        named = convert(model, features="features", head="classifier")
        torch.testing.assert_close(named(images).logits, expected, rtol=1e-4, atol=1e-5)


def test_a_dict_of_outputs_converts_where_the_head_is_named():
    class Dictionary(Net):
        def forward(self, x):
            return {"logits": self.head(self.features(x)), "features": None}

    model = awake(Dictionary())
    found = convert(model, head="fc")
    images = torch.randn(1, 1, 40, 40).double()
    with torch.no_grad():
        torch.testing.assert_close(found(images).logits, model(images)["logits"])
    with pytest.raises(ConversionError, match="not a tensor of logits"):
        convert(model)


def test_a_model_of_unusual_size_comes_back_from_its_file(tmp_path):
    class Hundred(Net):
        def forward(self, x):
            assert x.shape[-1] == 100
            return super().forward(x)

    found = convert(awake(Hundred()).float(), image_size=100)
    with pytest.warns(UserWarning):
        path = found.save(tmp_path / "m.safetensors")
    images = torch.randn(1, 1, 100, 100)
    with torch.no_grad():
        assert torch.equal(load(path, Hundred())(images).logits, found(images).logits)
