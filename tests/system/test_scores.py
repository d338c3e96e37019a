"""Whole tables through `softcam predict` and `softcam explain`."""

from __future__ import annotations

import pytest

from softcam.workflows.explain import is_table

pytest.importorskip("pyarrow")
pytest.importorskip("zarr")


def test_a_table_is_predicted_explained_and_gone_on_with(trained, softcam, tmp_path):
    from softcam.workflows.scores.read import read_scores

    data, run = trained
    result = softcam("predict", run, data, "--out", tmp_path / "a", "--split", "test")
    assert result.code == 0, result.err
    assert "Scored: 6 of 6 images" in result.out
    short = read_scores(tmp_path / "a")
    assert short.evidence is None
    assert not (tmp_path / "a" / "regions").exists()

    again = ("explain", run, data / "table.csv", "--out", tmp_path / "b", "--split", "test")
    result = softcam(*again, "--block-size", "4")
    assert result.code == 0, result.err
    whole = read_scores(tmp_path / "b")
    for one, other in zip(short.rows(), whole.rows(), strict=True):
        assert one["image"] == other["image"]
        assert one["prob_dotted"] == pytest.approx(other["prob_dotted"], abs=1e-5)
    assert whole.evidence.shape[:2] == (6, 2)
    result = softcam(*again, "--block-size", "4")
    assert result.code == 0, result.err
    assert "Scored: 6 of 6 images, 6 of them before" in result.out
    result = softcam(*again)
    assert result.code == 2
    assert "its scores were made with block 4, not 128; choose another --out" in result.err


def test_images_that_cannot_be_read_are_listed_and_end_with_2(trained, softcam, tmp_path):
    data, run = trained
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "1.png").write_bytes((data / "images" / "1.png").read_bytes())
    (folder / "2.png").write_text("not an image")
    arguments = ("predict", run, folder, "--out", tmp_path / "out")
    result = softcam(*arguments)
    assert result.code == 2
    assert "1 of 2 images could not be scored" in result.err
    assert "--retry" in result.err
    assert "2.png" in result.out
    assert len(result.err.strip().splitlines()) == 1
    (folder / "2.png").write_bytes((data / "images" / "2.png").read_bytes())
    result = softcam(*arguments, "--retry")
    assert result.code == 0, result.err


def test_ctrl_c_keeps_what_was_scored_and_says_how_to_go_on(
    trained, softcam, tmp_path, monkeypatch
):
    from softcam.workflows.scores.scorer import Scorer

    data, run = trained
    predict, calls = Scorer.predict, []

    def interrupted(self, prepared):
        calls.append(len(prepared))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(self, prepared)

    arguments = ("predict", run, data, "--out", tmp_path / "out", "--block-size", "4")
    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "predict", interrupted)
        result = softcam(*arguments)
    assert result.code == 130
    assert "What was scored is kept; go on with the same command." in result.err
    result = softcam(*arguments)
    assert result.code == 0, result.err
    assert "Scored: 24 of 24 images, 8 of them before" in result.out


def test_a_black_box_has_no_evidence_to_score(trained, softcam, tmp_path):
    data, run = trained
    result = softcam("predict", run / "twin", data, "--out", tmp_path / "out")
    assert result.code == 2
    assert "is a black box" in result.err
    assert not (tmp_path / "out").exists()


def test_a_table_and_images_do_not_go_together(trained, softcam, tmp_path):
    data, run = trained
    image = data / "images" / "1.png"
    result = softcam("explain", run, data, image, "--table", "--out", tmp_path / "out")
    assert result.code == 2
    assert "--table takes one table, not 2 arguments" in result.err
    assert not (tmp_path / "out").exists()


def test_what_counts_as_a_table(tmp_path):
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "a.png").touch()
    (tmp_path / "classes" / "sick").mkdir(parents=True)
    (tmp_path / "classes" / "sick" / "a.png").touch()
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "table.csv").touch()
    (tmp_path / "both" / "a.png").touch()
    assert is_table(tmp_path / "both")
    assert is_table(tmp_path / "both" / "table.csv")
    assert is_table(tmp_path / "nowhere.csv")
    assert is_table(tmp_path / "classes")
    assert not is_table(tmp_path / "flat")
    assert not is_table(tmp_path / "flat" / "a.png")
