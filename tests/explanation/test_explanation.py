from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import softmax

from softcam.data.geometry import Geometry
from softcam.data.steps import Crop, Pad
from softcam.errors import InputError
from softcam.evidence.info import Task


@pytest.fixture
def three(make_explanation):
    return make_explanation(np.random.default_rng(0).normal(size=(3, 4, 6)))


def test_probabilities_and_the_call_follow_from_the_logits(three):
    np.testing.assert_allclose(three.probabilities, softmax(three.logits.astype(float)), rtol=1e-12)
    assert three.predicted == ("abc"[int(three.logits.argmax())],)
    assert three.main_class == three.predicted[0]


def test_the_mean_of_every_map_is_its_logit(three):
    assert three.completeness_error < 1e-6
    for index in range(3):
        assert three.logit(index) == pytest.approx(float(three.logits[index]), abs=1e-6)


def test_a_map_in_file_pixels_repeats_its_cells(three):
    expected = np.kron(three.evidence[1], np.ones((10, 10)))
    np.testing.assert_array_equal(three.map("b"), expected.astype(np.float32))
    np.testing.assert_array_equal(three.map(1), three.map("b"))
    assert three.map("b", interpolation="bilinear").shape == (40, 60)


def test_the_contrast_is_own_minus_the_mean_of_the_rest(three):
    own, rest = three.evidence[2], three.evidence[:2].mean(axis=0)
    np.testing.assert_allclose(three.class_evidence("c", contrast=True), own - rest, atol=1e-6)
    expected = three.logits[2] - three.logits[:2].mean()
    assert three.logit("c", contrast=True) == pytest.approx(float(expected), abs=1e-6)


def test_with_two_classes_the_contrasts_are_opposite(make_explanation):
    explanation = make_explanation(np.random.default_rng(0).normal(size=(2, 4, 6)))
    np.testing.assert_allclose(
        explanation.map("a", contrast=True), -explanation.map("b", contrast=True), atol=1e-6
    )


def test_one_logit_speaks_for_the_second_class_and_its_negative_for_the_first(make_explanation):
    evidence = np.random.default_rng(0).normal(0.5, 1, size=(1, 4, 6))
    explanation = make_explanation(evidence, task=Task.BINARY, classes=("healthy", "ill"))
    assert explanation.num_classes == 2
    assert explanation.mapped_classes == ("ill",)
    assert explanation.predicted == ("ill",)
    assert explanation.probabilities.sum() == pytest.approx(1)
    np.testing.assert_array_equal(explanation.map("healthy"), -explanation.map("ill"))
    np.testing.assert_array_equal(explanation.map("ill", contrast=True), explanation.map("ill"))
    assert explanation.logit("healthy") == -explanation.logit("ill")
    against = explanation.regions("ill", sign=-1)
    speaking_for = explanation.regions("healthy")
    assert [r.contribution for r in against] == [-r.contribution for r in speaking_for]


def test_a_binary_call_uses_the_stored_threshold(make_explanation):
    evidence = np.zeros((2, 2, 2))
    options = {"task": Task.BINARY, "classes": ("ok", "ill"), "positive": "ill"}
    assert make_explanation(evidence, **options, thresholds={"ill": 0.6}).predicted == ("ok",)
    assert make_explanation(evidence, **options, thresholds={"ill": 0.4}).predicted == ("ill",)


def test_a_multilabel_model_may_call_none_or_several(make_explanation):
    evidence = np.array([2.0, 1.0, -1.0])[:, None, None] * np.ones((3, 2, 2))
    explanation = make_explanation(evidence, task=Task.MULTILABEL)
    assert explanation.predicted == ("a", "b")
    assert explanation.main_class == "a"
    np.testing.assert_array_equal(
        explanation.class_evidence("a", contrast=True), explanation.class_evidence("a")
    )
    nothing = make_explanation(evidence - 5, task=Task.MULTILABEL)
    assert nothing.predicted == ()
    assert nothing.main_class == "a"
    one = make_explanation(evidence[:1], task=Task.MULTILABEL)
    assert one.num_classes == 1


def test_a_model_that_was_never_trained_here_still_explains(make_explanation):
    explanation = make_explanation(np.ones((2, 2, 2)), task=None, classes=())
    assert explanation.classes == ("class 0", "class 1")
    single = make_explanation(np.ones((1, 2, 2)), task=None, classes=())
    assert single.predicted == ("class 1",)


def test_regions_take_the_explanations_threshold_unless_told_otherwise(make_explanation):
    evidence = np.zeros((1, 3, 3))
    evidence[0, 0, 0], evidence[0, 2, 2] = 4.0, 1.0
    options = {"task": Task.BINARY, "classes": ("n", "y")}
    assert len(make_explanation(evidence, **options).regions("y")) == 1
    explanation = make_explanation(evidence, **options, threshold=0.5)
    assert len(explanation.regions("y")) == 2
    assert len(explanation.regions("y", threshold=2.0)) == 1


def test_evidence_in_padding_is_told_apart_from_the_images(make_explanation):
    geometry = Geometry.of((40, 60), Pad(0, 10, 0, 10))
    evidence = np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32)
    explanation = make_explanation(evidence, geometry=geometry)
    # Rows are 15 px high; the first and the last show 5 px of the image each.
    expected = (evidence[0, 0].sum() + evidence[0, 3].sum()) * (10 / 15) / 16
    assert explanation.padding_evidence(0) == pytest.approx(float(expected), abs=1e-6)


def test_the_colour_scale_spans_all_classes_where_they_show_the_image(make_explanation):
    geometry = Geometry.of((40, 60), Pad(0, 20, 0, 0))
    evidence = np.ones((2, 3, 3))
    evidence[0, 0] = 50.0  # in padding
    evidence[1, 2, 2] = -7.0
    assert make_explanation(evidence, geometry=geometry).limit() == 7.0
    assert make_explanation(np.zeros((2, 3, 3))).limit() == 1.0


def test_what_was_cut_off_has_no_evidence(make_explanation):
    geometry = Geometry.of((40, 60), Crop(10, 0, 40, 40))
    explanation = make_explanation(np.ones((2, 4, 4)), geometry=geometry)
    values = explanation.map(0)
    assert (values[:, :10] == 0).all() and (values[:, 10:50] == 1).all()
    assert np.isnan(explanation.map(0, outside=np.nan)[:, 50:]).all()


@pytest.mark.parametrize("class_", ["z", 3, -1])
def test_an_unknown_class_is_named_with_the_ones_there_are(three, class_):
    with pytest.raises(InputError, match=r"no class .*its classes are a, b, c"):
        three.map(class_)


def test_logits_that_are_not_the_mean_of_their_maps_are_refused(three):
    with pytest.raises(InputError, match="differ from the mean"):
        dataclasses.replace(three, logits=three.logits + np.float32(0.1))


def test_parts_that_do_not_fit_are_refused(three):
    broken = three.evidence.copy()
    broken[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        dataclasses.replace(three, evidence=broken)
    with pytest.raises(InputError, match="one 2-D map"):
        dataclasses.replace(three, evidence=three.evidence[:, None])
    with pytest.raises(InputError, match="geometry was recorded"):
        dataclasses.replace(three, image=three.image[:20])
    with pytest.raises(InputError, match="names 2 classes"):
        dataclasses.replace(three, info=three.info.model_copy(update={"classes": ("a", "b")}))


def test_it_cannot_be_changed(three):
    with pytest.raises(dataclasses.FrozenInstanceError):
        three.name = "other"
