from __future__ import annotations

import os

import pytest

from softcam.web.folder import Folder
from softcam.web.refusals import Refusal


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "served"
    (root / "b").mkdir(parents=True)
    (root / ".hidden").mkdir()
    for name in ("a.PNG", "b/c.dcm", "notes.txt", ".hidden/d.png", ".e.png"):
        (root / name).write_bytes(name.encode())
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "linked").symlink_to(tmp_path)
    os.mkfifo(root / "pipe.png")
    return Folder(root, 100)


def test_only_images_inside_are_listed_and_links_are_not_followed(folder):
    assert [(entry.name, entry.bytes) for entry in folder.entries()] == [
        ("a.PNG", 5),
        ("b/c.dcm", 7),
    ]


def test_an_image_is_read_by_its_id_and_by_nothing_else(folder):
    first, second = folder.entries()
    assert folder.read(first.id) == b"a.PNG"
    assert folder.read(second.id) == b"b/c.dcm"
    for bad in ("a.PNG", "../secret.png", "", first.id[:-1], str(second.path), "\0"):
        with pytest.raises(Refusal) as raised:
            folder.read(bad)
        assert raised.value.status == 404


def test_a_file_that_becomes_a_link_or_goes_is_not_read(folder, tmp_path):
    first, second = folder.entries()
    first.path.unlink()
    first.path.symlink_to(tmp_path / "secret.png")
    second.path.unlink()
    for entry in (first, second):
        with pytest.raises(Refusal) as raised:
            folder.read(entry.id)
        assert raised.value.status == 404


def test_a_file_that_is_too_large_is_not_read(folder):
    entry = folder.entries()[0]
    entry.path.write_bytes(bytes(101))
    with pytest.raises(Refusal) as raised:
        folder.read(entry.id)
    assert raised.value.status == 413


def test_ids_stay_and_new_images_come_after_some_seconds(folder, monkeypatch):
    before = {entry.name: entry.id for entry in folder.entries()}
    (folder._root / "0.png").write_bytes(b"new")
    assert len(folder.entries()) == 2
    folder._scanned = float("-inf")
    after = {entry.name: entry.id for entry in folder.entries()}
    assert len(after) == 3 and before.items() < after.items()


def test_the_listing_comes_in_pages(folder):
    from softcam.web.settings import Settings
    from tests.web.conftest import LIMITS, client_of

    with client_of(settings=Settings(folder=folder._root, limits=LIMITS)) as own:
        second = own.get("/v1/folder?offset=1&limit=1").json()
        assert (second["total"], [item["name"] for item in second["images"]]) == (2, ["b/c.dcm"])
        assert own.get("/v1/folder?limit=0").status_code == 422
