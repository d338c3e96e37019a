from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import read_image
from softcam.explanation.explain import explain
from softcam.web.models import serve_predictor
from softcam.web.settings import Settings
from tests.data import dicoms
from tests.web.conftest import LIMITS, Blocks, client_of, form, png


def maps_of(answer: dict) -> np.ndarray:
    """The raw maps, as the documentation says they are to be read."""
    told = answer["evidence"]
    data = np.frombuffer(base64.b64decode(told["data"]), "<f4")
    return data.reshape(told["maps"], told["height"], told["width"])


def laid(answer: dict, values: np.ndarray) -> np.ndarray:
    """A map on the image's pixels, by the grid alone; NaN where the model did not look."""
    out = np.full((answer["image"]["height"], answer["image"]["width"]), np.nan)
    for i, (top, bottom) in enumerate(answer["grid"]["rows"]):
        for j, (left, right) in enumerate(answer["grid"]["columns"]):
            out[top:bottom, left:right] = values[i, j]
    return out


def test_the_answer_is_what_explain_says(client, image):
    told = client.post("/v1/predict?maps=true&regions=both", files=form(png(image))).json()
    expected = explain(Blocks(), image)
    assert told["predicted"] == list(expected.predicted)
    np.testing.assert_allclose(maps_of(told), expected.evidence, atol=1e-6)
    for index, said in enumerate(told["classes"]):
        assert said["name"] == expected.classes[index]
        assert said["probability"] == pytest.approx(expected.probabilities[index])
        for kind, contrast in (("own", False), ("contrast", True)):
            regions = expected.regions(index, contrast=contrast)
            assert said[kind]["logit"] == pytest.approx(expected.logit(index, contrast=contrast))
            assert [r["contribution"] for r in said[kind]["regions"]] == pytest.approx(
                [r.contribution for r in regions]
            )
            assert said[kind]["regions"][0]["box"] == pytest.approx(list(regions[0].box))
    assert [said["threshold"] for said in told["classes"]] == [None, 0.6]


def test_own_and_contrast_maps_follow_from_the_raw_maps_as_documented(client, image):
    told = client.post("/v1/predict?maps=true", files=form(png(image))).json()
    expected = explain(Blocks(), image)
    maps = maps_of(told)
    for index, said in enumerate(told["classes"]):
        own = said["sign"] * maps[said["map"]]
        contrast = (len(maps) * own - maps.sum(axis=0)) / (len(maps) - 1)
        np.testing.assert_allclose(own, expected.class_evidence(index), atol=1e-6)
        np.testing.assert_allclose(
            contrast, expected.class_evidence(index, contrast=True), atol=1e-6
        )


RULES = ("pad", "crop", "stretch")


def blocks_with(resize: str) -> Blocks:
    made = Blocks()
    made.info.preprocessing = {**made.info.preprocessing, "resize": resize}
    return made


@pytest.fixture(scope="module")
def rules():
    with client_of(*(serve_predictor(rule, blocks_with(rule)) for rule in RULES)) as own:
        yield own


@pytest.mark.parametrize("resize", RULES)
@pytest.mark.parametrize("shape", [(60, 100), (101, 37), (20, 20)])
def test_the_grid_puts_every_pixel_into_the_cell_that_explain_has(rules, resize, shape):
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    expected = explain(blocks_with(resize), array)
    told = rules.post(f"/v1/predict?maps=true&model={resize}", files=form(png(array))).json()
    there = laid(told, maps_of(told)[1])
    np.testing.assert_allclose(np.nan_to_num(there), expected.map("bright", outside=0.0), atol=1e-6)
    assert np.isnan(there).any() == (resize == "crop" and shape != (20, 20))


