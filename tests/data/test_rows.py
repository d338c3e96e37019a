from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.rows import RawTable, read_rows
from softcam.data.spec import PartialSpec
from softcam.errors import InputError
from softcam.evidence.info import Task


def _read(folder: Path, text: str, partial: PartialSpec | None = None, **options: bool) -> RawTable:
    path = folder / "t.csv"
    path.write_text(text)
    return read_rows(path, partial or PartialSpec(), require_labels=options.get("require", True))


def test_cells_are_kept_in_the_tables_own_words(tmp_path: Path) -> None:
    (row,) = _read(tmp_path, "image,label,split,patient\n./a.png,1.0,Dev, p 1 \n").rows
    assert (row.row, row.where, row.image) == (2, "row 2", "./a.png")
    assert (row.label, row.split, row.patient) == ("1.0", "Dev", "p 1")


def test_a_label_column_beside_class_columns_is_not_used(tmp_path: Path) -> None:
    partial = PartialSpec(task=Task.MULTILABEL, classes=("x", "y"))
    raw = _read(tmp_path, "image,x,label,y\na.png,0,7,1\n", partial)
    assert raw.flag_columns == ("x", "y")
    assert raw.rows[0].flags == ("0", "1")
    assert raw.rows[0].label is None
    assert "'label'" in raw.notes[0]


def test_columns_without_use_are_counted(tmp_path: Path) -> None:
    header = ",".join(f"c{i}" for i in range(7))
    raw = _read(tmp_path, f"image,label,{header}\na.png,0{',1' * 7}\n")
    assert raw.notes == (
        "7 column(s) of the table are not used: 'c0', 'c1', 'c2', 'c3', 'c4' and 2 more",
    )


@pytest.mark.parametrize("task", [None, Task.BINARY])
def test_a_table_without_labels_is_told_both_ways_to_give_them(
    task: Task | None, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"no column 'label'.*task: multilabel"):
        _read(tmp_path, "image,x\na.png,0\n", PartialSpec(task=task))
    assert not _read(tmp_path, "image,x\na.png,0\n", require=False).labelled


def test_a_multilabel_table_without_class_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0/1 column per class"):
        _read(tmp_path, "image,patient\na.png,p\n", PartialSpec(task=Task.MULTILABEL))
