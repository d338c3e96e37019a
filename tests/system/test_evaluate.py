import json

import softcam as package
from tests.system.conftest import FAST


def test_a_table_is_measured_with_its_twin(trained, softcam, tmp_path):
    data, run = trained
    out = tmp_path / "out"
    result = softcam(
        "evaluate", run, data, "--twin", run / "twin", "--out", out, "--resamples", "50"
    )
    assert result.code == 0, result.err
    assert {p.name for p in out.iterdir()} == {"metrics.json", "predictions.csv", "report.html"}
    assert "Grad-CAM (twin)" in result.out
    page = (out / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page


def test_the_python_function_gives_the_same_numbers(trained, softcam, tmp_path):
    data, run = trained
    metrics = package.evaluate(package.load(run / "model.safetensors"), data, resamples=50)
    out = tmp_path / "out"
    assert softcam("evaluate", run, data, "--out", out, "--resamples", "50").code == 0
    written = json.loads((out / "metrics.json").read_text())
    found = json.loads(json.dumps(metrics.to_dict()))
    assert written["classification"]["intervals"] == found["classification"]["intervals"]
    assert written["localisation"] == found["localisation"]


def test_all_images_of_a_table_without_splits_are_measured(trained, softcam, tmp_path):
    data, run = trained
    lines = (data / "table.csv").read_text().splitlines()
    bare = tmp_path / "bare.csv"
    bare.write_text("\n".join(",".join(line.split(",")[:2]) for line in lines) + "\n")
    metrics = package.evaluate(
        run, bare, images=data / "images", dataset=data / "dataset.yaml", resamples=20
    )
    assert metrics.counts["images"] == 24


def test_a_table_split_by_the_training_is_measured_on_its_test_part(dots, softcam, tmp_path):
    lines = (dots / "table.csv").read_text().splitlines()
    bare = [",".join([*line.split(",")[:2], line.split(",")[3]]) for line in lines]
    (dots / "table.csv").write_text("\n".join(bare) + "\n")
    run = tmp_path / "run"
    assert softcam("train", dots, "--out", run, *FAST, "--seed", "3").code == 0
    result = softcam("evaluate", run, dots, "--out", tmp_path / "out")
    assert result.code == 0, result.err
    trained = (run / "predictions.csv").read_text()
    assert (tmp_path / "out" / "predictions.csv").read_text() == trained
    assert 1 < len(trained.splitlines()) < 24


def test_an_evaluation_replaces_only_a_former_one(trained, softcam, tmp_path):
    data, run = trained
    before = (run / "metrics.json").read_bytes()
    refused = softcam("evaluate", run, data, "--out", run)
    assert refused.code == 2
    assert "holds a run" in refused.err
    assert (run / "metrics.json").read_bytes() == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("keep")
    assert softcam("evaluate", run, data, "--out", tmp_path / "notes").code == 2
    for _ in range(2):
        again = softcam("evaluate", run, data, "--out", tmp_path / "out", "--resamples", "20")
        assert again.code == 0, again.err


def test_labels_mean_what_they_meant_in_training(dots, softcam, tmp_path):
    (dots / "dataset.yaml").write_text("classes: {0: spotless, 1: dotted}\npositive: spotless\n")
    run = tmp_path / "run"
    assert softcam("train", dots, "--out", run, *FAST).code == 0
    (dots / "dataset.yaml").unlink()
    out = tmp_path / "out"
    assert softcam("evaluate", run, dots, "--out", out, "--resamples", "20").code == 0
    assert (out / "predictions.csv").read_text() == (run / "predictions.csv").read_text()


def test_a_table_with_other_classes_is_refused(trained, softcam, tmp_path):
    data, run = trained
    text = (data / "table.csv").read_text().replace(",1,", ",sick,").replace(",0,", ",well,")
    (tmp_path / "other.csv").write_text(text)
    result = softcam("evaluate", run, tmp_path / "other.csv", "--images", data / "images")
    assert result.code == 2
