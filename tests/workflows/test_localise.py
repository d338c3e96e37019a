import numpy as np
import pytest
import torch
from torch import nn

from softcam.data.annotations import Annotations, Box
from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Record, Table
from softcam.data.spec import DatasetSpec
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.localise import Localiser, findings_for, lesions_of, map_of_class


def record(name, label, patient="p"):
    return Record(name, name, label, "test", patient, 2)


def table(spec, records, boxes):
    return Table("t.csv", tuple(records), spec, Annotations(boxes=boxes), ())


SPEC = DatasetSpec(
    Task.MULTICLASS,
    ("normal", "wet", "dry"),
    None,
    {"fluid": "wet", "mark": "", "disc": "distractor", "lung": "organ"},
)


def test_findings_speak_for_their_class_or_for_the_images_own():
    data = table(SPEC, [], {})
    wet, dry = record("a", 1), record("b", 2)
    assert findings_for("wet", wet, data) == ["fluid", "mark"]
    assert findings_for("dry", wet, data) == []
    assert findings_for("wet", dry, data) == ["fluid"]
    assert findings_for("dry", dry, data) == ["mark"]


def test_a_finding_without_a_class_speaks_for_none_of_several_labels():
    spec = DatasetSpec(Task.MULTILABEL, ("a", "b"), None, {"mark": "", "spot": "b"})
    data = table(spec, [], {})
    image = record("x", (1.0, 1.0))
    assert [findings_for(name, image, data) for name in "ab"] == [[], ["spot"]]


def test_distractors_and_organs_are_no_lesions():
    boxes = {"a": (("disc", Box(0, 0, 4, 4)), ("lung", Box(0, 0, 8, 8)))}
    image = record("a", 1)
    info = ModelInfo(task=Task.MULTICLASS, classes=SPEC.classes)
    found = lesions_of(image, table(SPEC, [image], boxes), info, Geometry.of((8, 8)))
    assert found == []


def test_the_one_map_of_a_one_logit_model_speaks_for_the_positive_class():
    evidence = np.arange(4.0).reshape(1, 2, 2)
    assert np.array_equal(map_of_class(evidence, 1, Task.BINARY, against=False), evidence[0])
    assert np.array_equal(map_of_class(evidence, 0, Task.BINARY, against=True), -evidence[0])


def test_contrast_is_own_minus_the_others():
    evidence = np.random.default_rng(0).normal(size=(2, 3, 3))
    found = map_of_class(evidence, 1, Task.BINARY, against=True)
    assert np.allclose(found, evidence[1] - evidence[0])


def test_a_map_on_the_lesion_scores_one_and_a_map_beside_it_zero():
    spec = DatasetSpec(Task.BINARY, ("well", "ill"), "ill", {"lesion": "ill"})
    info = ModelInfo(task=Task.BINARY, classes=spec.classes, positive="ill")
    images = [record("a", 1, "p1"), record("b", 1, "p2")]
    boxes = {name: (("lesion", Box(0, 0, 8, 8)),) for name in ("a", "b")}
    localiser = Localiser(table(spec, images, boxes), info)
    evidence = np.zeros((2, 2, 4, 4), dtype=np.float32)
    evidence[0, 1, 0, 0] = 5.0  # on the lesion
    evidence[1, 1, 3, 3] = 5.0  # far from it
    geometry = Preprocessing(size=(32, 32)).geometry((32, 32))
    pixels = np.zeros((2, 3, 32, 32), dtype=np.float32)
    localiser.add(images, [geometry] * 2, pixels, evidence)
    rows = {(row.method, row.map): row for row in localiser.rows(resamples=50, seed=0)}
    own = rows["SoftCAM", "own"]
    assert own.images == 2
    assert own.intervals["pointing_game"].value == 0.5
    uniform = rows["Uniform map", "-"].intervals
    assert uniform["activation_precision"].value == pytest.approx(64 / 1024)
    assert uniform["activation_sensitivity"].value == 1.0


def test_without_annotations_there_is_nothing_to_score():
    spec = DatasetSpec(Task.BINARY, ("well", "ill"), "ill")
    image = record("a", 1)
    localiser = Localiser(
        Table("t.csv", (image,), spec, None, ()), ModelInfo(task=Task.BINARY, classes=spec.classes)
    )
    geometry = Geometry.of((8, 8))
    localiser.add([image], [geometry], np.zeros((1, 3, 8, 8)), np.zeros((1, 2, 2, 2)))
    assert localiser.rows(resamples=10, seed=0) == ()


def test_grad_cam_of_a_pool_then_linear_twin_points_where_its_evidence_does():
    from timm import create_model

    from softcam.conversion.black_box import BlackBox
    from softcam.conversion.convert import convert
    from softcam.explanation.attributions.subject import subject_of
    from softcam.workflows.localise import grad_cam_of

    model = create_model("resnet18", num_classes=2).eval()
    twin = BlackBox(model, info=ModelInfo(kind="black_box"))
    images = torch.randn(2, 3, 64, 64)
    attribution = grad_cam_of(subject_of(twin), images.numpy(), [1, 0])
    softcam = convert(model)
    with torch.no_grad():
        evidence = softcam(images).evidence.numpy()
    bias = softcam.head.conv.bias.detach().numpy()
    assert isinstance(twin, nn.Module)
    for row, target in enumerate((1, 0)):
        expected = (evidence[row, target] - bias[target]) / evidence[row, target].size
        assert np.allclose(attribution[row], expected, atol=1e-5)


def test_a_twin_that_computes_channels_last_has_a_grad_cam_too():
    from timm import create_model

    from softcam.conversion.black_box import BlackBox
    from softcam.explanation.attributions.subject import subject_of
    from softcam.workflows.localise import grad_cam_of

    model = create_model("swin_tiny_patch4_window7_224", num_classes=2).eval()
    twin = BlackBox(model, info=ModelInfo(kind="black_box"))
    images = torch.randn(1, 3, 224, 224)
    attribution = grad_cam_of(subject_of(twin), images.numpy(), [1])
    with torch.no_grad():  # (N, h, w, C) behind the last norm; the head is a mean and linear
        features = model.forward_features(images)
        expected = (features[0] @ model.head.fc.weight[1]) / 49
    assert np.allclose(attribution[0], expected.numpy(), atol=1e-5)
