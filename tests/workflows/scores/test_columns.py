import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from softcam.data.geometry import Geometry
from softcam.data.plane import PlaneGeometry
from softcam.data.records import Record
from softcam.data.steps import Crop, Resize
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.scores import columns
from softcam.workflows.scores.columns import Scored
from softcam.workflows.scores.names import Names

GEOMETRY = Geometry.of((40, 60), Crop(10, 0, 40, 40), Resize(20, 20))
PLANE = PlaneGeometry((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 1.0))


def scored(evidence, *, label=None, name="a.png", **more):
    maps = np.asarray(evidence, np.float32)
    record = Record(Path("/data") / name, name, label, "test", "p1", 2)
    return Scored(record, geometry=GEOMETRY, logits=maps.mean((1, 2)), evidence=maps, **more)


def table_of(items, names):
    rows = columns.image_rows(items, 5, names, names.classes)
    content = columns.parquet_bytes(rows, columns.image_schema(names), {"softcam.job": "x"})
    assert content == columns.parquet_bytes(rows, columns.image_schema(names), {"softcam.job": "x"})
    import io

    table = pq.read_table(io.BytesIO(content))
    assert table.schema.metadata[b"softcam.job"] == b"x"
    return table.to_pylist()


def test_a_row_holds_the_table_s_words_the_answer_and_where_the_maps_lie():
    names = Names(ModelInfo(task=Task.BINARY, classes=("no", "yes"), thresholds={"yes": 0.9}), 2)
    (row,) = table_of([scored([[[0, 2]], [[2, 4]]], label=1, plane=PLANE)], names)
    assert (row["index"], row["row"], row["image"], row["path"]) == (5, 2, "a.png", "/data/a.png")
    assert (row["patient"], row["split"], row["label"]) == ("p1", "test", "yes")
    assert (row["logit_no"], row["logit_yes"]) == (1.0, 3.0)
    assert row["prob_yes"] == pytest.approx(1 / (1 + math.exp(-2)))
    assert row["predicted"] == "no", "the threshold of the model file counts"
    assert (row["file_height"], row["file_width"]) == (40, 60)
    assert Geometry.from_dict(json.loads(row["geometry"])) == GEOMETRY
    assert json.loads(row["plane"]) == json.loads(json.dumps(PLANE.to_dict()))
    x, y = 7.0, 3.0
    np.testing.assert_allclose(
        GEOMETRY.to_file([[x, y]])[0],
        (row["x_scale"] * x + row["x_offset"], row["y_scale"] * y + row["y_offset"]),
    )


def test_a_one_logit_model_has_one_logit_and_two_probabilities():
    names = Names(ModelInfo(task=Task.BINARY, classes=("no", "yes")), 1)
    (row,) = table_of([scored([[[1, 3]]])], names)
    assert "logit_no" not in row
    assert row["logit_yes"] == 2.0
    assert row["prob_no"] + row["prob_yes"] == pytest.approx(1)
    assert (row["predicted"], row["label"]) == ("yes", None)


def test_several_labels_have_a_column_each_and_are_written_as_in_predictions_csv():
    names = Names(ModelInfo(task=Task.MULTILABEL, classes=("a", "b", "c")), 3)
    (row,) = table_of([scored([[[1]], [[-1]], [[1]]], label=(1.0, 0.0, math.nan))], names)
    assert (row["predicted"], row["label"]) == ("a|c", "a|?c")
    assert (row["called_a"], row["called_b"], row["called_c"]) == (True, False, True)


def test_what_could_not_be_scored_is_null():
    names = Names(ModelInfo(task=Task.BINARY, classes=("no", "yes")), 2)
    record = Record(Path("/data/b.png"), "b.png", 0, None, "b.png", 3)
    bad = Scored(record, columns.UNREADABLE, "b.png is an empty file.")
    first, second = table_of([scored([[[0]], [[2]]]), bad], names)
    assert first["problem"] is None
    assert (second["status"], second["problem"]) == ("unreadable", "b.png is an empty file.")
    said = {"index", "row", "image", "path", "patient", "label", "status", "problem"}
    assert {name for name, value in second.items() if value is not None} == said
    (alone,) = table_of([bad], names)
    assert alone["index"] == 5


def test_regions_come_in_order_with_their_places_and_none_where_nothing_was_scored():
    names = Names(ModelInfo(task=Task.BINARY, classes=("no", "yes")), 2)
    maps = np.zeros((2, 2, 2))
    maps[1, 0, 0], maps[1, 1, 1] = 3.0, 4.0
    bad = Scored(Record(Path("/b"), "b", None, None, "b", 3), columns.UNREADABLE, "gone")
    rows = columns.region_rows([bad, scored(maps)], 8, names, contrast=False, threshold=2.5)
    assert [(r["index"], r["class"], r["region"], r["cells"]) for r in rows] == [(9, "yes", 0, 2)]
    assert rows[0]["contribution"] == 7 / 4
    assert rows[0]["peak"] == 4.0
    assert (rows[0]["box_x"], rows[0]["box_width"]) == (10.0, 40.0)
    corners = [coordinate for loop in rows[0]["outline"] for coordinate in loop]
    assert len(corners) % 2 == 0
    assert min(corners[::2]) == 10.0
    content = columns.parquet_bytes(rows, columns.region_schema(), {})
    import io

    assert pq.read_table(io.BytesIO(content)).to_pylist() == rows
