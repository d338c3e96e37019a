"""The costly measures: mosaics, direct calls, random weights."""

import numpy as np
import pytest
import torch

from softcam.conversion.create import create_model
from softcam.data.preprocessing import Preprocessing
from softcam.evaluation.consistency.randomisation import map_similarity
from softcam.evaluation.consistency.tiles import tile_share
from softcam.evaluation.faithfulness.agreement import logit_agreement
from softcam.evaluation.faithfulness.baselines import Constant
from softcam.evidence.info import Task
from softcam.explanation.attributions.methods import METHODS
from softcam.explanation.attributions.subject import subject_of
from softcam.workflows.benchmark.maps import MapStore
from softcam.workflows.benchmark.probes import NAMES, Probes, _resized, probe, randomised

SIZE = (32, 48)
PREPROCESSING = Preprocessing(size=SIZE, mean=(0.5,) * 3, std=(0.25,) * 3)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = create_model("test_resnet", num_classes=3)
    made.info.task, made.info.classes = Task.MULTICLASS, ("a", "b", "c")
    return made


def images(count=9, size=SIZE):
    return np.random.default_rng(0).normal(size=(count, 3, *size)).astype(np.float32)


def probes_of(pixels, labels, rows):
    """Multi-class: an image's own class is asked for."""
    labels = np.array(labels)
    return Probes.of(
        np.array(rows),
        labels[rows],
        lambda index: np.flatnonzero(labels != index),
        lambda wanted: pixels[list(wanted)],
        seed=0,
    )


def test_each_mosaic_has_its_probe_at_its_tile_and_others_beside_it():
    pixels = np.zeros((9, 3, *SIZE), dtype=np.float32)
    labels = [0, 1, 2] * 3
    pixels += np.array(labels, dtype=np.float32)[:, None, None, None]
    probes = probes_of(pixels, labels, [0, 1, 5])
    for row, index in enumerate([0, 1, 2]):
        mosaic, tile = probes.mosaics[row], int(probes.tiles[row])
        quarters = [mosaic[:, y : y + 16, x : x + 24] for y in (0, 16) for x in (0, 24)]
        assert np.allclose(quarters.pop(tile), index)
        assert all(not np.isclose(quarter, index).any() for quarter in quarters)


@pytest.mark.parametrize(("labels", "size"), [([0, 0, 0, 1, 1], SIZE), ([0, 1, 1, 1], (33, 48))])
def test_there_is_no_mosaic_without_three_others_or_with_odd_sides(labels, size):
    probes = probes_of(images(len(labels), size), labels, [0])
    assert np.isnan(probes.mosaics).all()


def taken(model, name="grad-cam", *, contrast=False, size=SIZE, labels=(0, 1, 2) * 3):
    pixels = images(len(labels), size)
    probes = probes_of(pixels, list(labels), [0, 1, 5])
    subject, store = subject_of(model), MapStore(None)
    blank = randomised(model, "SoftCAM", seed=0)
    found = probe(
        METHODS[name], subject, blank, probes, store, contrast=contrast,
        preprocessing=PREPROCESSING, baseline=Constant((0.1, 0.2, 0.3)), batch_size=2, seed=3,
        drops={},
    )  # fmt: skip
    return found, probes, subject, blank


@pytest.mark.parametrize("contrast", [False, True])
def test_values_are_those_of_direct_calls(model, contrast):
    found, probes, subject, blank = taken(model, contrast=contrast)
    assert set(found) == set(NAMES)
    pixels, classes = torch.from_numpy(probes.pixels), torch.from_numpy(probes.classes)

    def explain(which, shown):
        return METHODS["grad-cam"](which, shown, classes[:, None], contrast=contrast)[:, 0]

    def answer(shown):
        logits = subject.classifier(shown)
        others = (logits.sum(1, keepdim=True) - logits) / 2
        return logits - others if contrast else logits

    maps = explain(subject, pixels)
    direct = logit_agreement(
        answer, pixels, _resized(maps, pixels), classes,
        patch=7, baseline=Constant((0.1, 0.2, 0.3)),
    )  # fmt: skip
    np.testing.assert_allclose(found["agreement"], direct.correlation, atol=1e-2)
    shares = tile_share(
        explain(subject, torch.from_numpy(probes.mosaics)), torch.from_numpy(probes.tiles)
    )
    np.testing.assert_allclose(found["tile_game"], shares, rtol=1e-3)
    alike = map_similarity(maps, explain(blank, pixels))
    np.testing.assert_allclose(found["randomised_similarity"], alike, atol=1e-2)


def test_a_floor_survives_random_weights_and_stays_under_noise(model):
    found, *_ = taken(model, "random")
    np.testing.assert_allclose(found["randomised_similarity"], 1)
    found, *_ = taken(model, "uniform")
    np.testing.assert_allclose(found["tile_game"], 0.25)
    np.testing.assert_allclose(found["sensitivity_noise"], 0)


def test_without_mosaics_the_game_is_undefined_and_the_rest_is_not(model):
    found, *_ = taken(model, labels=(0, 0, 1, 1, 0, 1), size=(33, 48))
    assert np.isnan(found["tile_game"]).all()
    assert np.isfinite(found["randomised_similarity"]).all()
    assert np.isfinite(found["sensitivity_jpeg"]).all()


def test_random_weights_are_new_and_the_model_stays(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    blank = randomised(model, "SoftCAM", seed=0)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    changed = [
        not torch.equal(value, before[name])
        for name, value in blank.softcam.state_dict().items()
        if value.ndim == 4  # norms that all start with ones are the same in any order
    ]
    assert changed
    assert all(changed)
