from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.csvfile import CsvFile, read_csv
from softcam.errors import InputError


def _read(folder: Path, data: str | bytes) -> CsvFile:
    path = folder / "t.csv"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_csv(path, ("image",))


def test_rows_know_the_line_they_start_on(tmp_path: Path) -> None:
    file = _read(tmp_path, 'Image,note\na,"two\nlines"\n\nb, x \n')
    assert file.columns == ("image", "note")
    assert [row.line for row in file.rows] == [2, 5]
    assert file.rows[0].cells == {"image": "a", "note": "two\nlines"}
    assert file.rows[1].cells == {"image": "b", "note": "x"}


def test_commas_stay_the_separator_when_both_are_in_the_header(tmp_path: Path) -> None:
    assert _read(tmp_path, "image,a;b\nx,1\n").columns == ("image", "a;b")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("image,Image\na,b\n", "two columns called 'image'"),
        ("image,b\na\n", "row 2: it has 1 cells where the header has 2"),
        ("image,b\na,b,c\n", "row 2: it has 3 cells"),
        ('image,b\na,"b\n', "row 2: it is not valid CSV"),
        ("image,b\nä,b\n".encode("latin-1"), "not UTF-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x01", "not UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(data: str | bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words) as caught:
        _read(tmp_path, data)
    assert "t.csv" in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_csv(tmp_path / "none.csv", ())
    with pytest.raises(InputError, match="cannot be opened"):
        read_csv(tmp_path, ())


def test_a_row_ends_at_line_ends_only(tmp_path: Path) -> None:
    file = _read(tmp_path, "image,note\na.png,one\x0cpage\u2028here\nb.png,x\n")
    assert [row.cells["note"] for row in file.rows] == ["one\x0cpage\u2028here", "x"]


@pytest.mark.timeout(20)
def test_a_million_columns_take_no_minutes(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(1_000_000))
    assert len(_read(tmp_path, f"image,{names}\n").columns) == 1_000_001
    with pytest.raises(InputError, match="two columns called 'c5'"):
        _read(tmp_path, f"image,c5,{names}\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (f"image\n{'a' * 5000}\n", "row 2: it has a cell of 5000 characters"),
        (f"image,{'a' * 5000}\nx,y\n", "has a column called"),
        ("image\tlabel\nx\ty\n", r"a column called 'image\tlabel'"),
        ("\x1b[31mimage\nx\n", "a column called"),
    ],
)
def test_what_is_too_long_or_not_printable_is_refused_in_a_line(
    data: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        _read(tmp_path, data)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
