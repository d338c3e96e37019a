"""The check by labels: its values, and which model may be held against which."""

import numpy as np
import pytest
import torch

from softcam.conversion.create import create_model
from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.explanation.attributions.methods import METHODS
from softcam.explanation.attributions.subject import subject_of
from softcam.training.config import make_config
from softcam.workflows.benchmark.maps import MapStore
from softcam.workflows.benchmark.probes import Probes
from softcam.workflows.benchmark.shuffled import label_similarity, load_shuffled


def model_of(seed=0, **settings):
    torch.manual_seed(seed)
    made = create_model("test_resnet", num_classes=2)
    made.info.task, made.info.classes = Task.BINARY, ("a", "b")
    config = make_config({"table": "t.csv", "out": "run", "seed": seed, **settings})
    made.info.training = {"config": config.model_dump(mode="json")}
    return made.eval()


def ranks_by_sorting(values):
    """Mean ranks, found by counting."""
    flat = np.abs(values.ravel().astype(np.float64))
    return np.array([(flat < v).sum() + ((flat == v).sum() - 1) / 2 for v in flat])


@pytest.mark.parametrize("contrast", [False, True])
def test_values_are_rank_correlations_of_the_two_models_maps(contrast):
    first, second = (subject_of(model_of(seed)) for seed in (0, 1))
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(3, 3, 32, 48)).astype(np.float32)
    classes = np.array([0, 1, 1])
    probes = Probes(np.arange(3), pixels, classes, np.full_like(pixels, np.nan), classes)
    method = METHODS["gradient"]
    found = label_similarity(
        method, first, second, probes, MapStore(None), contrast=contrast, batch_size=2
    )
    shown, asked = torch.from_numpy(pixels), torch.from_numpy(classes)[:, None]
    maps, others = (
        method(which, shown, asked, contrast=contrast)[:, 0].numpy() for which in (first, second)
    )
    wanted = [
        np.corrcoef(ranks_by_sorting(a), ranks_by_sorting(b))[0, 1]
        for a, b in zip(maps, others, strict=True)
    ]
    np.testing.assert_allclose(found, wanted, atol=1e-3)
    same = label_similarity(
        method, first, first, probes, MapStore(None), contrast=contrast, batch_size=2
    )
    np.testing.assert_allclose(same, 1)


def test_a_run_that_differs_in_shuffling_and_seed_alone_is_taken():
    model, other = model_of(), model_of(3, shuffle_labels=True, out="other", workers=0)
    assert load_shuffled(other, model) is other


def test_a_run_of_a_version_without_the_setting_is_taken():
    model = model_of()
    del model.info.training["config"]["shuffle_labels"]
    load_shuffled(model_of(shuffle_labels=True), model)


@pytest.mark.parametrize("given", [{"l1": 0.1}, {"stages": (2, 3)}, {"size": 64}, {"lr": 0.1}])
def test_a_run_that_differs_in_anything_else_is_refused(given):
    (name,) = given
    with pytest.raises(InputError, match=f"was trained with {name} "):
        load_shuffled(model_of(shuffle_labels=True, **given), model_of())


def test_a_model_that_does_not_say_how_it_was_trained_is_refused():
    other = model_of(shuffle_labels=True)
    other.info.training = {}
    with pytest.raises(InputError, match="does not say how it was trained"):
        load_shuffled(other, model_of())


def test_a_model_of_other_classes_is_refused():
    other = model_of(shuffle_labels=True)
    other.info.classes = ("a", "c")
    with pytest.raises(InputError, match="other classes"):
        load_shuffled(other, model_of())
