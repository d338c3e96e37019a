from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from softcam.errors import InputError
from softcam.explanation.explain import explain
from softcam.files import locked
from softcam.workflows.scores.read import read_scores
from softcam.workflows.scores.score import score_table
from softcam.workflows.scores.settings import Effort, ScoreSettings
from softcam.workflows.scores.store import COMMAND
from tests.workflows.scores.small import BlockMeans, content_of, draw_table, times_of

ROOT = Path(__file__).parents[3]


def test_every_image_has_a_row_its_maps_and_its_regions_as_explain_gives_them(
    predictor, table, settings, tmp_path
):
    done = score_table(predictor, table, tmp_path / "out", settings=settings)
    assert (done.images, done.before, done.problems) == (10, 0, 0)
    scores = read_scores(tmp_path / "out")
    assert scores.finished
    regions = list(scores.regions())
    seen = 0
    for index, scored in enumerate(scores):
        values = scored.values
        alone = explain(BlockMeans(), values["path"])
        assert values["index"] == index
        assert (values["status"], values["problem"]) == ("ok", None)
        np.testing.assert_array_equal(scored.evidence, alone.evidence)
        for contrast in (False, True):
            np.testing.assert_array_equal(
                scored.map("bright", contrast=contrast), alone.map("bright", contrast=contrast)
            )
        assert scored.geometry == alone.geometry
        assert values["prob_bright"] == pytest.approx(alone.probabilities[1], abs=1e-12)
        assert (values["predicted"],) == alone.predicted
        assert values["label"] == ("bright" if index % 2 else "plain")
        for name in scores.classes:
            own = [r for r in regions if r["index"] == index and r["class"] == name]
            expected = alone.regions(name)
            assert [r["contribution"] for r in own] == [r.contribution for r in expected]
            assert [r["box_x"] for r in own] == [r.box[0] for r in expected]
            seen += len(own)
    assert seen == done.regions > 0


def test_the_mean_of_every_stored_map_is_its_logit(predictor, table, settings, tmp_path):
    done = score_table(predictor, table, tmp_path / "out", settings=settings)
    scores = read_scores(tmp_path / "out")
    means = np.asarray(scores.evidence[:]).mean(axis=(2, 3), dtype=np.float64)
    logits = np.array([[r["logit_plain"], r["logit_bright"]] for r in scores.rows()])
    np.testing.assert_allclose(means, logits, atol=1e-6)
    assert done.completeness_error < 1e-6
    assert scores.evidence.attrs["completeness_error"] == done.completeness_error


def test_a_killed_run_goes_on_to_the_same_bytes_without_doing_a_block_twice(tmp_path):
    table = draw_table(tmp_path / "data", 30)
    settings = ScoreSettings(block=4)
    score_table(BlockMeans(), table, tmp_path / "whole", settings=settings)

    broken = tmp_path / "broken"
    code = (
        "from tests.workflows.scores.small import BlockMeans\n"
        "from softcam.workflows.scores.score import score_table\n"
        "from softcam.workflows.scores.settings import Effort, ScoreSettings\n"
        f"score_table(BlockMeans(seconds=0.2), {str(table)!r}, {str(broken)!r},\n"
        "    settings=ScoreSettings(block=4), effort=Effort(batch_size=2))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not (broken / "blocks" / "000001.json").is_file():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not read_scores(broken).finished
    finished = sorted(path.stem for path in (broken / "blocks").glob("0*.json"))
    assert 2 <= len(finished) < 8
    before = times_of(broken)

    again = BlockMeans()
    done = score_table(again, table, broken, settings=settings, effort=Effort(batch_size=2))
    assert done.before == 4 * len(finished)
    # One image is asked for the digest of a predictor that came from no file.
    assert sum(again.batches) == 1 + 30 - done.before
    after = times_of(broken)
    kept = [name for name in before if any(block in name for block in finished)]
    assert len(kept) == 3 * len(finished)
    assert [name for name in kept if after[name] != before[name]] == []
    assert content_of(broken) == content_of(tmp_path / "whole")
    assert read_scores(broken).finished


def test_a_finished_run_is_not_done_again(predictor, table, settings, tmp_path):
    score_table(predictor, table, tmp_path / "out", settings=settings)
    before = times_of(tmp_path / "out" / "images")
    again = BlockMeans()
    done = score_table(again, table, tmp_path / "out", settings=settings)
    assert (done.before, sum(again.batches)) == (10, 1)
    assert times_of(tmp_path / "out" / "images") == before


@pytest.mark.parametrize("name", ["images/part-000001.parquet", "evidence.zarr/c.1.0.0.0"])
def test_a_block_that_was_damaged_or_lost_is_done_again_and_no_other(
    name, predictor, table, settings, tmp_path
):
    out = tmp_path / "out"
    score_table(predictor, table, out, settings=settings)
    whole = content_of(out)
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"x")):
        damage(out / name)
        again = BlockMeans()
        done = score_table(again, table, out, settings=settings)
        assert (done.before, sum(again.batches)) == (6, 1 + 4)
        assert content_of(out) == whole


