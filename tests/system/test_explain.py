import json

import numpy as np
import pytest
from PIL import Image


def test_every_file_is_written_and_complete(trained, softcam, tmp_path):
    data, run = trained
    out = tmp_path / "out"
    result = softcam("explain", run, data / "images" / "1.png", "--out", out)
    assert result.code == 0, result.err
    assert {p.name for p in out.iterdir()} == {
        "1.json",
        "1.npz",
        "1_summary.png",
        "1_plain.png",
        "1_dotted.png",
    }
    arrays = np.load(out / "1.npz", allow_pickle=False)
    assert np.allclose(arrays["evidence"].mean((1, 2)), arrays["logits"], atol=1e-5)
    document = json.loads((out / "1.json").read_text())
    assert sum(document["probabilities"].values()) == pytest.approx(1, abs=1e-6)


def test_a_bad_image_is_named_and_the_others_are_explained(trained, softcam, tmp_path):
    data, run = trained
    (tmp_path / "bad.png").write_text("not an image")
    good = data / "images" / "1.png"
    result = softcam("explain", run, tmp_path / "bad.png", good, "--out", tmp_path / "out")
    assert result.code == 2
    assert "1 of 2 images could not be explained" in result.err
    assert "bad.png" in result.err
    assert (tmp_path / "out" / "1.json").is_file()


def test_a_folder_of_images_is_explained(trained, softcam, tmp_path):
    data, run = trained
    result = softcam("explain", run, data / "images", "--out", tmp_path / "out", "--contrast")
    assert result.code == 0, result.err
    assert len(list((tmp_path / "out").glob("*.json"))) == 24


def test_a_black_box_has_nothing_to_show(trained, softcam, tmp_path):
    data, run = trained
    image = data / "images" / "1.png"
    result = softcam("explain", run / "twin", image, "--out", tmp_path / "out")
    assert result.code == 2
    assert "is a black box" in result.err


def test_sixteen_bit_images_are_explained(trained, softcam, tmp_path):
    _, run = trained
    grey = (np.arange(60 * 50).reshape(60, 50) * 20).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    result = softcam("explain", run, tmp_path / "deep.png", "--out", tmp_path / "out")
    assert result.code == 0, result.err
