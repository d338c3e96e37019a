import json
import shutil

import pytest


def test_a_run_is_compared_with_its_twin(trained, softcam, tmp_path):
    _, run = trained
    out = tmp_path / "out"
    result = softcam("compare", run, run / "twin", "--out", out, "--resamples", "50")
    assert result.code == 0, result.err
    assert "AUC (ROC)" in result.out
    assert "p (DeLong)" in result.out
    assert "6 images" in result.out
    document = json.loads((out / "compare.json").read_text())
    for name, folder in (("run", run), ("run/twin", run / "twin")):
        own = json.loads((folder / "metrics.json").read_text())["classification"]["intervals"]
        for key, interval in own.items():
            found = document["measures"][key][name]["value"]
            assert found == pytest.approx(interval["value"], abs=1e-5), (name, key)


def test_a_table_is_predicted_anew(trained, softcam, tmp_path):
    data, run = trained
    first = softcam("compare", run, run / "twin", "--out", tmp_path / "a", "--resamples", "20")
    second = softcam(
        "compare", f"A={run}", f"B={run / 'twin'}", "--table", data, "--out", tmp_path / "b",
        "--resamples", "20", "--reference", "B", "--measure", "auc", "--measure", "loss",
    )  # fmt: skip
    assert (first.code, second.code) == (0, 0), first.err + second.err
    read = json.loads((tmp_path / "a" / "compare.json").read_text())["measures"]
    again = json.loads((tmp_path / "b" / "compare.json").read_text())["measures"]
    assert list(again) == ["auc", "loss"]
    for key in again:
        assert again[key]["A"]["value"] == pytest.approx(read[key]["run"]["value"], abs=1e-4)
        assert again[key]["A"]["difference"]["value"] == pytest.approx(
            -read[key]["run/twin"]["difference"]["value"], abs=1e-4
        )
    val = softcam(
        "compare", run, run / "twin", "--table", data, "--split", "val", "--out", tmp_path / "c",
        "--resamples", "20",
    )  # fmt: skip
    assert val.code == 0, val.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{run}"], "at least two runs"),
        (["{run}", "{run}"], "given twice"),
        (["{run}", "nowhere"], "no such run folder"),
        (["{run}", "{run}/twin", "--reference", "other"], "none of the runs"),
        (["{run}", "{run}/twin", "--split", "later"], "no later images"),
        (["{run}", "{run}/twin", "--measure", "dice"], "no such measure"),
        (["{run}", "{run}/twin", "--out", "{run}"], "holds a run"),
        (["{run}", "{run}/twin", "--table", "nowhere.csv"], "nowhere.csv"),
        (["{run}", "{run}/twin", "--resamples", "1"], "--resamples"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    arguments, message, trained, softcam, tmp_path
):
    _, run = trained
    given = [text.format(run=run) for text in arguments]
    out = [] if "--out" in given else ["--out", tmp_path / "out"]
    result = softcam("compare", *given, *out)
    assert result.code == 2, result.out + result.err
    assert message in result.err
    assert "Traceback" not in result.err
    assert not (tmp_path / "out").exists()


def test_seeds_are_printed_with_their_spread(trained, softcam, tmp_path):
    _, run = trained
    shutil.copytree(run, tmp_path / "other")
    path = tmp_path / "other" / "config.yaml"
    assert "seed: 0\n" in path.read_text()
    path.write_text(path.read_text().replace("seed: 0\n", "seed: 1\n"))
    result = softcam(
        "compare", run / "twin", f"Dense={run}", tmp_path / "other", "--out", tmp_path / "out",
        "--measure", "auc", "--resamples", "20",
    )  # fmt: skip
    assert result.code == 0, result.err
    assert "Dense (2 seeds)" in result.out
    assert "SD over seeds" in result.out
    assert "for these" in result.out


def test_an_unfinished_run_is_refused(trained, softcam, tmp_path):
    _, run = trained
    shutil.copytree(run, tmp_path / "half")
    (tmp_path / "half" / "metrics.json").unlink()
    result = softcam("compare", run, tmp_path / "half", "--out", tmp_path / "out")
    assert result.code == 2
    assert "unfinished run" in result.err
    assert not (tmp_path / "out").exists()
