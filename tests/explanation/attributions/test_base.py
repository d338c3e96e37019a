from __future__ import annotations

import pytest
import torch

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.base import class_indices, class_scores
from softcam.explanation.attributions.class_activation import GRAD_CAM
from softcam.explanation.attributions.gradients import SMOOTH_GRAD
from softcam.explanation.attributions.subject import subject_of
from tests.explanation.attributions.conftest import make_softcam

LOGITS = torch.tensor([[1.0, 2.0, 6.0], [0.0, -4.0, 2.0]])


def test_the_own_score_is_the_logit_and_the_contrast_leaves_out_the_others_mean():
    classes = torch.tensor([2, 1])
    assert class_scores(LOGITS, classes, contrast=False).tolist() == [6.0, -4.0]
    assert class_scores(LOGITS, classes, contrast=True).tolist() == [4.5, -5.0]


def test_several_classes_at_once_are_each_as_alone():
    classes = torch.tensor([[0, 2], [1, 1]])
    for contrast in (False, True):
        both = class_scores(LOGITS, classes, contrast=contrast)
        for k in range(2):
            alone = class_scores(LOGITS, classes[:, k], contrast=contrast)
            assert torch.equal(both[:, k], alone)


def test_maps_are_read_as_logits_are():
    maps = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([[0, 2], [1, 1]])
    for contrast in (False, True):
        found = class_scores(maps, classes, contrast=contrast)
        assert found.shape == (2, 2, 4, 5)
        expected = class_scores(maps.mean(dim=(2, 3)), classes, contrast=contrast)
        torch.testing.assert_close(found.mean(dim=(2, 3)), expected)


def test_one_logit_speaks_for_class_one_and_against_class_zero():
    logits = torch.tensor([[3.0], [-2.0]])
    for contrast in (False, True):
        found = class_scores(logits, torch.tensor([[0, 1], [0, 1]]), contrast=contrast)
        assert found.tolist() == [[-3.0, 3.0], [2.0, -2.0]]


@pytest.mark.parametrize(("outputs", "index"), [(3, 3), (3, -1), (1, 2)])
def test_an_index_that_is_no_class_is_refused(outputs, index):
    with pytest.raises(InputError, match="classes apart"):
        class_scores(torch.zeros(1, outputs), torch.tensor([index]), contrast=False)


def test_classes_for_all_images_are_spelt_out():
    assert class_indices([2, 0], 3).tolist() == [[2, 0]] * 3
    own = torch.tensor([[1], [2]])
    assert torch.equal(class_indices(own, 2), own)
    with pytest.raises(InputError, match=r"shape \(2, 1\) for 3 images"):
        class_indices(own, 3)


def test_multi_label_contrast_is_the_own_map(images):
    subject = subject_of(make_softcam(task=Task.MULTILABEL))
    own = GRAD_CAM(subject, images, [0, 1])
    assert torch.equal(own, GRAD_CAM(subject, images, [0, 1], contrast=True))
    exclusive = subject_of(make_softcam(task=Task.MULTICLASS))
    assert not torch.equal(own, GRAD_CAM(exclusive, images, [0, 1], contrast=True))


def test_options_are_changed_in_a_copy():
    changed = SMOOTH_GRAD.configured(samples=4)
    assert (changed.options["samples"], changed.options["seed"]) == (4, 0)
    assert SMOOTH_GRAD.options["samples"] == 32
    with pytest.raises(InputError, match="no option 'sample'; it has: channels, samples"):
        SMOOTH_GRAD.configured(sample=4)
    with pytest.raises(InputError, match="it has: none"):
        GRAD_CAM.configured(samples=4)
    with pytest.raises(InputError, match="SmoothGrad: samples is 0; give at least 1"):
        SMOOTH_GRAD.configured(samples=0)
    assert SMOOTH_GRAD.configured(seed=0, noise=0.0).options["noise"] == 0


def test_images_of_another_shape_are_refused(softcam, images):
    for wrong in (images[0], images[:0]):
        with pytest.raises(InputError, match=r"take \(N, C, H, W\)"):
            GRAD_CAM(subject_of(softcam), wrong, [0])
