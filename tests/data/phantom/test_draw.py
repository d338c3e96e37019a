"""What every phantom promises, whatever the modality."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from softcam.data.phantom import PhantomSet, draw
from softcam.data.phantom.draw import draw_batches
from softcam.errors import InputError

MODALITIES = ("fundus", "oct", "chest")
# how far beyond its mask a lesion may fade, as a share of the image's side
FADE = {"fundus": 0.01, "oct": 0.01, "chest": 0.06}


def lesion_masks(drawn: PhantomSet) -> np.ndarray:
    lesions = [name for name, meaning in drawn.findings.items() if meaning == "diseased"]
    return np.any([drawn.masks[name] for name in lesions], axis=0)


def difference(one: PhantomSet, other: PhantomSet) -> np.ndarray:
    delta = np.abs(one.images.astype(int) - other.images)
    return delta.max(axis=-1) if delta.ndim == 4 else delta


@pytest.mark.parametrize("modality", MODALITIES)
def test_shapes_and_types_are_as_documented(modality):
    drawn = draw(modality, 3, size=48)
    assert drawn.images.shape == ((3, 48, 48, 3) if modality == "fundus" else (3, 48, 48))
    assert drawn.images.dtype == np.uint8
    assert drawn.labels.shape == (3,)
    assert drawn.labels.dtype == np.int64
    assert drawn.classes == ("healthy", "diseased")
    assert drawn.masks.keys() == drawn.findings.keys()
    assert all(mask.shape == (3, 48, 48) for mask in drawn.masks.values())
    assert all(mask.dtype == bool for mask in drawn.masks.values())
    assert len(drawn) == 3


def test_each_modality_marks_what_it_stands_for():
    findings = {modality: draw(modality, 1, size=32).findings for modality in MODALITIES}
    assert findings == {
        "fundus": {
            "microaneurysm": "diseased",
            "haemorrhage": "diseased",
            "hard_exudate": "diseased",
            "optic_disc": "distractor",
            "artefact": "distractor",
        },
        "oct": {"drusen": "diseased", "vessel_shadow": "distractor"},
        "chest": {"opacity": "diseased", "lung": "organ", "device": "distractor"},
    }


@pytest.mark.parametrize("size", [33, 128])
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_larger_set_begins_with_the_smaller_one(modality, size):
    large = draw(modality, 37, size=size, seed=4)  # several batches at 128
    for n in (1, 2, 5):
        small = draw(modality, n, size=size, seed=4)
        np.testing.assert_array_equal(small.images, large.images[:n])
        np.testing.assert_array_equal(small.labels, large.labels[:n])
        for finding, mask in small.masks.items():
            np.testing.assert_array_equal(mask, large.masks[finding][:n])


@pytest.mark.parametrize("modality", MODALITIES)
def test_another_seed_gives_another_set(modality):
    one, other = draw(modality, 2, size=48, seed=0), draw(modality, 2, size=48, seed=1)
    assert (one.images != other.images).mean() > 0.3


@pytest.mark.parametrize("difficulty", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("modality", MODALITIES)
def test_images_with_and_without_lesions_differ_in_the_mask_alone(modality, difficulty):
    size = 96
    ill = draw(modality, 24, size=size, prevalence=1, difficulty=difficulty, seed=7)
    well = draw(modality, 24, size=size, prevalence=0, difficulty=difficulty, seed=7)
    mask, delta = lesion_masks(ill), difference(ill, well)
    margin = 1 + math.ceil(FADE[modality] * size)
    square = np.ones((1, 2 * margin + 1, 2 * margin + 1), bool)
    assert mask.any(axis=(1, 2)).all()
    assert not delta[~ndimage.binary_dilation(mask, square)].any()
    # nearly every marked pixel did change, and by more than it ever does in the fading margin
    assert (delta[mask] >= 2).mean() > 0.9
    assert delta[mask].mean() > 5 * delta[ndimage.binary_dilation(mask, square) & ~mask].mean()
    for finding, meaning in ill.findings.items():
        if meaning != "diseased":
            np.testing.assert_array_equal(ill.masks[finding], well.masks[finding])


@pytest.mark.parametrize("modality", MODALITIES)
def test_healthy_images_have_no_lesion_and_diseased_ones_have(modality):
    drawn = draw(modality, 60, size=40, seed=2)
    np.testing.assert_array_equal(lesion_masks(drawn).any(axis=(1, 2)), drawn.labels == 1)


@pytest.mark.parametrize("modality", MODALITIES)
def test_prevalence_is_the_share_of_diseased_images(modality):
    drawn = draw(modality, 400, size=32, prevalence=0.3)
    assert abs(drawn.labels.mean() - 0.3) < 3 * math.sqrt(0.3 * 0.7 / 400)
    fewer = draw(modality, 60, size=32, prevalence=0.1)
    assert (fewer.labels <= drawn.labels[:60]).all()


@pytest.mark.parametrize("modality", MODALITIES)
def test_distractors_correlate_with_nothing(modality):
    drawn = draw(modality, 400, size=32, seed=11)
    ill = drawn.labels == 1
    for finding, meaning in drawn.findings.items():
        if meaning == "distractor":
            mask = drawn.masks[finding]
            seen, area = mask.any(axis=(1, 2)), mask.mean(axis=(1, 2))
            spread = math.sqrt(1 / ill.sum() + 1 / (~ill).sum())
            assert abs(seen[ill].mean() - seen[~ill].mean()) <= 3 * seen.std() * spread
            assert abs(area[ill].mean() - area[~ill].mean()) <= 3 * area.std() * spread
            assert seen.mean() > 0.3


@pytest.mark.parametrize("modality", MODALITIES)
def test_difficulty_makes_lesions_smaller_and_fainter(modality):
    contrast, area = [], []
    for difficulty in (0.0, 0.5, 1.0):
        ill, well = (
            draw(modality, 24, size=96, prevalence=p, difficulty=difficulty) for p in (1, 0)
        )
        mask = lesion_masks(ill)
        contrast.append(difference(ill, well)[mask].mean())
        area.append(mask.mean())
    assert contrast[0] > contrast[1] > contrast[2]
    assert area[0] > area[1] > area[2]


@pytest.mark.parametrize("modality", MODALITIES)
def test_difficulty_raises_the_noise(modality):
    calm, rough = (
        draw(modality, 8, size=96, prevalence=0, difficulty=difficulty).images.astype(float)
        for difficulty in (0.0, 1.0)
    )
    roughness = [np.abs(np.diff(images, axis=2)).mean() for images in (calm, rough)]
    assert roughness[1] > 1.2 * roughness[0]


@pytest.mark.parametrize(("modality", "finding"), [("oct", "drusen"), ("chest", "opacity")])
def test_the_number_of_lesions_stays_in_its_range(modality, finding):
    one = draw(modality, 30, size=96, prevalence=1, lesions=(1, 1), seed=5)
    many = draw(modality, 30, size=96, prevalence=1, lesions=(6, 9), seed=5)
    assert many.masks[finding].mean() > 2.5 * one.masks[finding].mean()
    if modality == "oct":
        assert all(ndimage.label(mask, np.ones((3, 3)))[1] == 1 for mask in one.masks[finding])


def test_batches_join_to_the_set():
    whole = draw("oct", 20, size=128, seed=9)
    parts = list(draw_batches("oct", 20, size=128, seed=9))
    assert len(parts) > 1
    np.testing.assert_array_equal(np.concatenate([part.images for part in parts]), whole.images)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"modality": "mri"}, "fundus, oct, chest"),
        ({"n": 0}, "n is 0"),
        ({"n": 2.5}, "n is 2.5"),
        ({"size": 31}, "at least 32"),
        ({"size": True}, "size is True"),
        ({"prevalence": 1.2}, "prevalence is 1.2"),
        ({"prevalence": float("nan")}, "prevalence is nan"),
        ({"difficulty": -0.1}, "difficulty is -0.1"),
        ({"lesions": (0, 3)}, "lesions is"),
        ({"lesions": (4, 2)}, "lesions is"),
        ({"lesions": (1, 2, 3)}, "lesions is"),
        ({"lesions": 3}, "lesions is 3"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_an_unusable_argument_is_named(arguments, words):
    call = {"modality": "fundus", "n": 1} | arguments
    with pytest.raises(InputError, match=words):
        draw_batches(**call)
