import numpy as np

from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.scores.names import Names

MAPS = np.arange(8, dtype=np.float32).reshape(2, 2, 2)


def test_a_one_logit_model_has_two_classes_whose_maps_differ_in_sign():
    names = Names(ModelInfo(task=Task.BINARY, classes=("no", "yes")), 1)
    assert (names.classes, names.mapped) == (("no", "yes"), ("yes",))
    negative, positive = names.maps(MAPS[:1], contrast=False)
    np.testing.assert_array_equal(positive, MAPS[0])
    np.testing.assert_array_equal(negative, -MAPS[0])


def test_the_contrast_is_what_decides_under_a_softmax_alone():
    softmax = Names(ModelInfo(task=Task.MULTICLASS, classes=("a", "b")), 2)
    np.testing.assert_array_equal(softmax.maps(MAPS, contrast=True)[0], MAPS[0] - MAPS[1])
    several = Names(ModelInfo(task=Task.MULTILABEL, classes=("a", "b")), 2)
    np.testing.assert_array_equal(several.maps(MAPS, contrast=True)[0], MAPS[0])


def test_a_model_that_does_not_name_its_classes_has_numbers():
    assert Names(ModelInfo(), 3).classes == ("class 0", "class 1", "class 2")
    assert Names(ModelInfo(), 1).task is Task.BINARY
    assert len(Names(ModelInfo(task=Task.MULTILABEL), 1).classes) == 1
