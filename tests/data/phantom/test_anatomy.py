"""That the phantoms have the look of what they stand for, in numbers."""

from __future__ import annotations

import numpy as np

from softcam.data.phantom import draw


def centre(mask: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(rows.mean()), float(columns.mean())


def test_a_fundus_is_orange_in_a_dark_surround_with_a_bright_disc():
    drawn = draw("fundus", 24, prevalence=0, seed=3)
    images = drawn.images.astype(float)
    middle = images[:, 32:96, 32:96].mean(axis=(1, 2))
    assert (middle[:, 0] > 1.2 * middle[:, 1]).all()
    assert (middle[:, 1] > 1.1 * middle[:, 2]).all()
    assert images[:, :4, :4].mean() < 10
    for image, disc in zip(images, drawn.masks["optic_disc"], strict=True):
        assert image[disc, 1].mean() > 1.2 * np.median(image[32:96, 32:96, 1])


def test_left_and_right_eyes_are_equally_many():
    drawn = draw("fundus", 300, size=32, prevalence=0)
    right = [centre(mask)[1] > 16 for mask in drawn.masks["optic_disc"]]
    assert 0.4 < np.mean(right) < 0.6


def test_blood_is_darker_and_exudates_are_brighter_than_the_same_retina():
    ill, well = (draw("fundus", 60, prevalence=p, difficulty=0, seed=1) for p in (1, 0))
    change = ill.images[..., 1].astype(int) - well.images[..., 1]
    # where lesions of two kinds meet, the exudate lies on top
    exudate = ill.masks["hard_exudate"]
    for finding in ("microaneurysm", "haemorrhage"):
        assert change[ill.masks[finding] & ~exudate].mean() < -20
    assert change[exudate].mean() > 20


def test_fundus_lesions_keep_off_the_disc():
    drawn = draw("fundus", 100, size=64, prevalence=1)
    blood = drawn.masks["microaneurysm"] | drawn.masks["haemorrhage"]
    assert not (blood & drawn.masks["optic_disc"]).any()


def test_a_bscan_is_dark_above_bright_in_the_retina_and_fades_below():
    images = draw("oct", 24, prevalence=0, seed=3).images.astype(float)
    rows = images.mean(axis=(0, 2))
    assert rows[:20].mean() < 0.3 * rows.max()
    assert rows[-10:].mean() < 0.4 * rows.max()
    assert 0.45 < rows.argmax() / len(rows) < 0.75


def test_drusen_lift_the_bright_line_off_bruchs_membrane():
    ill, well = (draw("oct", 40, prevalence=p, difficulty=0, seed=2) for p in (1, 0))
    change = ill.images.astype(int) - well.images
    upper = [
        change[k][mask & (np.cumsum(mask, axis=0) <= 3) & (mask.sum(axis=0) > 8)]
        for k, mask in enumerate(ill.masks["drusen"])
    ]
    assert np.concatenate(upper).mean() > 20


def test_a_chest_has_two_dark_lungs_and_the_heart_on_the_right_of_the_image():
    drawn = draw("chest", 24, prevalence=0, seed=3)
    lungs = drawn.masks["lung"]
    for image, lung in zip(drawn.images.astype(float), lungs, strict=True):
        assert image[lung].mean() < 0.75 * image[40:, 24:104][~lung[40:, 24:104]].mean()
    low = lungs[:, 70:88]
    assert (low[:, :, :64].sum(axis=(1, 2)) > low[:, :, 64:].sum(axis=(1, 2))).mean() > 0.9
    assert 0.15 < lungs.mean() < 0.4


def test_opacities_lie_in_the_lungs_and_are_bright():
    ill, well = (draw("chest", 40, prevalence=p, seed=2) for p in (1, 0))
    opacity = ill.masks["opacity"]
    assert (opacity & ill.masks["lung"]).sum() > 0.95 * opacity.sum()
    change = ill.images.astype(int) - well.images
    assert change[opacity].mean() > 15
    assert change.min() >= 0
