import numpy as np
import pytest

from softcam.errors import InputError
from softcam.evidence.info import Task
from softcam.workflows.scores.scorer import Scorer
from softcam.workflows.scores.settings import ScoreSettings
from tests.workflows.scores.small import BlockMeans


def test_the_size_of_the_maps_is_asked_of_the_model_once():
    predictor = BlockMeans()
    assert Scorer(predictor, ScoreSettings()).shape() == (2, 4, 4)
    assert predictor.batches == [1]


def test_a_model_with_other_than_flat_maps_or_with_more_names_than_outputs_is_refused():
    predictor = BlockMeans()
    predictor.predict = lambda batch: (np.zeros((1, 2)), np.zeros((1, 2, 3, 4, 4)))
    with pytest.raises(InputError, match="one 2-D map for each output"):
        Scorer(predictor, ScoreSettings()).shape()
    named = BlockMeans(task=Task.MULTICLASS, classes=("a", "b", "c"))
    with pytest.raises(InputError, match=r"names 3 classes \(a, b, c\) but tells 2 apart"):
        Scorer(named, ScoreSettings()).shape()


def test_a_model_that_does_not_say_how_it_wants_its_input_is_refused():
    predictor = BlockMeans()
    predictor.info.preprocessing = None
    with pytest.raises(InputError, match="does not say how it wants its input"):
        Scorer(predictor, ScoreSettings())
