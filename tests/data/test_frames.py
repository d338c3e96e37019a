from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from softcam.data.frames import choose_frame, split_frame
from softcam.data.readers import read_record
from softcam.data.table import read_table
from softcam.errors import InputError
from tests.data import dicoms

WITHOUT_EXTRAS = """
import io, sys
sys.modules["pydicom"] = sys.modules["nibabel"] = None
import numpy as np
from PIL import Image
from softcam.data.readers import read_image
from softcam.errors import MissingExtraError
stream = io.BytesIO()
Image.new("L", (4, 3)).save(stream, "TIFF")
assert read_image(stream.getvalue()).size == (3, 4)
for head, extra in ((b"\\0" * 128 + b"DICM", "dicom"), (b"\\0" * 344 + b"n+1\\0", "nifti")):
    try:
        read_image(head + b"\\0" * 400)
    except MissingExtraError as error:
        assert f"pip install softcam[{extra}]" in str(error), error
    else:
        raise SystemExit("not refused")
"""


def test_a_frame_is_split_from_its_file(tmp_path: Path) -> None:
    assert split_frame("a/b.dcm#12") == (Path("a/b.dcm"), 12)
    for name in ("a.dcm", "a#.dcm", "a.dcm#", "a.dcm#x", "#3"):
        assert split_frame(name) == (Path(name), None)
    literal = tmp_path / "a.png#2"
    literal.touch()
    assert split_frame(literal) == (literal, None)


def test_a_frame_is_never_chosen_for_the_user() -> None:
    assert choose_frame("a", None, 1) == 0
    assert choose_frame("a", 3, 5) == 2
    assert choose_frame("a", 3, None) == 2
    for frame, count in ((None, 2), (None, None), (0, 3), (4, 3)):
        with pytest.raises(InputError):
            choose_frame("a", frame, count)


def _volume(folder: Path) -> np.ndarray:
    values = np.random.default_rng(6).integers(0, 256, (4, 9, 8), np.uint8)
    folder.mkdir(exist_ok=True)
    (folder / "oct.dcm").write_bytes(dicoms.save(dicoms.dataset(values, frames=4)))
    return values


def test_the_rows_of_a_table_name_frames(tmp_path: Path) -> None:
    values = _volume(tmp_path / "images")
    rows = [f"oct.dcm#{i + 1},{'ab'[i % 2]},train,p{i}" for i in range(4)]
    (tmp_path / "table.csv").write_text("image,label,split,patient\n" + "\n".join(rows) + "\n")
    (tmp_path / "boxes.csv").write_text("image,x,y,width,height\noct.dcm#2,1,2,3,4\n")
    table = read_table(tmp_path, make_splits=False)
    assert [record.name for record in table.records] == [f"oct.dcm#{i + 1}" for i in range(4)]
    for record, expected in zip(table.records, values, strict=True):
        np.testing.assert_array_equal(read_record(record).array, expected)
    assert table.annotations is not None
    assert table.annotations.has("oct.dcm#2")
    assert not table.annotations.has("oct.dcm#1")


def test_a_frame_named_twice_or_of_no_file_is_refused(tmp_path: Path) -> None:
    _volume(tmp_path / "images")
    (tmp_path / "images" / "link.dcm").symlink_to("oct.dcm")
    header = "image,label,split\n"
    for second, words in (("link.dcm#1", "already in row 2"), ("none.dcm#1", "does not exist")):
        (tmp_path / "table.csv").write_text(f"{header}oct.dcm#1,a,train\n{second},b,train\n")
        with pytest.raises(InputError, match=words):
            read_table(tmp_path)


def test_without_the_extras_other_files_are_read_and_these_name_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
