"""Models of no library: traced, or with their two ends named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError, Reason
from softcam.conversion.load import load
from softcam.errors import InputError
from tests.conftest import randomise_norms


class Net(nn.Module):
    """A small network as users write them; its parts are replaced by the tests."""

    def __init__(self, width: int = 12, channels: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.layer = nn.Sequential(nn.Conv2d(8, width, 3, 2, 1), nn.ReLU())
        self.fc = nn.Linear(width, 3)

    def features(self, x):
        return self.layer(self.stem(x))

    def head(self, features):
        return self.fc(features.mean(dim=(2, 3)))

    def forward(self, x):
        return self.head(self.features(x))


def awake(model: nn.Module) -> nn.Module:
    return randomise_norms(model).double().eval()


def check(model, kind="affine", shape=(1, 40, 56), **arguments):
    model = awake(model)
    found = convert(model, **arguments)
    images = torch.randn(3, *shape, dtype=torch.float64)
    with torch.no_grad():
        expected, output = model(images), found(images)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(output.logits, expected, rtol=1e-9, atol=1e-10)
    spatial = tuple(range(2, output.evidence.ndim))
    torch.testing.assert_close(output.evidence.mean(spatial), expected, rtol=1e-9, atol=1e-10)
    assert found.evidence_kind == kind
    return found


def with_head(head):
    class Changed(Net):
        pass

    Changed.head = head
    return Changed


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


class Behind(Net):
    def __init__(self, *layers):
        super().__init__()
        self.behind = nn.Sequential(*layers)

    def head(self, features):
        return self.behind(features.mean((2, 3)))


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


class Branching(Net):
    """Resizes other images, looks at its values, and ends in probabilities."""

    def forward(self, x):
        if x.shape[2] != 224 or x.shape[3] != 224:
            x = F.interpolate(x, (224, 224))
        if x.max() > 1e6:
            raise ValueError("not normalised")
        if len(x.shape) != 4:
            raise ValueError("not an image")
        out = self.fc(F.relu(self.features(x)).mean((2, 3)))
        return torch.expand_copy(torch.sigmoid(out), (len(out), 3))


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


@pytest.mark.parametrize(
    ("ends", "says"),
    [
        ({"features": "layer9"}, "has no module 'layer9'"),
        ({"head": "classifier"}, "stem, layer, fc"),
        ({"features": "stem", "head": "fc"}, "not the map of 'stem'"),
    ],
)
def test_wrong_ends_are_named(ends, says):
    with pytest.raises(ConversionError, match=says):
        convert(awake(Net()), **ends)


REFUSED = {
    "maximum": (lambda self, f: self.fc(f.amax((2, 3))), Reason.MAX_POOL),
    "half maximum": (
        lambda self, f: self.fc((F.adaptive_max_pool2d(f, 1) + f.mean((2, 3), True)).flatten(1)),
        Reason.MAX_POOL,
    ),
    "token": (lambda self, f: self.fc(f.flatten(2).transpose(1, 2)[:, 0]), Reason.CLASS_TOKEN),
    "attention": (
        lambda self, f: self.fc(
            (f.flatten(2) @ torch.softmax(f.flatten(2).sum(1, True), -1).transpose(1, 2))[..., 0]
        ),
        Reason.ATTENTION_POOL,
    ),
    "generalised mean": (
        lambda self, f: self.fc(f.clamp(min=1e-6).pow(3).mean((2, 3)).pow(1 / 3)),
        Reason.UNSUPPORTED_HEAD,
    ),
    "softmax": (lambda self, f: self.fc(f.mean((2, 3))).softmax(1), Reason.UNSUPPORTED_HEAD),
    "sigmoid": (lambda self, f: self.fc(f.mean((2, 3))).sigmoid(), Reason.UNSUPPORTED_HEAD),
    "map": (lambda self, f: self.fc(f.permute(0, 2, 3, 1)), Reason.NO_SPATIAL_MAP),
    "no classifier": (lambda self, f: f.mean((2, 3)), Reason.NO_CLASSIFIER),
}


@pytest.mark.parametrize("head", REFUSED)
def test_other_heads_are_refused_with_a_reason_and_a_way_out(head):
    spelled, reason = REFUSED[head]
    with pytest.raises(ConversionError) as caught:
        convert(awake(with_head(spelled)()))
    assert caught.value.reason is reason, str(caught.value)
    assert str(caught.value).endswith(".")


class Flat(Net):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(12 * 64, 3)

    def head(self, features):
        return self.fc(features.flatten(1))


def test_fully_connected_layers_are_refused_and_fresh_is_the_way_out():
    model = awake(Flat())
    with pytest.raises(ConversionError, match='mode="fresh"') as caught:
        convert(model)
    assert caught.value.reason is Reason.MIXES_POSITIONS
    found = convert(model, mode="fresh")
    assert found(torch.randn(2, 1, 64, 48).double()).evidence.shape == (2, 3, 16, 12)


def test_an_uninformative_learned_pool_is_not_taken_for_the_mean():
    """Weights that start equal average by accident; training would change that."""

    class Weighted(Net):
        def __init__(self):
            super().__init__()
            self.weights = nn.Parameter(torch.zeros(1, 1, 256))

        def head(self, features):
            return self.fc((features.flatten(2) * self.weights.softmax(-1)).sum(-1))

    with pytest.raises(ConversionError):
        convert(awake(Weighted()), image_size=64)


def test_a_named_map_takes_a_fresh_layer():
    model = awake(Net())
    found = convert(model, features="stem", mode="fresh", num_classes=2)
    images = torch.randn(1, 1, 32, 32).double()
    assert found(images).evidence.shape == (1, 2, 16, 16)
    assert torch.equal(found.backbone(images), model.stem(images))
    assert not any("layer" in name for name, _ in found.named_parameters())


def test_a_model_of_fixed_size_is_told_about_image_size():
    class Fixed(Net):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.randn(1, 12, 11, 11))

        def features(self, x):
            return super().features(x) + self.position

    with pytest.raises(ConversionError, match="image_size=") as caught:
        convert(awake(Fixed()))
    assert caught.value.reason is Reason.UNKNOWN_MODEL
    check(Fixed(), shape=(1, 44, 44), image_size=44)


@pytest.mark.parametrize("size", [(32,), (32, 32, 32), 0, (0, 4)])
def test_an_impossible_image_size_is_refused(size):
    with pytest.raises(InputError, match="image_size"):
        convert(Net(), image_size=size)


def test_what_depends_on_the_examples_size_takes_that_size_alone():
    class Frozen(Net):
        def head(self, features):
            factor = 1.0 if features.shape[-1] == 56 else 2.0
            return self.fc(features.mean((2, 3)) * factor)

    model = awake(Frozen())
    found = convert(model)
    images = torch.randn(1, 1, 224, 224).double()
    with torch.no_grad():
        torch.testing.assert_close(found(images).logits, model(images))
    with pytest.raises(ValueError, match="converted for images of 224x224 pixels"):
        found(torch.randn(1, 1, 64, 64).double())
    with pytest.raises(InputError, match="takes no image of 64x64"):
        found.map_size((64, 64))


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


@pytest.mark.parametrize("arguments", [{"num_classes": 2}, {"mode": "fresh"}])
def test_with_new_classes_too_a_model_that_resizes_takes_its_one_size(arguments):
    class Resizing(Net):
        def forward(self, x):
            if x.shape[-1] != 224:
                x = F.interpolate(x, (224, 224))
            return self.head(self.features(x))

    found = convert(awake(Resizing()), **arguments)
    with pytest.raises(ValueError, match="converted for images of 224x224"):
        found(torch.randn(1, 1, 64, 64).double())


def test_a_model_that_raises_anything_for_other_sizes_converts_at_its_own():
    class Strict(Net):
        def forward(self, x):
            if x.shape[-1] != 224:
                raise Exception("only 224")
            return super().forward(x)

    found = convert(awake(Strict()))
    assert found(torch.randn(1, 1, 224, 224).double()).logits.shape == (1, 3)


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