def test_a_one_logit_model_has_one_map_for_both_classes(image):
    class One(Blocks):
        def predict(self, batch):
            logits, evidence = super().predict(batch)
            return logits[:, 1:], evidence[:, 1:]

    with client_of(serve_predictor("one", One())) as own:
        told = own.post("/v1/predict?maps=true", files=form(png(image))).json()
    expected = explain(One(), image)
    assert [(said["map"], said["sign"]) for said in told["classes"]] == [(0, -1), (0, 1)]
    for index, said in enumerate(told["classes"]):
        own_map = said["sign"] * maps_of(told)[said["map"]]
        np.testing.assert_allclose(own_map, expected.class_evidence(index))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_pictures_of_each_kind_are_answered_with_their_pixels(client, kind):
    rng = np.random.default_rng(1)
    array = np.kron(rng.integers(0, 255, (5, 6, 3), np.uint8), np.ones((8, 8, 1), np.uint8))
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind)
    data = stream.getvalue()
    answer = client.post("/v1/predict?image=shown", files=form(data))
    told = answer.json()["image"]
    assert (told["width"], told["height"], told["bits"], told["encoding"]) == (48, 40, 8, "rgb8")
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["png"]))))
    np.testing.assert_array_equal(sent, read_image(data).array)


def test_a_dicom_with_a_window_is_answered_with_all_its_bits(client):
    grey = np.random.default_rng(2).integers(0, 4096, (40, 50)).astype(np.uint16)
    data = dicoms.save(dicoms.dataset(grey, bits=12, WindowCenter=900, WindowWidth=2000))
    told = client.post("/v1/predict?image=shown", files=form(data, "b.dcm")).json()
    assert told["image"]["bits"] == 16
    assert told["image"]["encoding"] == "grey16"
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["image"]["png"]))))
    values = sent[..., 0].astype(np.uint16) * 256 + sent[..., 1]
    np.testing.assert_array_equal(values, read_image(data).array)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_over_its_full_range_gives_modality_units_and_the_window(client, photometric):
    grey = np.random.default_rng(2).integers(0, 4096, (40, 50)).astype(np.uint16)
    made = dicoms.dataset(grey, photometric, bits=12, WindowCenter=40, WindowWidth=400)
    made.RescaleSlope, made.RescaleIntercept, made.Modality = 2, -1024, "CT"
    told = client.post("/v1/predict?image=full", files=form(dicoms.save(made))).json()["image"]
    assert (told["scale"]["unit"], told["scale"]["center"], told["scale"]["width"]) == (
        "HU",
        40,
        400,
    )
    sent = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["png"])))).astype(float)
    samples = (sent[..., 0] * 256 + sent[..., 1]) / 65535
    black, white = told["scale"]["black"], told["scale"]["white"]
    np.testing.assert_allclose(black + samples * (white - black), grey * 2.0 - 1024, atol=0.1)
    assert (white < black) == (photometric == "MONOCHROME1")


def test_raw_maps_come_as_npz_and_a_picture_as_png(client, image):
    files = form(png(image))
    packed = client.post("/v1/predict", files=files, headers={"Accept": "application/x-npz"})
    assert packed.headers["content-type"] == "application/x-npz"
    with np.load(io.BytesIO(packed.content), allow_pickle=False) as arrays:
        np.testing.assert_allclose(arrays["evidence"], explain(Blocks(), image).evidence, atol=1e-6)
        assert list(arrays["classes"]) == ["plain", "bright"]
    drawn = client.post("/v1/predict?format=png&class=bright&contrast=true", files=files)
    assert drawn.headers["content-type"] == "image/png"
    assert min(Image.open(io.BytesIO(drawn.content)).size) > 100


def test_a_frame_of_several_is_named_and_the_answer_says_how_many_there_are(client):
    frames = np.random.default_rng(3).integers(0, 255, (3, 20, 20), np.uint8)
    data = dicoms.save(dicoms.dataset(frames, frames=3))
    unnamed = client.post("/v1/predict", files=form(data))
    assert unnamed.status_code == 422
    assert (unnamed.json()["code"], unnamed.json()["frames"]) == ("frame_needed", 3)
    beyond = client.post("/v1/predict?frame=4", files=form(data))
    assert (beyond.status_code, beyond.json()["code"]) == (422, "no_such_frame")
    second = client.post("/v1/predict?frame=2&maps=true", files=form(data)).json()
    prepared = Preprocessing.from_dict(Blocks().info.preprocessing)
    expected = Blocks().predict(prepared(read_image(np.ascontiguousarray(frames[1]))).pixels[None])[
        1
    ][0]
    np.testing.assert_allclose(maps_of(second), expected, atol=1e-6)


