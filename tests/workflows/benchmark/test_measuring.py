"""What is measured of a batch is what the measures' own functions give, image by image."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from softcam.evaluation.consistency.shares import negative_share, positive_share
from softcam.evaluation.consistency.sparsity import gini
from softcam.evaluation.explanations.measures import MEASURE
from softcam.evaluation.localisation import activation_precision, energy_inside, pointing_game
from softcam.evaluation.overlap import average_precision
from softcam.workflows.benchmark.measuring import Asked, baselines_of, layout, measure
from softcam.workflows.benchmark.settings import BenchmarkSettings
from tests.workflows.benchmark.sample import (
    CORNER,
    MIDDLE,
    SIDE,
    batch_of,
    chosen_of,
    marked_images,
    reader_of,
)

SETTINGS = BenchmarkSettings(steps=14, every_step=True, curve=5, batch_size=3, baselines=("mean",))
COLOUR = 0.3


def measured(
    signed=True,
    native=False,
    reader=MIDDLE,
    settings=SETTINGS,
    maps=None,
    known=None,
    followed=(True,) * 8,
):
    pixels, ill, boxes = marked_images(8)
    batch = batch_of(chosen_of(pixels, ill, boxes), pixels, ill)
    if maps is None:
        maps = np.random.default_rng(1).normal(size=(8, 4, 4)).astype(np.float32)
        maps[:, 1:3, 1:3] += 2  # they see the lesion, so that curves move
    asked = Asked(reader_of(reader), signed, native)
    baselines = baselines_of(settings, (COLOUR,))
    curves = {} if known is None else known
    return measure(asked, maps, batch, settings, baselines, curves, np.array(followed)), maps, batch


def resized(maps):
    """Bicubically, by Pillow, the border's cells continued outwards."""
    made = []
    for one in maps:
        wide = np.pad(one, 4, mode="edge")
        side, rim = SIDE * len(wide) // len(one), SIDE * 4 // len(one)
        large = np.asarray(Image.fromarray(wide).resize((side, side), Image.Resampling.BICUBIC))
        made.append(large[rim : rim + SIDE, rim : rim + SIDE])
    return torch.from_numpy(np.stack(made))


def test_every_measure_of_the_layout_is_there_with_its_length():
    found, _, batch = measured()
    sizes = layout(SETTINGS, batch.findings)
    assert list(found) == list(sizes)
    for name, length in sizes.items():
        assert found[name].shape == ((8, length) if length > 1 else (8,))
    probed = {"road_morf", "road_lerf", "agreement", "tile_game", "randomised_similarity"}
    probed |= {"label_similarity"}
    assert set(MEASURE) - {n for n in MEASURE if n.startswith("sensitivity_")} - probed <= set(
        sizes
    )


def test_localisation_is_that_of_the_map_on_the_input_grid():
    found, maps, batch = measured()
    full = resized(maps)
    for row in range(8):
        one, lesion = full[[row]], torch.from_numpy(batch.lesions[[row]])
        if not batch.lesions[row].any():
            assert np.isnan(found["activation_precision"][row])
            assert np.isnan(found["distractor_energy"][row])
            continue
        for key, function in (
            ("activation_precision", activation_precision),
            ("pointing_game", pointing_game),
            ("pixel_ap", average_precision),
        ):
            assert found[key][row] == pytest.approx(float(function(one, lesion)), abs=1e-5)
        beside = energy_inside(one, torch.from_numpy(batch.distractors[[row]]))
        assert found["distractor_energy"][row] == pytest.approx(float(beside), abs=1e-5)


def test_shares_belong_to_images_with_and_without_the_class():
    found, maps, batch = measured()
    full = resized(maps)
    for row in range(8):
        for key, function, meant in (
            ("positive_share", positive_share, batch.present[row]),
            ("negative_share", negative_share, not batch.present[row]),
        ):
            if meant:
                assert found[key][row] == pytest.approx(float(function(full[[row]])), abs=1e-5)
            else:
                assert np.isnan(found[key][row])
    np.testing.assert_allclose(found["gini"], gini(full).numpy(), atol=1e-5)


def test_a_map_without_a_sign_has_no_negative_share():
    found, _, _ = measured(signed=False)
    assert np.isnan(found["negative_share"]).all()
    assert not np.isnan(found["positive_share"]).all()


def slow_curve(reader, pixels, full, patch, kind, steps=14):
    """One image at a time, one patch after the other, in numpy."""
    grid = [(y, x) for y in range(0, SIDE, patch) for x in range(0, SIDE, patch)]
    peaks = [float(full[y : y + patch, x : x + patch].max()) for y, x in grid]
    order = sorted(range(len(grid)), key=lambda i: -peaks[i])
    blank = np.full_like(pixels, COLOUR)
    image = pixels.copy() if kind == "deletion" else blank.copy()
    curve = []
    for step in range(steps + 1):
        if step:
            y, x = grid[order[step - 1]]
            source = blank if kind == "deletion" else pixels
            image[:, y : y + patch, x : x + patch] = source[:, y : y + patch, x : x + patch]
        with torch.no_grad():
            curve.append(float(torch.softmax(reader(torch.from_numpy(image[None])), 1)[0, 1]))
    return np.array(curve)


