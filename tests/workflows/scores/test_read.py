import numpy as np
import pytest

from softcam.errors import InputError
from softcam.workflows.scores.read import read_scores
from softcam.workflows.scores.score import score_table
from softcam.workflows.scores.settings import ScoreSettings


@pytest.fixture
def scores(predictor, table, settings, tmp_path):
    score_table(predictor, table, tmp_path / "out", settings=settings)
    return read_scores(tmp_path / "out")


def test_rows_come_in_the_order_of_the_table_and_only_the_columns_asked_for(scores):
    rows = list(scores.rows(["image", "predicted"]))
    assert [row["image"] for row in rows] == [f"{number:03d}.png" for number in range(10)]
    assert {tuple(row) for row in rows} == {("image", "predicted")}
    assert (len(scores), scores.classes) == (10, ("plain", "bright"))


def test_an_image_is_the_same_by_its_number_and_in_turn(scores):
    for index, scored in enumerate(scores):
        assert scores[index].values == scored.values
        np.testing.assert_array_equal(scores[index].evidence, scored.evidence)
    with pytest.raises(IndexError, match="10 images, and no 10"):
        scores[10]
    with pytest.raises(InputError, match="no class 'dark'; its classes are plain, bright"):
        scores[0].class_evidence("dark")


def test_unfinished_scores_give_what_is_there(scores):
    (scores.folder / "blocks" / "000001.json").unlink()
    (scores.folder / "summary.json").unlink()
    part = read_scores(scores.folder)
    assert not part.finished
    assert [row["index"] for row in part.rows()] == [0, 1, 2, 3, 8, 9]
    assert len(list(part)) == 6
    with pytest.raises(InputError, match="image 5 is not scored yet"):
        part[5]


def test_without_maps_and_regions_the_rows_are_there(predictor, table, tmp_path):
    settings = ScoreSettings(block=4, maps=False, regions=False)
    score_table(predictor, table, tmp_path / "out", settings=settings)
    scores = read_scores(tmp_path / "out")
    assert not (tmp_path / "out" / "evidence.zarr").exists()
    assert scores.evidence is None
    assert list(scores.regions()) == []
    assert len(list(scores)) == 10
    with pytest.raises(InputError, match="hold no maps; make them with --maps"):
        scores[0].map("bright")


def test_a_damaged_part_is_named(scores):
    (scores.folder / "images" / "part-000000.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"part-000000\.parquet: is missing or damaged"):
        list(scores.rows())


def test_a_folder_without_scores_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no scores"):
        read_scores(tmp_path)
