from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from softcam.data import cache as module
from softcam.data.cache import PreparedCache
from softcam.data.cachefile import INDEX, read_rows
from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Record
from softcam.errors import InputError
from tests.data.cached import SMALL, age, assert_right, decoded, fill, parts, uncached, write_images
from tests.data.importers.replicas import retina


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    """Six images, 8 and 16 bits, grey and colour."""
    return write_images(tmp_path / "images", 6)


@pytest.fixture(autouse=True)
def _old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can set a file's change time, so that the tests do not wait for it."""
    monkeypatch.setattr(module, "_TICK_NS", 0)


def test_the_same_arrays_come_back_as_without_a_cache(
    tmp_path: Path, records: list[Record]
) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(cache, records) == [r.name for r in records]
    assert_right(cache, records, fill(cache, records))
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(again, records) == []
    assert_right(again, records, fill(again, records))
    assert {r.dtype for r in map(uncached, records)} == {np.dtype("u1"), np.dtype("u2")}


def test_what_is_known_is_found_without_reading_the_file(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    again = PreparedCache(tmp_path / "cache", SMALL)
    monkeypatch.setattr(module, "open_file", None)  # to call it would fail
    assert_right(again, records, fill(again, records))


def test_a_changed_file_is_prepared_again_even_with_the_same_length_and_time(
    tmp_path: Path, records: list[Record]
) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    before = records[0].image.read_bytes()
    Image.fromarray(np.full((20, 30, 3), 7, np.uint8)).save(records[0].image)
    new = records[0].image.read_bytes()
    records[0].image.write_bytes(new + b"\0" * (len(before) - len(new)))
    age(records[0].image)
    assert records[0].image.stat().st_size == len(before)
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(again, records) == ["0.png"]
    assert_right(again, records, fill(again, records))


def test_a_file_of_this_moment_is_not_trusted_by_its_time(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    cache = PreparedCache(tmp_path / "cache", SMALL)
    fill(cache, records)
    assert parts(cache, ".stamps")[0].stat().st_size == 16
    assert decoded(PreparedCache(tmp_path / "cache", SMALL), records) == []  # by their content


def test_a_moved_or_renamed_file_finds_its_image_again(
    tmp_path: Path, records: list[Record]
) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    shutil.move(tmp_path / "images", tmp_path / "elsewhere")
    moved = [
        Record(tmp_path / "elsewhere" / r.name, r.name, 0, None, r.patient, r.row) for r in records
    ]
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(again, moved) == []
    assert_right(again, moved, fill(again, moved))


@pytest.mark.parametrize(
    "other",
    [
        Preprocessing((12, 18)),
        Preprocessing((12, 16), resize="stretch"),
        Preprocessing((12, 16), resize="crop"),
        Preprocessing((12, 16), channels="grey"),
        Preprocessing((12, 16), trim="circle"),
        Preprocessing((12, 16), pixel_aspect="ignore"),
    ],
)
def test_other_settings_find_nothing(
    tmp_path: Path, records: list[Record], other: Preprocessing
) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    cache = PreparedCache(tmp_path / "cache", other)
    assert len(cache) == 0
    assert_right(cache, records, fill(cache, records))


def test_a_photograph_cut_to_its_circle_is_kept_cut(tmp_path: Path) -> None:
    path = tmp_path / "retina.png"
    Image.fromarray(retina(300, 200, (150.0, 90.0), 80.0)).save(path)
    record = Record(path, path.name, 0, "train", "p", 2)
    found = {}
    for trim in ("none", "circle"):
        settings = Preprocessing((12, 16), trim=trim)  # type: ignore[arg-type]
        cache = PreparedCache(tmp_path / "cache", settings)
        (number,) = fill(cache, [record])
        found[trim] = cache.read(number)
        np.testing.assert_array_equal(found[trim], uncached(record, settings))
        assert cache.size(number) == (200, 300)
    assert not np.array_equal(found["none"], found["circle"])


def test_other_statistics_find_the_same_images(tmp_path: Path, records: list[Record]) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    other = Preprocessing((12, 16), mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    assert decoded(PreparedCache(tmp_path / "cache", other), records) == []


def test_another_reader_or_library_finds_nothing(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    fill(cache, records)
    assert json.loads((cache.folder / "settings.json").read_text()) == cache.settings
    monkeypatch.setattr(module, "READER", module.READER + 1)
    assert len(PreparedCache(tmp_path / "cache", SMALL)) == 0
    monkeypatch.undo()
    version = module.metadata.version
    monkeypatch.setattr(
        module.metadata, "version", lambda name: "0.1" if name == "pillow" else version(name)
    )
    assert len(PreparedCache(tmp_path / "cache", SMALL)) == 0


def test_a_deleted_folder_is_built_again(tmp_path: Path, records: list[Record]) -> None:
    fill(PreparedCache(tmp_path / "cache", SMALL), records)
    shutil.rmtree(tmp_path / "cache")
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(again, records) == [r.name for r in records]
    assert_right(again, records, fill(again, records))


def test_a_folder_deleted_in_the_middle_of_a_run_costs_time_only(
    tmp_path: Path, records: list[Record]
) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    fill(cache, records)
    for _ in range(2):
        cache = PreparedCache(tmp_path / "cache", SMALL)
        numbers = fill(cache, records)
        for _ in range(2):
            shutil.rmtree(tmp_path / "cache")
            for place, record in enumerate(records):
                array, numbers[place] = cache.get(numbers[place], record)
                np.testing.assert_array_equal(array, uncached(record))


@pytest.mark.parametrize("suffix", [".pixels", ".index", ".stamps"])
@pytest.mark.parametrize("damage", ["cut", "emptied", "overwritten", "removed", "garbage"])
def test_a_damaged_cache_is_noticed_and_mended(
    suffix: str,
    damage: str,
    tmp_path: Path,
    records: list[Record],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = PreparedCache(tmp_path / "cache", SMALL)
    fill(first, records)
    (path,) = parts(first, suffix)
    data = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        middle = len(data) // 2
        changed = bytes(255 - byte for byte in data[middle : middle + 64])
        path.write_bytes(
            {
                "cut": data[: len(data) // 2],
                "emptied": b"",
                "overwritten": data[:middle] + changed + data[middle + 64 :],
                "garbage": np.random.default_rng(0).bytes(len(data)),
            }[damage]
        )
    cache = PreparedCache(tmp_path / "cache", SMALL)
    numbers = fill(cache, records)
    for place, record in enumerate(records):
        array, numbers[place] = cache.get(numbers[place], record)
        assert array.dtype == uncached(record).dtype
        np.testing.assert_array_equal(array, uncached(record))
    if suffix == ".pixels" or (suffix == ".index" and damage in ("overwritten", "garbage")):
        assert "damaged" in caplog.text
    mended = PreparedCache(tmp_path / "cache", SMALL)
    assert_right(mended, records, fill(mended, records))


def test_rows_that_lead_out_of_the_file_are_not_believed(
    tmp_path: Path, records: list[Record], caplog: pytest.LogCaptureFixture
) -> None:
    first = PreparedCache(tmp_path / "cache", SMALL)
    fill(first, records)
    (path,) = parts(first, ".index")
    rows, bad = read_rows(path, INDEX)
    assert bad == 0
    rows = rows.copy()
    rows["offset"][0] = 2**63
    rows["offset"][1] = 2**64 - 8
    rows["bytes"][2] = 4
    for row in rows:
        row["check"] = crc32(row.tobytes()[:-4])
    path.write_bytes(path.read_bytes()[:16] + rows.tobytes())
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert "3 image(s) of the cache are damaged" in caplog.text
    assert len(again) == 3
    assert_right(again, records, fill(again, records))


def test_pixels_cut_while_they_are_in_use_are_seen(tmp_path: Path, records: list[Record]) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    numbers = fill(cache, records)
    assert cache.read(numbers[0]) is not None  # the file is open now
    os.truncate(parts(cache, ".pixels")[0], 10)
    assert cache.read(numbers[0]) is None


def test_a_disk_without_room_is_named_before_work_begins(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = PreparedCache(tmp_path / "cache", Preprocessing((4096, 4096)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=100 * 2**20))
    with pytest.raises(InputError, match=r"needs 0\.3 GiB for 6 images .* 0\.1 GiB free"):
        cache.check_room(records)
    cache.check_room(records[:2])


def test_a_disk_that_fills_up_is_named(
    tmp_path: Path, records: list[Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cache = PreparedCache(tmp_path / "cache", SMALL)
    monkeypatch.setattr(module.Writer, "add", full)
    with pytest.raises(InputError, match="No space left on device"):
        fill(cache, records)


def test_a_bad_image_is_named_with_its_row(tmp_path: Path, records: list[Record]) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    records[1].image.write_text("text")
    with pytest.raises(InputError, match=r"Row 3 of the table: .*1\.png is not a PNG"):
        cache.look(records[1])
    records[1].image.unlink()
    with pytest.raises(InputError, match=r"Row 3 of the table: .*1\.png does not exist"):
        cache.look(records[1])


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used as a cache"):
        PreparedCache(tmp_path / "file", SMALL)
