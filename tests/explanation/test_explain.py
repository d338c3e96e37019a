from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
import torch
from PIL import Image
from torch import nn

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
from softcam.data.steps import Flip
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.explanation.explain import explain, explain_many
from tests.data import dicoms


def test_a_real_softcam_is_explained_exactly(softcam_model, image):
    explanation = explain(softcam_model, image)
    prepare = Preprocessing.from_dict(softcam_model.info.preprocessing)
    sample = prepare(read_image(image))
    with torch.inference_mode():
        output = softcam_model.eval()(torch.from_numpy(sample.pixels)[None])
    np.testing.assert_allclose(explanation.logits, output.logits[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(explanation.evidence, output.evidence[0].numpy(), atol=1e-6)
    assert explanation.completeness_error < 1e-5 * max(1, np.abs(explanation.logits).max())
    assert explanation.classes == ("NORMAL", "AMD", "DME")


def test_a_path_a_pil_image_and_an_array_give_the_same(predictor, image, tmp_path):
    path = tmp_path / "scan.png"
    Image.fromarray(image).save(path)
    by_path = explain(predictor, path)
    assert by_path.name == "scan.png"
    assert explain(predictor, str(path)).name == "scan.png"
    for given in (Image.fromarray(image), image):
        other = explain(predictor, given)
        assert other.name == "image"
        np.testing.assert_array_equal(other.evidence, by_path.evidence)
    assert explain(predictor, image, name="left eye").name == "left eye"


def test_evidence_lands_on_the_bright_spot_of_a_padded_image(predictor):
    image = np.zeros((64, 128), dtype=np.uint8)
    image[32:64, 96:128] = 255
    explanation = explain(predictor, image)
    # 128 × 64 becomes 32 × 16 in a 32 × 32 input: a cell is 32 px wide in the file.
    (region,) = explanation.regions("NORMAL")
    assert region.box == (96.0, 32.0, 32.0, 32.0)
    assert region.contribution == pytest.approx(1 / 16, rel=0.05)  # resizing softens its edge
    assert region.share == pytest.approx(1, rel=0.05)


def test_many_images_are_batched_and_keep_their_order(predictor, image):
    images = [np.roll(image, shift, axis=1) for shift in range(5)]
    many = list(explain_many(predictor, images, batch_size=2, names="abcde"))
    assert predictor.batches == [2, 2, 1]
    assert [e.name for e in many] == list("abcde")
    for one, single in zip(many, images, strict=True):
        np.testing.assert_allclose(one.evidence, explain(predictor, single).evidence, atol=1e-6)


def test_images_of_different_sizes_share_a_batch(predictor):
    sizes = [(20, 30), (40, 10)]
    images = [np.zeros(size, dtype=np.uint8) for size in sizes]
    assert [e.map(0).shape for e in explain_many(predictor, images)] == sizes


def test_images_are_read_when_their_batch_comes(predictor, image):
    def lazy():
        yield image
        raise AssertionError("read too early")

    assert next(explain_many(predictor, lazy(), batch_size=1)).name == "image"


def test_sixteen_bits_are_kept_for_display(predictor):
    image = np.full((32, 32), 40_000, dtype=np.uint16)
    assert explain(predictor, image).image.dtype == np.uint16


def test_a_model_without_preprocessing_asks_for_it(predictor, image):
    given = predictor.info.preprocessing
    predictor.info = ModelInfo()
    with pytest.raises(InputError, match="pass preprocessing="):
        explain(predictor, image)
    for preprocessing in (given, Preprocessing.from_dict(given)):
        assert explain(predictor, image, preprocessing=preprocessing).classes[0] == "class 0"


def test_a_black_box_is_refused_with_the_way_out(image):
    with pytest.raises(InputError, match=r"softcam\.convert"):
        explain(nn.Linear(3, 2), image)


def test_the_threshold_reaches_the_regions(predictor, image):
    assert explain(predictor, image, threshold=0.25).threshold == 0.25


def test_an_unreadable_image_is_named(predictor, tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"broken\.png"):
        explain(predictor, path)


def test_a_bad_batch_size_or_too_few_names_are_refused(predictor, image):
    with pytest.raises(InputError, match="batch size is 0"):
        next(explain_many(predictor, [image], batch_size=0))
    with pytest.raises(InputError, match="fewer names"):
        list(explain_many(predictor, [image, image], names=["a"]))


SLICE = {
    "ImagePositionPatient": [-30.0, 12.0, 5.0],
    "ImageOrientationPatient": [0.0, 1.0, 0.0, 0.0, 0.0, -1.0],
    "PixelSpacing": [1.0, 0.5],
}


def test_a_slice_is_seen_in_its_true_shape_and_its_regions_lie_in_the_patient(predictor, tmp_path):
    scan = np.zeros((24, 48), np.uint8)
    scan[4:8, 36:40] = 255
    path = tmp_path / "slice.dcm"
    path.write_bytes(dicoms.save(dicoms.dataset(scan, **SLICE)))
    explanation = explain(predictor, path)
    # Pixels twice as tall as wide: 24 × 48 of them make a square.
    assert explanation.geometry == predictor_rule(predictor).geometry((24, 48), 2.0)
    assert explanation.geometry.content_box() == (0, 0, 32, 32)
    regions = explanation.to_dict()["classes"][0]["own"]["regions"]
    for told, region in zip(regions, explanation.regions(0), strict=True):
        x, y = region.peak_xy
        by_hand = (-30.0, 12.0 + 0.5 * (x - 0.5), 5.0 - 1.0 * (y - 0.5))
        np.testing.assert_allclose(told["peak_patient_mm"], by_hand)
        x, y = region.box[0] + region.box[2] / 2, region.box[1] + region.box[3] / 2
        by_hand = (-30.0, 12.0 + 0.5 * (x - 0.5), 5.0 - 1.0 * (y - 0.5))
        np.testing.assert_allclose(told["box_centre_patient_mm"], by_hand)
    assert regions
    first = explanation.regions(0)[0]
    assert abs(first.peak_xy[0] - 38) <= 6
    assert abs(first.peak_xy[1] - 6) <= 3
    assert explanation.to_dict()["image"]["plane"]["spacing"] == [1.0, 0.5]


def predictor_rule(predictor) -> Preprocessing:
    return Preprocessing.from_dict(predictor.info.preprocessing)


def test_without_a_plane_no_millimetres_are_told(predictor, image, tmp_path):
    kind = pydicom.uid.DigitalXRayImageStorageForPresentation
    made = dicoms.dataset(image[:, :, 0], SOPClassUID=kind, ImagerPixelSpacing=[0.1, 0.1], **SLICE)
    path = tmp_path / "chest.dcm"
    path.write_bytes(dicoms.save(made))
    for source in (image, path):
        explanation = explain(predictor, source)
        with pytest.raises(InputError, match="does not say where in the patient"):
            explanation.to_patient([1.0, 2.0])
        assert "_mm" not in json.dumps(explanation.to_dict())


@pytest.mark.parametrize(("horizontal", "vertical"), [(1, 0), (0, 1), (1, 1)])
def test_evidence_of_a_flipped_input_returns_to_its_place(
    predictor, make_explanation, horizontal, vertical
):
    scan = np.zeros((32, 64, 3), np.uint8)
    scan[4:8, 40:48] = 255
    sample = predictor_rule(predictor)(read_image(scan))
    flip = Flip(bool(horizontal), bool(vertical))
    pixels = sample.pixels[:, :: -1 if vertical else 1, :: -1 if horizontal else 1]
    found = []
    for batch, geometry in (
        (sample.pixels[None], sample.geometry),
        (np.ascontiguousarray(pixels)[None], sample.geometry.then(flip)),
    ):
        evidence = predictor.predict(batch)[1][0]
        found.append(make_explanation(evidence, geometry=geometry, classes=None))
    plain, flipped = found
    np.testing.assert_allclose(flipped.map(0), plain.map(0), atol=1e-6)
    assert flipped.regions(0)[0].box == pytest.approx(plain.regions(0)[0].box)