def test_a_picture_that_would_be_too_large_is_refused_and_the_rest_is_not():
    noise = np.random.default_rng(0).integers(0, 255, (100, 100), np.uint8)
    with client_of(picture=5000) as own:
        answer = own.post("/v1/predict?image=shown", files=form(png(noise)))
        assert (answer.status_code, answer.json()["code"]) == (413, "picture_too_large")
        assert own.post("/v1/predict", files=form(png(noise))).status_code == 200


def test_regions_are_listed_as_asked_and_from_the_threshold_that_is_given(client, image):
    files = form(png(image))

    def listed(query: str) -> list[tuple[bool, bool]]:
        told = client.post(f"/v1/predict?{query}", files=files).json()
        return [
            (said["own"]["regions"] is not None, said["contrast"]["regions"] is not None)
            for said in told["classes"]
        ]

    assert listed("regions=none") == [(False, False)] * 2
    assert listed("") == [(True, False)] * 2
    assert listed("regions=contrast") == [(False, True)] * 2
    high = client.post("/v1/predict?threshold=0.9", files=files).json()["classes"][1]["own"]
    assert high["region_threshold"] == 0.9
    assert all(region["peak"] >= 0.9 for region in high["regions"])


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("model=other", 404, "no_such_model"),
        ("format=png&class=none", 404, "no_such_class"),
        ("frame=0", 422, "bad_parameter"),
        ("threshold=-1", 422, "bad_parameter"),
        ("threshold=nan", 422, "bad_parameter"),
        ("regions=some", 422, "bad_parameter"),
    ],
)
def test_a_parameter_that_cannot_be_is_refused_in_a_sentence(client, image, query, status, code):
    answer = client.post(f"/v1/predict?{query}", files=form(png(image)))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["reason"].endswith(".")


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 422, "empty"),
        (b"hello", 415, "unsupported_format"),
        (b"\x1f\x8b" + bytes(400), 415, "unsupported_format"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), 422, "unreadable"),
        (bytes(128) + b"DICM" + bytes(50), 422, "unreadable"),
        (png(np.zeros((3000, 2000), np.uint8)), 413, "too_many_pixels"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(client, data, status, code):
    answer = client.post("/v1/predict", files=form(data, "secret-name.png"))
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["reason"].endswith(".")
    assert "secret" not in answer.text


def test_several_models_are_chosen_by_name(image):
    models = [serve_predictor("first", Blocks(), "1"), serve_predictor("second", Blocks(), "2")]
    with client_of(*models) as own:
        assert [m["name"] for m in own.get("/v1/models").json()["models"]] == ["first", "second"]
        files = form(png(image))
        assert own.post("/v1/predict", files=files).json()["model"]["digest"] == "1"
        chosen = own.post("/v1/predict?model=second", files=files).json()["model"]
        assert (chosen["name"], chosen["digest"]) == ("second", "2")


def test_images_of_the_folder_are_listed_and_run_by_id(tmp_path, image):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.png").write_bytes(png(image))
    with client_of(settings=Settings(folder=tmp_path, limits=LIMITS)) as own:
        told = own.get("/v1/folder").json()
        assert (told["total"], told["images"][0]["name"]) == (1, "inside/a.png")
        id_ = told["images"][0]["id"]
        answer = own.post(f"/v1/folder/{id_}/predict?maps=true")
        np.testing.assert_allclose(maps_of(answer.json()), explain(Blocks(), image).evidence)
        for bad in ("inside%2Fa.png", "..%2f..%2fetc%2fpasswd", "0" * 20):
            assert own.post(f"/v1/folder/{bad}/predict").status_code == 404


def test_without_a_folder_there_is_none(client):
    assert client.get("/v1/folder").json()["code"] == "no_folder"
    assert client.post("/v1/folder/abc/predict").json()["code"] == "no_folder"
