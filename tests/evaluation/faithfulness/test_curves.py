from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from softcam.errors import InputError
from softcam.evaluation.faithfulness.baselines import Blur, Constant, LocalMean
from softcam.evaluation.faithfulness.curves import deletion, insertion, step_counts
from tests.evaluation.faithfulness import slow

RUN = {"deletion": deletion, "insertion": insertion}
BASELINES = [Constant((0.3, -0.2, 0.1)), Blur(), LocalMean()]


def slow_curve(network, images, maps, patch, baseline, counts, kind):
    """One image at a time in float64, copied and changed pixel by pixel."""
    network = network.double()
    rows = []
    for image, values in zip(images.double(), maps, strict=True):
        filling = baseline(image[None], patch).expand(1, *image.shape)[0]
        copies = [slow.changed(image, filling, values, patch, k, kind) for k in counts]
        rows.append(torch.cat([network(copy[None]) for copy in copies]))
    return torch.stack(rows)


@pytest.mark.parametrize("kind", RUN)
@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: type(baseline).__name__)
@pytest.mark.parametrize("batch_size", [1, 5, 64])
def test_the_curve_agrees_with_one_image_at_a_time(
    network, images, maps, kind, baseline, batch_size
):
    steps = [1, 2, 5, 12]  # of 4 x 3 patches: the last takes all
    found = RUN[kind](
        network, images, maps, patch=4, baseline=baseline, steps=steps, batch_size=batch_size
    )
    assert found.counts == (0, 1, 2, 5, 12)
    assert (found.kind, found.patches, found.logits.shape) == (kind, 12, (7, 5, 4))
    expected = slow_curve(network, images, maps, 4, baseline, found.counts, kind)
    np.testing.assert_allclose(found.logits.double().numpy(), expected.numpy(), atol=2e-6)
    assert (expected[:, 0] - expected[:, 1]).abs().max() > 1e-3  # something was replaced


@pytest.mark.parametrize("kind", RUN)
def test_the_copies_are_exactly_those_of_the_slow_loop(images, maps, kind):
    seen = []

    def classify(batch):
        seen.append(batch.clone())
        return batch.flatten(1)[:, :2]

    curve = RUN[kind](
        classify, images, maps, patch=3, baseline=LocalMean(), steps=[1, 4], batch_size=4
    )
    copies = torch.cat(seen).unflatten(0, (7, 3))
    for image, values, found in zip(images, maps, copies, strict=True):
        filling = LocalMean()(image[None], 3)[0]
        for copy, count in zip(found, curve.counts, strict=True):
            assert torch.equal(copy, slow.changed(image, filling, values, 3, count, kind))


def test_batches_from_a_loader_give_the_same_as_one_tensor(network, images, maps):
    kwargs = {"patch": 4, "baseline": Blur(2.0), "steps": [1, 3], "batch_size": 4}
    whole = deletion(network, images, maps, **kwargs).logits
    for size in (1, 3, 7):
        loader = (images[i : i + size] for i in range(0, 7, size))
        torch.testing.assert_close(deletion(network, loader, maps, **kwargs).logits, whole)


@pytest.mark.parametrize("kind", RUN)
def test_known_logits_of_the_untouched_image_are_not_computed_again(network, images, maps, kind):
    passes = []

    def counted(batch):
        passes.append(len(batch))
        return network(batch)

    kwargs = {"patch": 4, "baseline": Constant(), "steps": [0.25, 0.5, 1.0], "batch_size": 8}
    full = RUN[kind](counted, images, maps, **kwargs)
    assert sum(passes) == 7 * 4
    passes.clear()
    known = network(images)
    found = RUN[kind](counted, images, maps, untouched=known, **kwargs)
    assert sum(passes) == 7 * 3
    torch.testing.assert_close(found.logits, full.logits, atol=1e-6, rtol=0)
    place = 0 if kind == "deletion" else -1
    assert torch.equal(found.logits[:, place], known)


def test_exact_local_evidence_loses_the_most_at_every_step_and_shows_the_most():
    features = nn.Sequential(nn.Conv2d(3, 8, 4, stride=4), nn.ReLU()).requires_grad_(False)
    weight = torch.randn(8)

    def evidence(batch):
        return torch.einsum("c,bchw->bhw", weight, features(batch))

    def classify(batch):
        return evidence(batch).mean((1, 2))[:, None]

    images = torch.randn(6, 3, 20, 20)
    own = evidence(images).repeat_interleave(4, 1).repeat_interleave(4, 2)
    settings = {"patch": 4, "baseline": Constant(), "steps": range(1, 25)}
    # Every replaced patch has the same evidence, so that no other order can take more away.
    others = [own.roll(1, 0), torch.randn(6, 20, 20), -own, torch.zeros_like(own)]
    for run, sign in ((deletion, 1), (insertion, -1)):
        best = run(classify, images, own, **settings).logits * sign
        for maps in others:
            other = run(classify, images, maps, **settings).logits * sign
            assert (best <= other + 1e-5).all()
            assert (best < other - 1e-2).any()


def test_a_curve_of_known_logits_takes_no_forward_pass(images, maps):
    known = torch.randn(7, 4, dtype=torch.float64)
    curve = deletion(
        lambda batch: pytest.fail("a forward pass"),
        images,
        maps,
        patch=4,
        baseline=Constant(),
        steps=[],
        untouched=known,
    )
    assert torch.equal(curve.logits[:, 0], known)


