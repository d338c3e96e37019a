from __future__ import annotations

from pathlib import Path

import pytest

from softcam.data.imagefolder import ImageFolder, is_image
from softcam.errors import InputError
from tests.data import files


def test_names_are_relative_and_tidy(tmp_path: Path) -> None:
    files.image(tmp_path / "x" / "a.png")
    folder = ImageFolder(tmp_path)
    for written in (
        "x/a.png",
        "./x//a.png",
        f"../{tmp_path.name}/x/a.png",
        str(tmp_path / "x/a.png"),
    ):
        assert folder.locate(written) == ("x/a.png", tmp_path / "x" / "a.png")
    assert folder.holds("x/a.png")
    assert not folder.holds("x/b.png")
    assert not folder.holds("../a.png")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", "empty"),
        ("a\0.png", "NUL"),
        ("..", "outside"),
        (".", "not a file"),
        ("a.png/b.png", "does not exist"),
        ("n" * 300, "cannot be opened"),
        ("loop", "cannot be opened"),
    ],
)
def test_odd_names_are_refused(written: str, words: str, tmp_path: Path) -> None:
    files.image(tmp_path / "a.png")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=words):
        ImageFolder(tmp_path).locate(written)


def test_a_folder_whose_name_only_begins_alike_is_outside(tmp_path: Path) -> None:
    files.image(tmp_path / "set-secret" / "a.png")
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match="outside"):
        ImageFolder(tmp_path / "set").locate("../set-secret/a.png")


def test_dots_in_a_name_are_no_way_out(tmp_path: Path) -> None:
    files.image(tmp_path / "..a.png")
    assert ImageFolder(tmp_path).locate("..a.png")[0] == "..a.png"


def test_images_are_known_by_their_suffix() -> None:
    names = ("a.png", "a.JPG", "a.jpeg", "a.tif", "a.dcm", "a", ".a.png", "png")
    assert [is_image(Path(name)) for name in names] == [True] * 5 + [False] * 3