@pytest.mark.parametrize("kind", ["deletion", "insertion"])
def test_curves_equal_a_loop_over_images_and_patches(kind):
    found, maps, batch = measured()
    patch = SETTINGS.patch((SIDE, SIDE))
    full = resized(maps).numpy()
    for row in range(8):
        if not batch.present[row]:
            assert np.isnan(found[f"{kind}_auc"][row])
            continue
        curve = slow_curve(MIDDLE, batch.pixels[row], full[row], patch, kind)
        with torch.no_grad():
            whole = torch.softmax(MIDDLE(torch.from_numpy(batch.pixels[[row]])), 1)[0, 1]
        relative = curve / float(whole)
        np.testing.assert_allclose(found[f"{kind}_confidence_mean"][row], relative, rtol=1e-4)
        mean = np.mean((relative[1:] + relative[:-1]) / 2)
        assert found[f"{kind}_auc"][row] == pytest.approx(mean, rel=1e-4)
        kept = found[f"{kind}_accuracy_mean"][row]
        np.testing.assert_array_equal(kept, (curve >= 0.5).astype(float))
    drawn = found[f"{kind}_confidence_mean"]
    assert np.nanmax(drawn) - np.nanmin(drawn) > 0.3  # the curves do move
    if kind == "insertion":
        ill = batch.present
        np.testing.assert_array_equal(
            found["sufficiency"][ill], found["insertion_confidence_mean"][ill, -1]
        )


def test_known_curves_of_the_same_order_are_used_and_are_the_same():
    known = {}
    first, maps, _ = measured(known=known)
    count = len(known)
    assert count == 2 * 4  # two kinds of curve of four ill images
    again, _, _ = measured(known=known, maps=2 * maps)  # the same order of patches
    assert len(known) == count
    np.testing.assert_array_equal(first["deletion_auc"], again["deletion_auc"])
    other, _, _ = measured(known=known, maps=-maps)
    assert len(known) == 2 * count
    fresh, _, _ = measured(maps=-maps)
    np.testing.assert_allclose(other["deletion_auc"], fresh["deletion_auc"], rtol=1e-6)


def test_what_is_called_wrong_from_the_start_keeps_no_right_answer():
    found, _, batch = measured(reader=CORNER)
    wrong = np.flatnonzero(batch.present)[-1]  # ill, and without the mark in the corner
    assert np.isnan(found["deletion_accuracy_mean"][wrong]).all()
    assert np.isnan(found["deletion_accuracy"][wrong])
    assert not np.isnan(found["deletion_auc"][wrong])
    right = np.flatnonzero(batch.present)[:-1]
    assert not np.isnan(found["deletion_accuracy"][right]).any()


def test_native_evidence_alone_is_complete():
    _, _, batch = measured()
    with torch.no_grad():
        logits = MIDDLE(torch.from_numpy(batch.pixels))[:, 1].numpy()
    noise = np.random.default_rng(0).normal(size=(8, 4, 4))
    maps = noise - noise.mean(axis=(1, 2), keepdims=True) + logits[:, None, None]
    found, _, _ = measured(native=True, maps=maps.astype(np.float32))
    assert found["completeness_error"].max() < 1e-6
    off, _, _ = measured(native=True, maps=(maps * 1.5).astype(np.float32))
    np.testing.assert_allclose(off["completeness_error"], 0.5, rtol=1e-4)
    posthoc, _, _ = measured(native=False, maps=maps.astype(np.float32))
    assert np.isnan(posthoc["completeness_error"]).all()


def test_lesions_are_counted_by_size_where_they_are_marked():
    maps = np.zeros((8, SIDE, SIDE), np.float32)
    maps[1, 7, 7] = 1  # on the lesion of image 1 alone; elsewhere beside it
    maps[3:, 0, 0] = 1
    found, _, batch = measured(maps=maps)
    for row in range(8):
        there, hit = found["lesions of spot"][row], found["found of spot"][row]
        if not batch.present[row]:
            assert np.isnan(there).all()
            continue
        assert there.tolist() == [0, 0, 1]  # 6 % of the image
        assert hit.tolist() == [0, 0, float(row == 1)]


def test_a_second_baseline_adds_its_curves_and_leaves_the_first():
    both, _, _ = measured(settings=replace(SETTINGS, baselines=("mean", "blur")))
    one, _, _ = measured()
    np.testing.assert_array_equal(both["deletion_auc"], one["deletion_auc"])
    blurred, mean = both["deletion_confidence_blur"], both["deletion_confidence_mean"]
    assert not np.allclose(blurred, mean, equal_nan=True)


def test_curves_are_drawn_for_the_images_that_are_followed():
    followed = [True, True, True, False, True, False, True, True]
    found, maps, batch = measured(followed=followed)
    every, _, _ = measured(maps=maps)
    drawn = batch.present & followed
    np.testing.assert_array_equal(np.isnan(found["deletion_auc"]), ~drawn)
    np.testing.assert_array_equal(found["deletion_auc"][drawn], every["deletion_auc"][drawn])
    np.testing.assert_array_equal(found["pixel_ap"], every["pixel_ap"])