def test_equal_steps_are_computed_once(network, images, maps):
    passes = []

    def counted(batch):
        passes.append(len(batch))
        return network(batch)

    curve = deletion(
        counted, images, maps, patch=8, baseline=Constant(), steps=range(1, 16), batch_size=16
    )
    assert curve.counts == (0, 1, 2, 3, *[4] * 12)
    assert sum(passes) == 7 * 5
    assert torch.equal(curve.logits[:, 4], curve.logits[:, 15])
    assert curve.fractions.tolist()[-1] == 1.0


def test_the_ends_of_the_two_curves_are_the_image_and_the_baseline(network, images, maps):
    kwargs = {"patch": 4, "baseline": Blur(), "steps": [0.5, 1.0]}
    gone, come = (run(network, images, maps, **kwargs).logits for run in (deletion, insertion))
    torch.testing.assert_close(gone[:, 0], network(images), atol=1e-6, rtol=0)
    torch.testing.assert_close(come[:, -1], gone[:, 0], atol=1e-6, rtol=0)
    torch.testing.assert_close(come[:, 0], gone[:, -1], atol=1e-6, rtol=0)


def test_one_pixel_is_one_patch(network):
    images, maps = torch.randn(2, 3, 1, 1), -torch.rand(2, 1, 1)
    curve = deletion(network, images, maps, patch=33, baseline=Constant(), steps=[1])
    torch.testing.assert_close(curve.logits[:, 0], network(images))
    torch.testing.assert_close(curve.logits[:, 1], network(torch.zeros(2, 3, 1, 1)))


def test_volumes_lose_cubes():
    network = nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.AdaptiveAvgPool3d(1), nn.Flatten())
    network.requires_grad_(False)
    images, maps = torch.randn(3, 2, 5, 6, 7), torch.randn(3, 5, 6, 7)
    for baseline in (Constant(0.5), Blur(1.0), LocalMean()):
        for kind, run in RUN.items():
            found = run(network.float(), images, maps, patch=3, baseline=baseline, steps=[1, 5, 12])
            expected = slow_curve(network, images, maps, 3, baseline, found.counts, kind)
            np.testing.assert_allclose(found.logits.double().numpy(), expected, atol=2e-6)


def test_logits_that_are_nan_stay_so_and_no_other():
    images, maps = torch.rand(3, 1, 2, 2), torch.rand(3, 2, 2)
    images[1] = torch.nan
    curve = deletion(
        lambda x: x.flatten(2).sum(2), images, maps, patch=1, baseline=Constant(), steps=[1, 4]
    )
    assert curve.logits[:, :, 0].isnan().tolist() == [[False] * 3, [True, True, False], [False] * 3]


def test_no_images_give_an_empty_curve(network):
    curve = deletion(
        network, torch.zeros(0, 3, 4, 4), torch.zeros(0, 4, 4), patch=2, baseline=Constant()
    )
    assert curve.logits.shape[:2] == (0, 16)


def test_maps_with_nan_name_their_images(network, images, maps):
    maps[5, 0, 0] = torch.nan
    with pytest.raises(InputError, match="image 5 "):
        deletion(network, images, maps, patch=4, baseline=Constant())


@pytest.mark.parametrize(
    ("steps", "counts"),
    [
        ([1, 2, 3], (0, 1, 2, 3)),
        ([0.05, 0.149, 0.15, 0.5], (0, 1, 1, 2, 5)),
        (np.arange(1, 3), (0, 1, 2)),
        (np.linspace(0, 1, 3), (0, 0, 5, 10)),
        ([], (0,)),
        ([12, 99], (0, 10, 10)),
        ([1, 0.5], (0, 1, 5)),
    ],
)
def test_steps_are_counts_or_fractions(steps, counts):
    assert step_counts(steps, 10) == counts


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([-1], "A step is -1"),
        ([1.5], "A step is 1.5"),
        ([float("nan")], "A step is nan"),
        ([True], "A step is True"),
        ([3, 2], "The steps fall"),
    ],
)
def test_steps_that_are_none_are_named(steps, message):
    with pytest.raises(InputError, match=message):
        step_counts(steps, 10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.randn(7, 3, 12, 11), r"Images of shape \(7, 3, 12, 11\).*maps of \(13, 11\) px"),
        (torch.randn(7, 13, 11), r"floats of shape \(B, C, 13, 11\)"),
        (torch.ones(7, 3, 13, 11, dtype=torch.uint8), "torch.uint8"),
        (torch.randn(6, 3, 13, 11), "6 images for 7 maps"),
    ],
)
def test_images_that_do_not_fit_the_maps_are_named(network, maps, images, message):
    with pytest.raises(InputError, match=message):
        deletion(network, images, maps, patch=4, baseline=Constant(), batch_size=1000)


@pytest.mark.parametrize(
    ("untouched", "message"), [(torch.zeros(6, 4), "must be"), (torch.zeros(7, 3), "3 columns")]
)
def test_untouched_logits_that_do_not_fit_are_named(network, images, maps, untouched, message):
    with pytest.raises(InputError, match=message):
        deletion(network, images, maps, patch=4, baseline=Constant(), untouched=untouched)
