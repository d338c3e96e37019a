"""What cannot be converted so is refused with a reason and a way out; odd sizes are told."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError, Reason
from softcam.errors import InputError
from tests.conversion.nets import Net, awake, check, with_head


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
