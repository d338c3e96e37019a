import copy
import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import softcam.evidence.pooled as pooled_module
from softcam.evidence.pooled import PULL_LIMIT, PooledEvidence
from tests.evidence.heads import (
    ACTIVATIONS,
    FEW,
    HEADS,
    MANY,
    SHAPES,
    C,
    Scale,
    deviation,
    every_head,
    every_size,
    evidence_of,
    plain_head,
    pool,
    slow_evidence,
    step_of,
)


@every_head
@every_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_mean_of_the_evidence_is_the_plain_head_of_the_pooled_vector(
    head, outputs, dtype, tolerance
):
    plain = plain_head(HEADS[head](outputs), dtype)
    for dims, shape in SHAPES.items():
        features = torch.randn(2, C, *shape, dtype=dtype)
        evidence = evidence_of(plain, dims)(features)
        assert evidence.dtype == dtype
        assert evidence.shape == (2, outputs, *shape)
        assert deviation(pool(evidence), plain(pool(features))) < tolerance


@every_head
def test_every_cell_is_the_head_with_the_factors_of_the_pooled_vector(head):
    features = torch.randn(2, C, 2, 3, dtype=torch.float64)
    for outputs in (FEW, MANY):
        plain = plain_head(HEADS[head](outputs))
        assert deviation(evidence_of(plain)(features), slow_evidence(plain, features)) < 1e-11


@pytest.mark.parametrize("dims", [1, 3])
def test_every_cell_of_other_dimensions_is_the_head_with_the_factors_of_the_pooled_vector(dims):
    plain = plain_head(HEADS["two hidden layers"](FEW))
    features = torch.randn(2, C, *SHAPES[dims], dtype=torch.float64)
    assert deviation(evidence_of(plain, dims)(features), slow_evidence(plain, features)) < 1e-11


@every_head
def test_the_multiplied_and_the_position_by_position_way_agree(head, monkeypatch):
    features = torch.randn(4, C, 3, 4, dtype=torch.float64)
    for outputs in (FEW, MANY):
        form = evidence_of(plain_head(HEADS[head](outputs)).train())
        found = []
        for limit in (outputs - 1, outputs):
            monkeypatch.setattr(pooled_module, "PULL_LIMIT", limit)
            torch.manual_seed(1)
            found.append(form(features))
        assert deviation(found[1], found[0]) < 1e-12


def test_the_head_is_multiplied_out_up_to_the_limit_only(monkeypatch):
    def refuse(held):
        raise AssertionError("multiplied out")

    monkeypatch.setattr(pooled_module, "multiplied_out", refuse)
    features = torch.randn(1, C, 2, 2, dtype=torch.float64)
    evidence_of(plain_head(HEADS["layer norm"](PULL_LIMIT + 1)))(features)
    with pytest.raises(AssertionError, match="multiplied out"):
        evidence_of(plain_head(HEADS["layer norm"](PULL_LIMIT)))(features)


@every_head
def test_constant_features_give_the_logit_at_every_position(head):
    plain = plain_head(HEADS[head](FEW))
    vector = torch.randn(2, C, dtype=torch.float64)
    evidence = evidence_of(plain)(vector[..., None, None].expand(-1, -1, 3, 2))
    for row, column in itertools.product(range(3), range(2)):
        assert deviation(evidence[:, :, row, column], plain(vector)) < 1e-12


@every_head
def test_evidence_is_float32_under_autocast_and_its_mean_the_logit(head):
    plain = plain_head(HEADS[head](FEW), torch.float32)
    form = evidence_of(plain)
    features = torch.randn(2, C, 3, 4).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        evidence = form(features)
    assert evidence.dtype == torch.float32
    assert torch.equal(evidence, form(features.float()))
    assert deviation(pool(evidence), plain(pool(features.float()))) < 1e-5


