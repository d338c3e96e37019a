"""After training a map is moved to where images and their mirror images agree that it looks."""

import numpy as np
import pytest
import torch
from torch import nn

from softcam.conversion.create import create_model
from softcam.conversion.hypercolumn import Hypercolumn
from softcam.conversion.load import load
from softcam.errors import InputError
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from softcam.training.aligning import LEAST, align

SIDE = {1: 96, 2: 48, 3: 32}


class Off(nn.Module):
    """Means over patches of 4 pixels of an image moved up or left by some: they look off."""

    def __init__(self, by: tuple[int, ...]) -> None:
        super().__init__()
        self.by = by
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        dims = len(self.by)
        moved = torch.roll(x, [-by for by in self.by], dims=list(range(2, 2 + dims)))
        pool = {1: nn.functional.avg_pool1d, 2: nn.functional.avg_pool2d}.get(dims)
        return [self.gain * (pool or nn.functional.avg_pool3d)(moved, 4)]


def off_model(by, outputs=2, concentration=0.0):
    """Make a model that finds bright spots and draws them `by` pixels up or left."""
    dims = len(by)
    neck = Hypercolumn(Off(by), [1], 1, dims=dims, placed=[[(4.0, 0.0)] * dims])
    head = EvidenceLayer(1, outputs, dims=dims, concentration=concentration)
    with torch.no_grad():
        for layer in neck.projections:
            layer[0].weight.fill_(1.0)
        weights = torch.arange(outputs, dtype=torch.float32) + 1
        head.conv.weight.copy_(weights.reshape(-1, *(1,) * (dims + 1)))
        head.conv.bias.zero_()
    return SoftCAM(neck, head).eval()


def spots(count=40, dims=2, seed=0):
    """Draw images with one smooth bright spot each, away from the border; say where."""
    generator = np.random.default_rng(seed)
    side = SIDE[dims]
    centres = generator.uniform(12, side - 12, (count, dims))
    grid = np.stack(np.meshgrid(*[np.arange(side) + 0.5] * dims, indexing="ij"))
    distance = ((grid[None] - centres.reshape(count, dims, *(1,) * dims)) ** 2).sum(1)
    images = np.exp(-distance / (2 * 3.0**2))[:, None].astype(np.float32)
    return images, centres


def drawn(model, images):
    """Where the first map's centre of mass lies, in pixels."""
    with torch.inference_mode():
        maps = model.head.plain(model.backbone(torch.from_numpy(images)))[:, -1].double().numpy()
    maps = np.maximum(maps - 0.05 * maps.max(), 0)
    cells = np.stack(np.meshgrid(*[np.arange(n) + 0.5 for n in maps.shape[1:]], indexing="ij"))
    scale = images.shape[2] / maps.shape[1]
    axes = tuple(range(2, cells.ndim + 1))
    return scale * (cells[None] * maps[:, None]).sum(axes) / maps[:, None].sum(axes)


@pytest.mark.parametrize("by", [(3,), (3, -2), (0, 0), (2, 0, -3)])
def test_a_map_that_lies_off_is_moved_to_the_findings(by):
    model = off_model(by)
    images, centres = spots(dims=len(by))
    before = (drawn(model, images) - centres).mean(0)
    np.testing.assert_allclose(before, [-b for b in by], atol=0.3)
    found = align(model, np.split(images, 4))
    np.testing.assert_allclose(found.moved, by, atol=0.6)
    assert all(count >= len(images) for count in found.pairs)
    np.testing.assert_allclose((drawn(model, images) - centres).mean(0), 0, atol=0.6)


@pytest.mark.parametrize("outputs", [1, 3])
def test_one_logit_and_several_classes_are_aligned_too(outputs):
    found = align(off_model((2, 1), outputs), [spots()[0]])
    np.testing.assert_allclose(found.moved, (2, 1), atol=0.6)


def test_a_second_time_there_is_nothing_left_to_move():
    model = off_model((3, -2), concentration=1.0)
    images, _ = spots()
    align(model, [images])
    assert np.abs(align(model, [images]).moved).max() < 0.4


def test_too_few_pairs_move_nothing():
    images, _ = spots(LEAST // 2 - 1)  # each image has the peaks of two classes
    found = align(off_model((3, 3)), [images])
    assert found.moved == (0.0, 0.0)
    assert 0 < max(found.pairs) < LEAST


def test_what_is_moved_is_kept_in_the_file_and_the_mean_is_still_the_logit(tmp_path):
    torch.manual_seed(0)
    model = create_model(
        "test_resnet", num_classes=2, mode="fresh", stages=(1, 2), neck="hypercolumn",
        concentration=0.5,
    )  # fmt: skip
    placed = [list(stage) for stage in model.backbone.placed]
    images = np.random.default_rng(1).normal(size=(30, 3, 64, 64)).astype(np.float32)
    found = align(model, [images])
    assert max(found.pairs) >= LEAST
    assert any(found.moved)
    for old, new in zip(placed, model.backbone.placed, strict=True):
        for before, after, by in zip(old, new, found.moved, strict=True):
            assert after.stride == before.stride
            assert after.offset == pytest.approx(before.offset + by)
    again = load(model.save(tmp_path / "m.safetensors"))
    logits, evidence = again(torch.from_numpy(images))
    assert torch.allclose(logits, evidence.mean((2, 3)), atol=1e-5)
    assert torch.equal(logits, model.eval()(torch.from_numpy(images)).logits)


def test_a_model_without_a_neck_is_refused():
    model = create_model("test_resnet", num_classes=2)
    with pytest.raises(InputError, match="no hypercolumn neck"):
        align(model, [])
