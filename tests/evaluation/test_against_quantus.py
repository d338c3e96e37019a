"""quantus on the same maps: the same numbers, or the difference named."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from softcam import metrics

quantus = pytest.importorskip("quantus", reason="a peer of the benchmarks, not a dependency")


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 24, 24, generator=generator)
    masks = torch.rand(6, 24, 24, generator=generator) > 0.8
    return maps, masks


def theirs(metric, maps, masks=None):
    """Call a metric of quantus that takes maps and masks; it may change what it is given."""
    attributions = maps.numpy()[:, None].copy()
    values = metric(
        model=None,
        x_batch=np.zeros_like(attributions),
        y_batch=np.zeros(len(maps), dtype=int),
        a_batch=attributions,
        s_batch=None if masks is None else masks.numpy()[:, None],
    )
    return torch.tensor(np.asarray(values, dtype=np.float64))


def test_the_pointing_game_agrees_if_the_maximum_is_one_pixel(batch):
    maps, masks = batch[0].clone(), batch[1]
    maps[0][masks[0]] += 9
    assert torch.equal(
        metrics.pointing_game(maps, masks),
        theirs(quantus.PointingGame(disable_warnings=True), maps, masks),
    )


def test_among_equal_maxima_quantus_takes_any_and_we_the_first():
    maps = torch.tensor([[[2.0, 1.0], [1.0, 2.0]]])
    masks = torch.tensor([[[False, False], [False, True]]])
    assert theirs(quantus.PointingGame(disable_warnings=True), maps, masks).item() == 1
    assert metrics.pointing_game(maps, masks).item() == 0


def test_relevance_mass_is_activation_precision_of_maps_that_are_never_negative(batch):
    maps, masks = batch
    mass = quantus.RelevanceMassAccuracy(disable_warnings=True)
    found = theirs(mass, maps.clamp_min(0), masks)
    torch.testing.assert_close(metrics.activation_precision(maps, masks), found, rtol=1e-5, atol=0)
    # Of signed maps quantus divides by the signed sum, which may be small: no share any more.
    signed = theirs(mass, maps, masks)
    whole = maps.double().flatten(1).sum(1)
    torch.testing.assert_close(
        signed, (maps.double() * masks).flatten(1).sum(1) / whole, rtol=1e-3, atol=1e-4
    )


def test_attribution_localisation_is_activation_precision_of_the_positive_part(batch):
    maps, masks = batch
    signed = quantus.AttributionLocalisation(
        abs=False, positive_attributions=True, disable_warnings=True
    )
    found = theirs(signed, maps, masks)
    torch.testing.assert_close(metrics.activation_precision(maps, masks), found, rtol=1e-5, atol=0)
    # By default quantus scores magnitudes: evidence against the class counts as evidence for it.
    found = theirs(quantus.AttributionLocalisation(disable_warnings=True), maps, masks)
    ours = metrics.activation_precision(maps.abs(), masks)
    torch.testing.assert_close(ours, found, rtol=1e-5, atol=0)
    # Maps without positive evidence are no maps for quantus; for us the share is undefined.
    none, full = -torch.rand(1, 4, 4) - 1, torch.ones(1, 4, 4) > 0
    with pytest.raises(AssertionError, match="less than zero"):
        theirs(signed, none, full)
    assert metrics.activation_precision(none, full).isnan().all()


def test_top_k_intersection_agrees_if_no_values_are_equal(batch):
    maps, masks = batch
    for k in (1, 50, 300):
        found = theirs(quantus.TopKIntersection(k=k, disable_warnings=True), maps, masks)
        torch.testing.assert_close(metrics.topk_intersection(maps, masks, k), found)


def test_sparseness_is_the_gini_index_up_to_what_quantus_adds(batch):
    maps, _ = batch
    found = theirs(quantus.Sparseness(disable_warnings=True), maps)  # of magnitudes, plus 1e-7
    torch.testing.assert_close(metrics.gini(maps), found, rtol=1e-4, atol=1e-5)
    zero = torch.zeros(1, 4, 4)
    assert metrics.gini(zero).isnan().all()


def test_an_empty_mask_is_undefined_in_both_but_for_the_pointing_game(batch):
    maps, masks = batch[0].abs(), torch.zeros_like(batch[1])
    masks[1:] = True
    for ours, metric in (
        (metrics.activation_precision, quantus.RelevanceMassAccuracy(disable_warnings=True)),
        (metrics.activation_precision, quantus.AttributionLocalisation(disable_warnings=True)),
        (
            lambda a, b: metrics.topk_intersection(a, b, 9),
            quantus.TopKIntersection(k=9, disable_warnings=True),
        ),
    ):
        assert math.isnan(theirs(metric, maps, masks)[0].item())
        assert ours(maps, masks)[0].isnan()
    # quantus writes NaN into booleans, which makes it a hit.
    assert theirs(quantus.PointingGame(disable_warnings=True), maps, masks)[0].item() == 1
    assert metrics.pointing_game(maps, masks)[0].isnan()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(4, 2, 1),
    ).eval()


def evidence(model, images):
    with torch.no_grad():
        return model(images)[:, 0]


def for_quantus(model, inputs, targets, **kwargs):
    return evidence(model, torch.as_tensor(inputs).float()).numpy()[:, None]


class Pooled(nn.Module):
    """The model as quantus takes it, with logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).mean((2, 3))


def test_max_sensitivity_agrees_on_the_same_noise(model):
    images = torch.randn(3, 1, 8, 8)
    noise = 0.1 * torch.randn(4, 3, 1, 8, 8)
    ours, others = iter(noise), iter(noise.numpy())
    found = metrics.max_sensitivity(
        lambda x: evidence(model, x),
        images,
        lambda x, generator: metrics.Perturbed(x + next(ours)),
        samples=4,
    )
    metric = quantus.MaxSensitivity(
        nr_samples=4,
        perturb_func=lambda arr, indices, **kwargs: arr + next(others).reshape(arr.shape),
        disable_warnings=True,
    )
    theirs = metric(
        model=Pooled(model),
        x_batch=images.numpy(),
        y_batch=np.zeros(3, dtype=int),
        a_batch=None,
        explain_func=lambda model, inputs, targets, **kw: for_quantus(model.model, inputs, targets),
    )
    assert found.tolist() == pytest.approx(np.asarray(theirs).tolist(), rel=1e-5)


def test_randomising_the_head_agrees_and_what_follows_differs_by_the_draws(model):
    images = torch.randn(5, 1, 8, 8)
    # quantus starts the draws anew, one seed further, for each layer; we draw on.
    ours = metrics.parameter_randomisation(model, evidence, images, seed=43)
    scores = quantus.MPRT(seed=42, disable_warnings=True)(
        model=Pooled(model),
        x_batch=images.numpy(),
        y_batch=np.zeros(5, dtype=int),
        a_batch=None,
        explain_func=lambda model, inputs, targets, **kw: for_quantus(model.model, inputs, targets),
    )
    theirs = {name.removeprefix("model."): values for name, values in scores.items()}
    assert list(theirs) == ["original", *(step.what for step in ours)]
    assert ours[0].similarity.tolist() == pytest.approx(theirs[ours[0].what], abs=1e-6)
    assert ours[1].similarity.tolist() != pytest.approx(theirs[ours[1].what], abs=1e-3)
