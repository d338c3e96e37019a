import hashlib
import json

import pytest

from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.training.processes import Processes
from softcam.training.provenance import (
    code_version,
    data_checksums,
    keep_data,
    note_environment,
)
from tests.training.children import draw


@pytest.fixture
def data(tmp_path):
    draw(tmp_path / "data", train=6, val=3)
    return tmp_path / "data"


def found(data):
    return data_checksums(read_table(data))


def test_checksums_are_of_the_bytes_of_table_and_images(data):
    (data / "dataset.yaml").write_text("classes: [a, b]\n")
    checksums = found(data)
    for name, path in (("table", "table.csv"), ("dataset", "dataset.yaml")):
        assert checksums[name] == hashlib.sha256((data / path).read_bytes()).hexdigest()
    assert checksums["images"] == {
        f"{n}.png": hashlib.sha256((data / f"{n}.png").read_bytes()).hexdigest() for n in range(9)
    }


def _edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


CHANGES = {
    "a label": (lambda d: _edit(d / "table.csv", "0.png,0", "0.png,1"), "no longer the table"),
    "a split": (lambda d: _edit(d / "table.csv", "5.png,0,train", "5.png,0,val"), "no longer the"),
    "a row": (lambda d: _edit(d / "table.csv", "1.png,1,train\n", ""), "no longer the table"),
    "a comment": (lambda d: _edit(d / "table.csv", "0.png", " 0.png"), "no longer the table"),
    "its yaml": (lambda d: (d / "dataset.yaml").write_text("classes: [a, b]"), "no longer"),
    "an image": (lambda d: (d / "3.png").write_bytes((d / "4.png").read_bytes()), r"image 3\.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_data_that_changed_since_the_start_are_refused(change, data, tmp_path):
    keep_data(tmp_path, data, found(data))
    before = (tmp_path / "data.json").read_bytes()
    keep_data(tmp_path, data, found(data))
    edit, message = CHANGES[change]
    edit(data)
    with pytest.raises(InputError, match=message):
        keep_data(tmp_path, data, found(data))
    assert (tmp_path / "data.json").read_bytes() == before


def test_class_folders_have_no_table_but_rows(tmp_path):
    for name in ("plain", "dotted"):
        draw(tmp_path / "data" / name, train=3, val=0)
        (tmp_path / "data" / name / "table.csv").unlink()
    run = tmp_path / "run"
    run.mkdir()
    keep_data(run, tmp_path / "data", found(tmp_path / "data"))
    assert found(tmp_path / "data")["table"] is None
    (tmp_path / "data" / "plain" / "0.png").rename(tmp_path / "data" / "dotted" / "9.png")
    with pytest.raises(InputError, match="no longer the table"):
        keep_data(run, tmp_path / "data", found(tmp_path / "data"))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"images": 3}'])
def test_damaged_checksums_are_refused_in_a_sentence(content, data, tmp_path):
    (tmp_path / "data.json").write_text(content)
    with pytest.raises(InputError, match=r"data\.json: is damaged"):
        keep_data(tmp_path, data, found(data))


def test_every_start_is_noted_with_code_and_machine(tmp_path):
    note_environment(tmp_path, Processes(), "cpu")
    note_environment(tmp_path, Processes(0, 4, 0, 2, 1), "cpu")
    starts = json.loads((tmp_path / "environment.json").read_text())["starts"]
    places = [(start["processes"], start["machines"], start["restarts"]) for start in starts]
    assert places == [(1, 1, 0), (4, 2, 1)]
    for start in starts:
        assert start["code"] == code_version()
        assert {"python", "torch", "lightning"} <= start["versions"].keys()
