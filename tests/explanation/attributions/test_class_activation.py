from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn
from torch.nn import functional as F

from softcam.errors import InputError, MissingExtraError
from softcam.explanation.attributions import class_activation as cams
from softcam.explanation.attributions.base import class_scores
from softcam.explanation.attributions.native import EVIDENCE
from softcam.explanation.attributions.subject import Subject, subject_of
from tests.explanation.attributions.conftest import make_bent, make_softcam


def check(found, expected):
    assert found.dtype == torch.float32
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def features_and_gradient(subject, image, score):
    """Features (C, h, w) of one image and the score's gradient, through the whole classifier."""
    kept = []
    handle = subject.layer.register_forward_hook(lambda _m, _i, out: kept.append(out))
    try:
        value = score(subject.classifier(image[None])[0])
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(value, kept[0])
    return kept[0][0].detach(), gradient[0]


def test_cam_is_the_evidence_without_its_bias(softcam, images):
    subject = subject_of(softcam)
    for contrast in (False, True):
        maps = cams.CAM(subject, images, [0, 1, 2], contrast=contrast)
        bias = softcam.head.conv.bias.detach().float()
        if contrast:
            bias = bias - (bias.sum() - bias) / 2
        expected = EVIDENCE(subject, images, [0, 1, 2], contrast=contrast) - bias[:, None, None]
        check(maps, expected)


def test_cam_of_one_logit_is_signed_by_the_class(images):
    model = make_softcam(1)
    maps = cams.CAM(subject_of(model), images, [0, 1])
    evidence = model(images).evidence[:, 0].detach() - model.head.conv.bias.detach()
    check(maps, torch.stack([-evidence, evidence], dim=1).float())


@pytest.mark.parametrize("contrast", [False, True])
def test_before_pooling_and_a_linear_head_grad_cam_and_hirescam_are_cam(softcam, images, contrast):
    subject = subject_of(softcam)
    maps = cams.CAM(subject, images, [0, 2], contrast=contrast) / (6 * 8)
    check(cams.GRAD_CAM(subject, images, [0, 2], contrast=contrast), maps)
    check(cams.HIRES_CAM(subject, images, [0, 2], contrast=contrast), maps)
    assert maps.min() < 0 < maps.max()


def test_grad_cam_is_captum_s(case, images):
    subject, contrast, classes = case
    found = cams.GRAD_CAM(subject, images, classes, contrast=contrast)
    for k in range(2):

        def score(batch, chosen=classes[:, k]):
            return class_scores(subject.classifier(batch), chosen, contrast=contrast)

        # captum keeps the sign unless it is told not to.
        expected = LayerGradCam(score, subject.layer).attribute(images.clone().requires_grad_())
        check(found[:, k], expected[:, 0].detach().float())


def test_grad_cam_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    def formula(image, score):
        z, g = features_and_gradient(subject, image, score)
        return sum(g[c].mean() * z[c] for c in range(len(z)))

    check(cams.GRAD_CAM(subject, images, classes, contrast=contrast), by_hand(formula))


def test_hirescam_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    def formula(image, score):
        z, g = features_and_gradient(subject, image, score)
        return sum(g[c] * z[c] for c in range(len(z)))

    check(cams.HIRES_CAM(subject, images, classes, contrast=contrast), by_hand(formula))


def test_layer_cam_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    def formula(image, score):
        z, g = features_and_gradient(subject, image, score)
        return sum(g[c].clamp(min=0) * z[c] for c in range(len(z))).clamp(min=0)

    check(cams.LAYER_CAM(subject, images, classes, contrast=contrast), by_hand(formula))


def test_grad_cam_plus_plus_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    def formula(image, score):
        z, g = features_and_gradient(subject, image, score)
        total = torch.zeros_like(z[0])
        for c in range(len(z)):
            share = g[c] ** 2 / (2 * g[c] ** 2 + z[c].sum() * g[c] ** 3)
            total += (share * g[c].clamp(min=0)).sum() * z[c]
        return total.clamp(min=0)

    found = cams.GRAD_CAM_PLUS_PLUS(subject, images, classes, contrast=contrast)
    check(found, by_hand(formula))


def test_grad_cam_plus_plus_keeps_channels_whose_gradient_is_small(images):
    """As behind a large map, where the package's constant would outweigh them."""
    model = make_softcam()
    subject = subject_of(model)
    with torch.no_grad():
        model.head.conv.weight.copy_(1e-4 * model.head.conv.weight.abs())
    z, g = features_and_gradient(subject, images[0], lambda x: x[0])
    share = 1 / (2 + z.sum(dim=(1, 2), keepdim=True) * g)
    expected = ((share * g).sum(dim=(1, 2), keepdim=True) * z).sum(dim=0).clamp(min=0).float()
    found = cams.GRAD_CAM_PLUS_PLUS(subject, images[:1], [0])[0, 0]
    assert expected.max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)


