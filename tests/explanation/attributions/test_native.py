from __future__ import annotations

import torch

from softcam.explanation.attributions.native import EVIDENCE
from softcam.explanation.attributions.subject import subject_of
from tests.explanation.attributions.conftest import make_softcam


def test_the_mean_of_a_map_is_the_score(softcam, images):
    subject = subject_of(softcam)
    logits = softcam(images).logits.detach()
    own = EVIDENCE(subject, images, [0, 1, 2])
    torch.testing.assert_close(own.mean(dim=(2, 3)), logits.float())
    contrast = EVIDENCE(subject, images, [1], contrast=True)[:, 0]
    expected = softcam(images).evidence.detach()
    expected = expected[:, 1] - (expected[:, 0] + expected[:, 2]) / 2
    torch.testing.assert_close(contrast, expected.float())


def test_images_may_ask_for_classes_of_their_own(softcam, images):
    subject = subject_of(softcam)
    maps = softcam(images).evidence.detach().float()
    found = EVIDENCE(subject, images, torch.tensor([[2], [0]]))
    assert torch.equal(found[:, 0], torch.stack([maps[0, 2], maps[1, 0]]))


def test_one_logit_has_one_map_and_its_negative(images):
    model = make_softcam(1)
    maps = model.eval()(images).evidence.detach().float()
    for contrast in (False, True):
        found = EVIDENCE(subject_of(model), images, [0, 1], contrast=contrast)
        assert torch.equal(found, torch.cat([-maps, maps], dim=1))
