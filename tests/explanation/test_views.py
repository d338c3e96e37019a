import numpy as np
import pytest
import torch

from softcam.data.preprocessing import Preprocessing
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.explanation.explain import explain
from softcam.explanation.predictor import TorchPredictor
from softcam.explanation.views import AveragedPredictor, View, average_views, choose_views

EVERY = tuple(View(mirrored, turns) for mirrored in (False, True) for turns in range(4))


def trained(recipe):
    return ModelInfo(training={"config": {"augment": recipe}})


@pytest.mark.parametrize("view", EVERY)
def test_what_was_seen_is_laid_back_where_it_was(view):
    array = np.random.default_rng(0).random((2, 3, 5, 7))
    seen = view.apply(array)
    assert seen.shape[2:] == ((7, 5) if view.turns % 2 else (5, 7))
    assert np.array_equal(view.undo(seen), array)


def test_the_eight_views_all_differ():
    array = np.arange(4).reshape(2, 2)
    assert len({view.apply(array).tobytes() for view in EVERY}) == 8


def test_maps_of_a_model_that_sees_all_views_alike_land_on_each_other(predictor):
    pixels = np.random.default_rng(1).random((2, 3, 32, 32)).astype(np.float32)
    plain_logits, plain = predictor.predict(pixels)
    for view in EVERY[1:]:
        moved = predictor.predict(view.apply(pixels))[1]
        assert np.abs(moved - plain).max() > 0.05  # not laid back, they do not
        np.testing.assert_allclose(view.undo(moved), plain, atol=1e-5)
    logits, evidence = average_views(predictor.predict, pixels, EVERY)
    np.testing.assert_allclose(evidence, plain, atol=1e-5)
    np.testing.assert_allclose(logits, plain_logits, atol=1e-5)


def test_a_bright_spot_stays_where_it_is(predictor):
    pixels = np.zeros((1, 3, 32, 32), np.float32)
    pixels[:, :, 8:16, 24:32] = 1
    for tta, recipe in (("flips", "light"), ("flips", "fundus"), ("rotations", "fundus")):
        predictor.info = predictor.info.model_copy(
            update={"training": {"config": {"augment": recipe}}}
        )
        averaged = AveragedPredictor(predictor, tta)
        _, evidence = averaged.predict(pixels)
        assert np.unravel_index(evidence[0, 0].argmax(), (4, 4)) == (1, 3)


def test_the_average_of_a_real_model_is_complete_and_is_what_a_loop_gives(softcam_model):
    pixels = np.random.default_rng(2).normal(size=(3, 3, 32, 32)).astype(np.float32)
    logits, evidence = average_views(TorchPredictor(softcam_model).predict, pixels, EVERY)
    np.testing.assert_allclose(logits, evidence.mean(axis=(2, 3)), atol=1e-6)

    softcam_model.eval()
    images = torch.from_numpy(pixels)
    maps, answers = [], []
    with torch.no_grad():
        for mirrored in (False, True):
            for turns in range(4):
                seen = images.flip(-1) if mirrored else images
                out = softcam_model(torch.rot90(seen, turns, (-2, -1)))
                back = torch.rot90(out.evidence, 4 - turns, (-2, -1))
                maps.append(back.flip(-1) if mirrored else back)
                answers.append(out.logits)
    np.testing.assert_allclose(evidence, torch.stack(maps).mean(0), atol=1e-5)
    np.testing.assert_allclose(logits, torch.stack(answers).mean(0), atol=1e-5)
    assert np.abs(evidence - maps[0].numpy()).max() > 1e-3  # the views are not all the same


def test_an_explanation_over_views_is_as_complete_as_any(softcam_model):
    image = np.random.default_rng(3).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    averaged = explain(AveragedPredictor(softcam_model, "rotations"), image)
    plain = explain(softcam_model, image)
    assert averaged.completeness_error < 1e-5
    assert averaged.map(averaged.main_class).shape == (40, 50)
    assert not np.array_equal(averaged.evidence, plain.evidence)


def test_no_views_change_no_bit(softcam_model):
    pixels = np.random.default_rng(4).normal(size=(2, 3, 32, 32)).astype(np.float32)
    logits, evidence = AveragedPredictor(softcam_model, "none").predict(pixels)
    expected = TorchPredictor(softcam_model).predict(pixels)
    assert np.array_equal(logits, expected[0])
    assert np.array_equal(evidence, expected[1])


def test_a_black_box_averages_its_logits():
    def run(pixels):
        return pixels[:, 0, 0, :1], None  # the upper left corner

    pixels = np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
    logits, evidence = average_views(run, pixels, choose_views("flips", trained("light"), (2, 2)))
    assert evidence is None
    assert logits.tolist() == [[0.5], [4.5]]


@pytest.mark.parametrize(
    ("tta", "recipe", "count"),
    [
        ("none", "chest", 1),
        ("flips", "light", 2),
        ("flips", "oct", 2),
        ("flips", "fundus", 4),
        ("flips", None, 2),
        ("rotations", "fundus", 8),
        ("rotations", None, 8),
    ],
)
def test_views_are_those_that_the_recipe_allows(tta, recipe, count):
    views = choose_views(tta, trained(recipe) if recipe else ModelInfo(), (32, 32))
    assert len(set(views)) == count
    assert views[0] == View()


@pytest.mark.parametrize(
    ("tta", "recipe", "size", "message"),
    [
        ("flips", "chest", (32, 32), "the heart has a side; use --tta none"),
        ("rotations", "oct", (32, 32), "recipe oct, which does not; use --tta flips"),
        ("rotations", "fundus", (32, 48), "a square input, and this model's is 32x48"),
        ("mirror", "fundus", (32, 32), "must be none, flips, rotations, not mirror"),
    ],
)
def test_views_that_training_does_not_allow_are_refused(tta, recipe, size, message):
    with pytest.raises(InputError) as caught:
        choose_views(tta, trained(recipe), size)
    assert message in str(caught.value)


def test_the_input_size_is_that_of_the_preprocessing(predictor):
    preprocessing = Preprocessing(size=(32, 64)).to_dict()
    predictor.info = predictor.info.model_copy(update={"preprocessing": preprocessing})
    with pytest.raises(InputError, match="32x64"):
        AveragedPredictor(predictor, "rotations")
