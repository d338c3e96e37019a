from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from softcam.errors import InputError
from softcam.evidence.layer import EvidenceLayer
from softcam.explanation.attribution import grad_cam


class Tiny(nn.Module):
    """A CNN with something that is not linear behind the layer that is explained."""

    def __init__(self, outputs=3, inplace=False):
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, padding=1)
        self.features = nn.Conv2d(5, 4, 3, stride=2, padding=1)
        self.inplace = inplace
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(4, outputs)

    def forward(self, x):
        z = self.features(torch.tanh(self.first(x)))
        return self.out(self.drop(F.relu(z, inplace=self.inplace).pow(2).mean(dim=(2, 3))))


def by_hand(module, batch, targets, *, contrast):
    """Grad-CAM from the paper in float64, one image and one channel at a time."""
    maps = []
    for image, target in zip(batch.double(), targets, strict=True):
        z = module.features(torch.tanh(module.first(image[None]))).detach().requires_grad_()
        logits = module.out(F.relu(z).pow(2).mean(dim=(2, 3)))[0]
        if len(logits) == 1:
            score = logits[0] if target == 1 else -logits[0]
        else:
            score = logits[target]
            if contrast:
                score = score - torch.cat([logits[:target], logits[target + 1 :]]).mean()
        (gradient,) = torch.autograd.grad(score, z)
        total = torch.zeros_like(z[0, 0])
        for channel in range(z.shape[1]):
            total += gradient[0, channel].mean() * z[0, channel]
        maps.append(total.detach().numpy())
    return np.stack(maps)


@pytest.fixture
def batch():
    return torch.randn(4, 3, 10, 12, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("contrast", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(("outputs", "targets"), [(3, [0, 1, 2, 1]), (1, [0, 1, 1, 0])])
def test_it_agrees_with_the_paper_by_hand(batch, outputs, targets, inplace, contrast):
    module = Tiny(outputs, inplace=inplace).double()
    found = grad_cam(module, module.features, batch, targets, contrast=contrast)
    assert (found.shape, found.dtype) == ((4, 5, 6), np.float32)
    expected = by_hand(module, batch, targets, contrast=contrast)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)


def test_before_pooling_and_a_linear_head_it_is_the_evidence_map(batch):
    features = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU())
    linear = nn.Linear(6, 3)
    black_box = nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear).eval()
    evidence = EvidenceLayer.from_linear(linear)(features(batch)).detach().numpy()
    found = grad_cam(black_box, features, batch, 2)
    scaled = (evidence[:, 2] - linear.bias[2].item()) / (10 * 12)
    np.testing.assert_allclose(found, scaled, atol=1e-6)


def test_relu_keeps_what_speaks_for_the_class(batch):
    module = Tiny()
    signed = grad_cam(module, module.features, batch, 1)
    assert signed.min() < 0
    clipped = grad_cam(module, module.features, batch, 1, relu_attributions=True)
    np.testing.assert_array_equal(clipped, np.maximum(signed, 0))


def test_the_module_is_left_as_it_was(batch):
    module = Tiny().train()
    module.out.eval()
    first = grad_cam(module, module.features, batch, 0)
    np.testing.assert_array_equal(first, grad_cam(module, module.features, batch, 0))
    assert module.training and module.drop.training and not module.out.training
    assert all(p.grad is None and p.requires_grad for p in module.parameters())
    assert not module.features._forward_hooks
    assert batch.requires_grad is False


def test_it_works_on_frozen_modules_numpy_batches_and_without_gradients(batch):
    module = Tiny()
    expected = grad_cam(module, module.features, batch, 0)
    module.requires_grad_(False)
    with torch.inference_mode():
        np.testing.assert_allclose(
            grad_cam(module, module.features, batch.clone(), 0), expected, atol=1e-6
        )
    with torch.no_grad():
        np.testing.assert_allclose(
            grad_cam(module, module.features, batch.numpy(), np.zeros(4)), expected, atol=1e-6
        )


def test_what_does_not_fit_is_refused(batch):
    module = Tiny()
    with pytest.raises(InputError, match="not part of the module"):
        grad_cam(module, nn.Conv2d(3, 3, 1), batch, 0)
    with pytest.raises(InputError, match="tells 3 classes apart"):
        grad_cam(module, module.features, batch, 3)
    with pytest.raises(InputError, match=r"shape \(3,\) for 4 images"):
        grad_cam(module, module.features, batch, [0, 1, 2])
    with pytest.raises(InputError, match="feature map of shape"):
        grad_cam(module, module.out, batch, 0)