def test_images_that_cannot_be_read_are_rows_with_their_problem_and_stop_nothing(
    predictor, table, settings, tmp_path
):
    (table.parent / "images" / "002.png").write_text("not an image")
    (table.parent / "images" / "009.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    done = score_table(predictor, table, tmp_path / "out", settings=settings)
    assert done.problems == 2
    assert "002.png" in done.listed[0]
    scores = read_scores(tmp_path / "out")
    assert [(row["index"], row["status"]) for row in scores.problems()] == [
        (2, "unreadable"),
        (9, "unreadable"),
    ]
    bad = scores[2]
    assert (bad.values["image"], bad.values["row"]) == ("002.png", 4)
    assert bad.values["logit_bright"] is None
    assert bad.values["predicted"] is None
    assert np.isnan(bad.evidence).all()
    with pytest.raises(InputError, match=r"002\.png: was not scored"):
        bad.map("bright")
    assert np.isfinite(scores[3].evidence).all()


def test_problems_are_kept_until_a_retry(predictor, table, settings, tmp_path):
    image, out = table.parent / "images" / "005.png", tmp_path / "out"
    good = image.read_bytes()
    image.write_text("not an image")
    assert score_table(predictor, table, out, settings=settings).problems == 1
    image.write_bytes(good)
    assert score_table(predictor, table, out, settings=settings).problems == 1
    again = BlockMeans()
    done = score_table(again, table, out, settings=settings, retry=True)
    assert (done.problems, sum(again.batches)) == (0, 1 + 4)
    score_table(BlockMeans(), table, tmp_path / "fresh", settings=settings)
    assert content_of(out) == content_of(tmp_path / "fresh")


def test_a_block_of_which_nothing_can_be_read_is_kept_too(predictor, table, settings, tmp_path):
    for number in range(4):
        (table.parent / "images" / f"{number:03d}.png").write_text("not an image")
    done = score_table(predictor, table, tmp_path / "out", settings=settings)
    assert done.problems == 4
    assert np.isnan(read_scores(tmp_path / "out").evidence[:4]).all()
    assert score_table(predictor, table, tmp_path / "out", settings=settings).before == 10


def test_evidence_that_does_not_add_up_is_a_problem_of_its_image(table, settings, tmp_path):
    class Broken(BlockMeans):
        def predict(self, batch):
            logits, evidence = super().predict(batch)
            if len(self.batches) > 2:
                evidence[0, 0, 0, 0] = np.nan
            return logits, evidence

    done = score_table(Broken(), table, tmp_path / "out", settings=settings)
    assert done.problems > 0
    assert "not finite" in done.listed[0]
    problem = next(read_scores(tmp_path / "out").problems())
    assert problem["status"] == "undefined"


def test_the_scores_of_another_model_table_or_setting_are_refused_and_left_alone(
    predictor, table, settings, tmp_path
):
    out = tmp_path / "out"
    score_table(predictor, table, out, settings=settings)
    before = content_of(out)
    other = draw_table(tmp_path / "other", 10)
    named = {
        "another model": (BlockMeans(classes=("plain", "dark")), table, settings),
        "another table": (predictor, other, settings),
        "tta none, not flips": (predictor, table, ScoreSettings(block=4, tta="flips")),
        "block 4, not 5": (predictor, table, ScoreSettings(block=5)),
        "maps True, not False": (predictor, table, ScoreSettings(block=4, maps=False)),
    }
    for what, (model, images, wanted) in named.items():
        with pytest.raises(InputError, match=what) as caught:
            score_table(model, images, out, settings=wanted)
        assert str(out) in str(caught.value)
        assert "choose another --out" in str(caught.value)
    table.write_text(table.read_text().replace("003.png,1", "003.png,0"))
    with pytest.raises(InputError, match="another table"):
        score_table(predictor, table, out, settings=settings)
    assert content_of(out) == before


def test_a_folder_with_other_files_is_refused_and_left_alone(predictor, table, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds other files \(thesis.txt\)"):
        score_table(predictor, table, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]


def test_two_processes_do_not_write_to_one_folder(predictor, table, settings, tmp_path):
    with (
        locked(tmp_path / "out", COMMAND),
        pytest.raises(InputError, match="another softcam scoring is at work"),
    ):
        score_table(predictor, table, tmp_path / "out", settings=settings)


def test_an_empty_table_and_a_name_twice_are_refused_with_nothing_written(predictor, tmp_path):
    table = draw_table(tmp_path / "data", 3)
    head, *rows = table.read_text().splitlines()
    out = tmp_path / "out"
    table.write_text(head + "\n")
    with pytest.raises(InputError, match="has a header but no rows"):
        score_table(predictor, table, out)
    table.write_text("\n".join([head, *rows, rows[1]]) + "\n")
    with pytest.raises(InputError, match=r"'001.png' is (already )?in"):
        score_table(predictor, table, out)
    assert not out.exists()


def test_a_folder_of_images_needs_no_table_and_a_split_may_be_chosen(predictor, table, tmp_path):
    done = score_table(predictor, table.parent / "images", tmp_path / "all")
    assert done.images == 10
    assert {row["label"] for row in read_scores(tmp_path / "all").rows()} == {None}
    done = score_table(predictor, table, tmp_path / "test", split="test")
    assert [row["image"] for row in read_scores(tmp_path / "test").rows()] == ["003.png", "007.png"]
    with pytest.raises(InputError, match="no image in the split 'val'"):
        score_table(predictor, table, tmp_path / "val", split="val")


def test_labels_that_are_no_classes_of_the_model_are_kept_in_the_table_s_own_words(
    predictor, tmp_path, caplog
):
    table = draw_table(tmp_path / "data", 3, label=lambda number: ("old", "new", "old")[number])
    with caplog.at_level("INFO"):
        score_table(predictor, table, tmp_path / "a")
    assert [row["label"] for row in read_scores(tmp_path / "a").rows()] == ["old", "new", "old"]
    assert "are no classes of the model" in caplog.text
    table = draw_table(tmp_path / "numbers", 3)
    (tmp_path / "turned.yaml").write_text("task: binary\nclasses: {1: bright, 0: plain}\n")
    for name, dataset in (("b", None), ("c", tmp_path / "turned.yaml")):
        score_table(predictor, table, tmp_path / name, dataset=dataset)
        labels = [row["label"] for row in read_scores(tmp_path / name).rows()]
        assert labels == ["plain", "bright", "plain"]


def test_batches_change_neither_rows_nor_maps_of_this_model(table, settings, tmp_path):
    for size in (1, 3, 16):
        effort = Effort(batch_size=size, workers=size)
        score_table(BlockMeans(), table, tmp_path / str(size), settings=settings, effort=effort)
    assert content_of(tmp_path / "1") == content_of(tmp_path / "3") == content_of(tmp_path / "16")


def test_views_are_averaged(predictor, table, tmp_path):
    wanted = ScoreSettings(block=4, tta="flips")
    score_table(predictor, table, tmp_path / "out", settings=wanted)
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["settings"]["tta"] == "flips"
    plain = BlockMeans()
    for row in read_scores(tmp_path / "out").rows(["path", "logit_bright"]):
        # The mean of block means does not depend on the direction one looks in.
        expected = explain(plain, row["path"]).logit("bright")
        assert row["logit_bright"] == pytest.approx(expected, abs=1e-6)


def test_without_its_libraries_one_sentence_says_how_to_get_them(
    predictor, table, tmp_path, monkeypatch
):
    from softcam.errors import MissingExtraError

    for module, extra in (("zarr", "scores"), ("pyarrow", "scores"), ("ray.data", "ray")):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)
            with pytest.raises(MissingExtraError, match=rf'pip install "softcam\[{extra}\]"'):
                score_table(predictor, table, tmp_path / "out", ray="local")
    assert not (tmp_path / "out").exists()


def test_a_device_that_is_not_there_is_refused(predictor):
    with pytest.raises(InputError, match="device: must be auto, cpu or cuda"):
        Effort(device="tpu")


def test_the_room_imports_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import softcam.workflows.scores.score, softcam.workflows.scores.read\n"
        "import softcam.workflows.scores.cluster, softcam.cli.predict, softcam.cli.explain\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