@every_head
def test_half_precision_weights_are_computed_with_in_float32(head):
    for dtype in (torch.bfloat16, torch.float16):
        plain = plain_head(HEADS[head](FEW), dtype)
        features = torch.randn(2, C, 3, 4).to(dtype)
        evidence = evidence_of(plain)(features)
        assert evidence.dtype == torch.float32
        wide = copy.deepcopy(plain).float()
        assert deviation(pool(evidence), wide(pool(features.float()))) < 1e-5


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("linear", "affine"),
        ("dropout", "affine"),
        ("batch norm", "affine"),
        ("scale", "affine"),
        ("layer norm", "normalised"),
        ("rms norm", "normalised"),
        ("group norm of 3", "normalised"),
        ("hidden relu", "gated"),
        ("two hidden layers", "gated"),
    ],
)
def test_the_kind_says_whether_factors_are_held_and_by_what(head, kind):
    assert evidence_of(plain_head(HEADS[head](FEW))).kind == kind


@every_size
def test_the_number_of_outputs_is_that_of_the_last_layer(outputs):
    assert evidence_of(plain_head(HEADS["two hidden layers"](outputs))).num_outputs == outputs


@pytest.mark.parametrize("modules", [[], [nn.ReLU()], [nn.Linear(C, 2), nn.Dropout()]])
def test_a_head_that_does_not_end_in_a_linear_layer_is_refused(modules):
    with pytest.raises(ValueError, match="the last step of a head must be linear"):
        PooledEvidence([step_of(module) for module in modules])


@pytest.mark.parametrize(
    ("dims", "shape"), [(2, (2, 6)), (2, (2, 6, 3)), (1, (2, 6, 3, 4)), (3, (2, 6, 3, 4))]
)
def test_features_of_another_dimension_are_refused_with_the_shape(dims, shape):
    form = evidence_of(plain_head(HEADS["layer norm"](FEW)), dims)
    with pytest.raises(ValueError) as caught:
        form(torch.randn(shape, dtype=torch.float64))
    assert str(shape) in str(caught.value)
    assert f"{dims}-D features expects a tensor with {dims + 2} dimensions" in str(caught.value)


@st.composite
def random_heads(draw):
    """Modules of a head of any shape, and the number of feature channels that it takes."""
    channels = draw(st.integers(1, 4)) * 2
    modules, width = [], channels
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["linear", "layer", "rms", "group", "batch", "scale", "act"]))
        if kind == "linear":
            wider = draw(st.integers(1, 4)) * 2
            modules.append(nn.Linear(width, wider, bias=draw(st.booleans())))
            width = wider
        elif kind == "layer":
            modules.append(nn.LayerNorm(width, elementwise_affine=draw(st.booleans())))
        elif kind == "rms":
            modules.append(nn.RMSNorm(width, eps=1e-5))
        elif kind == "group":
            groups = draw(st.sampled_from([g for g in (1, 2, width // 2) if width % g == 0]))
            modules.append(nn.GroupNorm(groups, width))
        elif kind == "batch":
            modules.append(nn.BatchNorm1d(width))
        elif kind == "scale":
            modules.append(Scale(width))
        else:
            name = draw(st.sampled_from(sorted(ACTIVATIONS.keys() - {"prelu"})))
            modules.append(ACTIVATIONS[name]())
    outputs = draw(st.sampled_from([1, 2, 5, PULL_LIMIT, PULL_LIMIT + 1]))
    return [*modules, nn.Linear(width, outputs, bias=draw(st.booleans()))], channels


@given(
    random_heads(),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 3),
    st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None, derandomize=True)
def test_any_head_is_the_mean_of_its_evidence(head, shape, batch, seed):
    torch.manual_seed(seed)
    modules, channels = head
    plain = plain_head(modules)
    features = torch.randn(batch, channels, *shape, dtype=torch.float64)
    with torch.no_grad():
        evidence = evidence_of(plain, len(shape))(features)
        logits = plain(pool(features))
    assert evidence.shape == (batch, logits.shape[1], *shape)
    scale = max(1.0, float(logits.abs().max()), float(evidence.abs().max()))
    assert float((pool(evidence) - logits).abs().max()) < 1e-10 * scale