def test_score_cam_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    @torch.no_grad()
    def formula(image, score):
        z = subject.layer(image[None])[0]
        scores = []
        for channel in z:
            mask = F.interpolate(
                channel[None, None], image.shape[1:], mode="bilinear", align_corners=True
            )[0, 0]
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            scores.append(score(subject.classifier((image * mask)[None])[0]))
        weights = torch.tensor(scores).exp()
        return sum(w / weights.sum() * c for w, c in zip(weights, z, strict=True)).clamp(min=0)

    for size in (1, 4, 100):
        method = cams.SCORE_CAM.configured(batch_size=size)
        check(method(subject, images, classes, contrast=contrast), by_hand(formula))


def test_ablation_cam_by_hand(case, images, by_hand):
    subject, contrast, classes = case

    @torch.no_grad()
    def formula(image, score):
        z = subject.layer(image[None])[0]
        whole = score(subject.read_out(z[None])[0])
        total = torch.zeros_like(z[0])
        for c in range(len(z)):
            without = z.clone()
            without[c] = 0
            total += (whole - score(subject.read_out(without[None])[0])) * z[c]
        return total

    for size in (1, 4, 100):
        method = cams.ABLATION_CAM.configured(batch_size=size)
        check(method(subject, images, classes, contrast=contrast), by_hand(formula))


def positive_features() -> Subject:
    """As the grad-cam package expects them for Ablation-CAM: behind a ReLU, with zeros."""
    model = make_softcam()
    model.backbone[-1] = nn.ReLU()
    return subject_of(model)


@pytest.mark.parametrize("name", ["ScoreCAM", "AblationCAM"])
def test_the_perturbing_ones_are_the_grad_cam_package_s(name, images):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    subject = positive_features()
    method = {"ScoreCAM": cams.SCORE_CAM, "AblationCAM": cams.ABLATION_CAM}[name]
    ours = method(subject, images, [2])[:, 0]
    z = subject.layer(images).detach()
    targets = [ClassifierOutputTarget(2)] * 2
    with getattr(pytorch_grad_cam, name)(subject.classifier, [subject.layer]) as package:
        weights = package.get_cam_weights(images, subject.layer, targets, z.numpy(), None)
    weights = torch.from_numpy(np.asarray(weights, dtype=np.float64))
    if name == "AblationCAM":  # which divides by the score
        weights = weights * subject.classifier(images)[:, 2:].detach()
    theirs = (weights[:, :, None, None] * z).sum(dim=1)
    theirs = theirs.clamp(min=0) if name == "ScoreCAM" else theirs
    assert theirs.abs().max() > 1e-3
    torch.testing.assert_close(ours, theirs.float(), rtol=1e-4, atol=1e-5)


def test_eigen_cam_is_the_first_principal_component(case, images):
    subject, contrast, classes = case
    found = cams.EIGEN_CAM(subject, images, classes, contrast=contrast)
    assert torch.equal(found[:, 0], found[:, 1])
    for image, map_ in zip(images, found[:, 0].double(), strict=True):
        z = subject.layer(image[None])[0].detach()
        rows = z.flatten(1).T - z.flatten(1).mean(dim=1)
        values, vectors = torch.linalg.eigh(rows.T @ rows)
        assert values[-1] > 1.01 * values[-2]
        expected = (rows @ vectors[:, -1]).reshape(z.shape[1:])
        sign = torch.sign((expected * map_).sum())
        torch.testing.assert_close(map_, sign * expected, rtol=1e-4, atol=1e-5)
        strength = z.square().sum(dim=0).sqrt()
        assert ((strength - strength.mean()) * map_).sum() > 0


def test_a_layer_without_a_feature_map_is_refused(images):
    subject = make_bent()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 12 * 16, 5)).double()
    wrong = Subject("Flat", flat, subject.info, layer=flat, read_out=subject.read_out)
    with pytest.raises(InputError, match="Flat gives no feature map"):
        cams.GRAD_CAM(wrong, images, [0])


def test_half_precision_has_maps_too(softcam, images):
    half = make_softcam().to(torch.bfloat16)
    for method in (cams.GRAD_CAM_PLUS_PLUS, cams.EIGEN_CAM, cams.HIRES_CAM):
        found = method(subject_of(half), images, [1])
        expected = method(subject_of(softcam), images, [1])
        assert (found - expected).abs().max() < 0.1 * expected.abs().max()


def test_without_the_package_its_methods_name_the_command(softcam, images, monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_grad_cam", None)
    subject = subject_of(softcam)
    for method in (cams.GRAD_CAM_PLUS_PLUS, cams.HIRES_CAM, cams.LAYER_CAM, cams.EIGEN_CAM):
        with pytest.raises(MissingExtraError, match=r'pip install "softcam\[benchmark\]"'):
            method(subject, images, [0])
    for method in (cams.CAM, cams.GRAD_CAM, cams.SCORE_CAM, cams.ABLATION_CAM):
        assert method(subject, images, [0]).isfinite().all()
