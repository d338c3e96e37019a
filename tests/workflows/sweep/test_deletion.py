from dataclasses import replace

import numpy as np
import pytest
import torch

from softcam.data.table import read_table
from softcam.evidence.info import Task
from softcam.evidence.layer import EvidenceLayer
from softcam.explanation.attributions.floors import RANDOM
from softcam.explanation.attributions.subject import subject_of
from softcam.training.config import TrainConfig
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.inference import batches, predict_table
from softcam.workflows.models import new_model, preprocessing_of
from softcam.workflows.sweep.deletion import MEASURED, chosen_cases, measure_maps, score_spread
from tests.conftest import randomise_norms
from tests.system.conftest import draw_dots


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return read_table(draw_dots(tmp_path_factory.mktemp("deletion") / "dots") / "table.csv")


def model_of(table, **settings):
    config = TrainConfig(table=table.path, out="x", model="resnet18", size=32, **settings)
    made = new_model(config, table, 2)
    return randomise_norms(made).eval()


@pytest.fixture(scope="module")
def model(table):
    return model_of(table, stages=1)


def measured(model, table, **options):
    logits = predict_table(model, table).logits
    options = {"contrast": False, **options}
    return measure_maps(model, chosen_cases(table, model, 0), logits, **options)


def test_the_gain_is_that_of_a_slow_version(model, table):
    chosen = chosen_cases(table, model, 0)
    found = measured(model, table)["deletion_gain"]
    logits = predict_table(model, table).logits.astype(np.float64)
    spread = (logits[:, 1] - logits[:, 0]).std()
    side = BenchmarkSettings().patch((32, 32))
    counts = (0, *BenchmarkSettings().counts())
    subject = subject_of(model, "m")
    (batch,) = batches(chosen.table, preprocessing_of(model), batch_size=100)
    # Batches of 16 images: the first of them gives the mean colour.
    mean = batch.pixels[:16].mean(axis=(0, 2, 3))

    def area(pixels, values):
        cells = [
            (-values[y : y + side, x : x + side].max(), y, x)
            for y in range(0, 32, side)
            for x in range(0, 32, side)
        ]
        order = [(y, x) for _, y, x in sorted(cells, key=lambda cell: cell[0])]
        scores = []
        for count in counts:
            image = pixels.copy()
            for y, x in order[:count]:
                image[:, y : y + side, x : x + side] = mean[:, None, None]
            with torch.inference_mode():
                low, high = model(torch.from_numpy(image)[None]).logits[0].double().tolist()
            scores.append(high - low)
        shares = np.array(counts) / len(cells)
        return np.trapezoid(scores, shares) / (shares[-1] - shares[0])

    random = RANDOM.configured(cell=side)
    for place in (0, 3, 5):
        pixels = batch.pixels[place]
        image = torch.from_numpy(pixels)[None]
        with torch.inference_mode():
            evidence = model(image).evidence[0, 1].numpy()
        noise = random(subject, image, [1])[0, 0].numpy()
        own, other = (
            area(pixels, batch.geometries[place].map_to_input(small, interpolation="bicubic"))
            for small in (evidence, noise)
        )
        assert found[place] == pytest.approx((other - own) / spread, abs=2e-4)
        assert abs(found[place]) > 1e-3  # a difference that could be missed


def test_the_gain_does_not_depend_on_the_scale_of_the_logits(table):
    plain, loud = model_of(table, stages=1), model_of(table, stages=1)
    layers = [module for module in loud.modules() if isinstance(module, EvidenceLayer)]
    assert layers
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.mul_(4)
    one, other = measured(plain, table), measured(loud, table)
    np.testing.assert_allclose(one["deletion_gain"], other["deletion_gain"], rtol=1e-3, atol=1e-5)
    assert not np.allclose(one["deletion_auc"], other["deletion_auc"], rtol=1e-3)


def test_only_images_of_the_class_are_judged_and_annotated_ones_first(model, table):
    chosen = chosen_cases(table, model, 0)
    assert len(chosen.cases) == 12 and all(case.present for case in chosen.cases)
    few = chosen_cases(table, model, 5)
    assert len(few.cases) == 5
    annotations = table.annotations
    some = {name: boxes for name, boxes in annotations.boxes.items() if name in ("1.png", "3.png")}
    fewer = replace(table, annotations=replace(annotations, boxes=some))
    names = {case.image for case in chosen_cases(fewer, model, 2).cases}
    assert names == {"1.png", "3.png"}


def test_without_annotations_nothing_is_located(model, table):
    found = measured(model, replace(table, annotations=None))
    assert np.isnan(found["activation_precision"]).all()
    assert not np.isnan(found["deletion_gain"]).any()
    assert not np.isnan(measured(model, table)["pointing_game"]).any()


def test_a_black_box_is_judged_by_its_grad_cam(table):
    box = model_of(table, black_box=True)
    found = measured(box, table)
    assert set(found) == set(MEASURED)
    assert not np.isnan(found["deletion_gain"]).any()


def test_contrast_maps_are_judged_when_asked(model, table):
    own, contrast = (measured(model, table, contrast=value) for value in (False, True))
    assert not np.allclose(own["gini"], contrast["gini"])


def test_the_spread_is_that_of_each_class_against_the_others():
    logits = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    expected = [np.std(logits[:, k] - np.delete(logits, k, axis=1).mean(axis=1)) for k in range(3)]
    assert score_spread(logits, Task.MULTICLASS) == pytest.approx(expected, rel=1e-5)
    assert score_spread(logits, Task.MULTILABEL) == pytest.approx(logits.std(axis=0), rel=1e-5)
    one = score_spread(logits[:, :1], Task.BINARY)
    assert one == pytest.approx([logits[:, 0].std()] * 2, rel=1e-5)


def test_a_model_that_always_says_the_same_has_no_spread():
    assert np.isnan(score_spread(np.ones((5, 2), np.float32), Task.BINARY)).all()
