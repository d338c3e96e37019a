"""Small networks as users write them, and what a conversion of them must keep."""

import torch
from torch import nn
from torch.nn import functional as F

from softcam.conversion.convert import convert
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


class Behind(Net):
    def __init__(self, *layers):
        super().__init__()
        self.behind = nn.Sequential(*layers)

    def head(self, features):
        return self.behind(features.mean((2, 3)))


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
