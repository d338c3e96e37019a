from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo
from softcam.explanation.explain import explain, explain_many


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
