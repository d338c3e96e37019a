"""The receptive field of a cell is the theoretical one."""

import copy

import pytest
import torch
from torch import nn

from softcam.errors import InputError
from softcam.evidence.geometry import ReceptiveField, receptive_field
from softcam.evidence.layer import EvidenceLayer
from softcam.evidence.model import SoftCAM
from tests.conftest import randomise_norms
from tests.evidence.backbones import Residual, SqueezeExcite, Stages


def theory(layers):
    """Receptive field of layers of (kernel, stride, dilation), along one axis."""
    field = jump = 1
    for kernel, stride, dilation in layers:
        field += (kernel - 1) * dilation * jump
        jump *= stride
    return field


STACKS = [
    [(1, 1, 1)],
    [(3, 1, 1)],
    [(4, 1, 1)],
    [(5, 2, 1)],
    [(3, 1, 2)],
    [(3, 2, 1), (3, 2, 1)],
    [(3, 1, 1), (3, 1, 1), (3, 1, 1)],
    [(7, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1)],
    [(3, 1, 1), (3, 1, 2), (3, 1, 4)],
    [(2, 2, 1), (2, 2, 1), (1, 1, 1), (2, 2, 1)],
    [(4, 4, 1), (3, 1, 1)],
]


KNOWN = [1, 3, 4, 5, 5, 7, 7, 27, 15, 8, 12]


CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def stack(layers, dims=2, *between):
    modules, channels = [], 2
    for kernel, stride, dilation in layers:
        padding = (kernel - 1) * dilation // 2
        modules += [
            CONVOLUTIONS[dims](channels, 8, kernel, stride, padding, dilation),
            *copy.deepcopy(between),
        ]
        channels = 8
    return nn.Sequential(*modules)


@pytest.mark.parametrize(("layers", "known"), zip(STACKS, KNOWN, strict=True), ids=str)
def test_the_receptive_field_of_convolutions_is_the_theoretical_one(layers, known):
    assert theory(layers) == known
    for size in [(96, 96), (64, 91)]:
        field = receptive_field(stack(layers), 2, size)
        assert field == ReceptiveField((known, known), size)
        assert not field.covers_image


@pytest.mark.parametrize(("layers", "known"), zip(STACKS, KNOWN, strict=True), ids=str)
def test_activations_norms_and_dropout_do_not_change_the_receptive_field(layers, known):
    backbone = stack(layers, 2, nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5))
    assert receptive_field(randomise_norms(backbone), 2, (64, 64)).size == (known, known)


@pytest.mark.parametrize("dims", [1, 3])
def test_the_receptive_field_is_measured_in_other_dimensions(dims):
    layers = [(3, 2, 1), (3, 1, 2)]
    size = {1: (90,), 3: (24, 20, 31)}[dims]
    field = receptive_field(stack(layers, dims), 2, size)
    assert field == ReceptiveField((theory(layers),) * dims, size)
    assert not field.covers_image


def test_the_receptive_field_may_differ_between_the_axes():
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, (3, 7), stride=(2, 1), padding=(1, 3)),
        nn.Conv2d(8, 8, (5, 1), dilation=(2, 1), padding=(4, 0)),
    )
    assert receptive_field(backbone, 3, (64, 60)).size == (1 + 2 + 4 * 2 * 2, 7)


def test_pooling_layers_widen_the_receptive_field():
    layers = [(3, 1, 1), (4, 2, 1), (3, 1, 1)]
    for pool in (nn.AvgPool2d(4, 2), nn.MaxPool2d(4, 2)):
        backbone = nn.Sequential(nn.Conv2d(2, 32, 3), pool, nn.Conv2d(32, 32, 3))
        assert receptive_field(backbone, 2, (40, 40)).size == (theory(layers),) * 2


def test_the_receptive_field_ends_at_the_edge_of_the_image():
    backbone = stack([(9, 1, 1), (9, 1, 1)])
    assert theory([(9, 1, 1), (9, 1, 1)]) == 17
    assert receptive_field(backbone, 2, (12, 40)) == ReceptiveField((12, 17), (12, 40))
    assert not receptive_field(backbone, 2, (12, 40)).covers_image
    assert receptive_field(backbone, 2, (12, 13)).covers_image
    # Of 20 pixels the cell in the middle, at 10, sees 2 to 18.
    assert receptive_field(backbone, 2, (20, 20)).size == (17, 17)


def test_a_global_operation_makes_the_field_cover_the_image():
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    size = (40, 33)
    assert receptive_field(backbone, 3, size).size == (3, 3)
    assert receptive_field(nn.Sequential(backbone, SqueezeExcite(8)), 3, size).covers_image


def test_a_branch_that_its_last_norm_switches_off_counts_all_the_same():
    block = Residual(8, nn.Conv2d(8, 8, 5, padding=2))
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), block)
    assert receptive_field(backbone, 3, (40, 40)).size == (7, 7)
    assert not block.norm.weight.any()
    backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Residual(8, SqueezeExcite(8)))
    assert receptive_field(backbone, 3, (40, 40)).covers_image


def test_frozen_parameters_and_disabled_gradients_do_not_hide_the_field():
    backbone = stack([(3, 1, 1), (3, 2, 1)]).requires_grad_(False)
    with torch.no_grad():
        assert receptive_field(backbone, 2, (40, 40)).size == (5, 5)
        assert not torch.is_grad_enabled()


@pytest.mark.parametrize("collect", [list, tuple])
@pytest.mark.parametrize("coarse_first", [False, True])
def test_the_widest_field_of_several_stages_counts(collect, coarse_first):
    backbone = Stages(collect, coarse_first=coarse_first)
    assert receptive_field(backbone, 3, (40, 40)).size == (7, 7)


def test_a_backbone_without_parameters_is_measured():
    model = SoftCAM(nn.AvgPool2d(4, 2), EvidenceLayer(3, 2))
    assert model.map_size((20, 18)) == (9, 8)
    assert model.receptive_field((20, 18)).size == (4, 4)


def test_the_receptive_field_is_the_same_each_time():
    backbone = stack([(3, 2, 1), (3, 2, 1)], 2, nn.ReLU())
    first = receptive_field(backbone, 2, (32, 32))
    torch.manual_seed(7)
    assert receptive_field(backbone, 2, (32, 32)) == first


def test_a_model_measures_its_backbone():
    model = SoftCAM(stack([(3, 1, 1), (3, 1, 1)]), EvidenceLayer(8, 3))
    assert model.receptive_field((30, 31)) == ReceptiveField((5, 5), (30, 31))
    with pytest.raises(InputError, match="1x1"):
        SoftCAM(nn.Conv2d(2, 8, 3), EvidenceLayer(8, 3)).receptive_field((1, 1))


def test_a_model_whose_path_depends_on_values_is_run_instead():
    class Choosing(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, stride=2, padding=1)

        def forward(self, x):
            features = self.conv(x)
            return features * 2 if float(features.mean()) > 100 else features

    model = SoftCAM(Choosing(), EvidenceLayer(4, 2))
    assert model.map_size((12, 20)) == (6, 10)
