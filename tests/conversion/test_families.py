"""Every model of the first families, wide and slow: run by `make test-slow`."""

import pytest
import timm
import torch

from softcam.conversion.convert import convert
from softcam.conversion.errors import ConversionError
from tests.conftest import randomise_norms

FAMILIES = ("resnet", "densenet", "efficientnet", "vgg")
LIMIT = 45_000_000  # parameters: what two cores and a few minutes allow


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_converts_exactly_or_is_refused_with_a_reason(family):
    failures, converted = [], 0
    for name in timm.list_models(module=family):
        with torch.device("meta"):
            try:
                size = sum(p.numel() for p in timm.create_model(name).parameters())
            except (RuntimeError, NotImplementedError):
                continue  # cannot be built without memory for weights
        if size > LIMIT and family != "vgg":
            continue
        model = randomise_norms(timm.create_model(name, num_classes=3)).eval()
        images = torch.randn(1, 3, 96, 96)
        try:
            found = convert(model, mode="fresh" if family == "vgg" else "exact").eval()
            output = found(images)
            error = (output.logits - output.evidence.mean((2, 3))).abs().max()
            if family != "vgg":
                error = max(error, (output.logits - model(images)).abs().max())
            if error > 1e-4 * output.logits.abs().max():
                failures.append((name, float(error)))
            converted += 1
        except ConversionError as refusal:
            failures.append((name, str(refusal)))
    assert converted
    assert not failures
