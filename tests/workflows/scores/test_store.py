import errno
import json
import os

import pytest

from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.scores.job import Job, Source
from softcam.workflows.scores.scorer import BlockFiles
from softcam.workflows.scores.settings import ScoreSettings
from softcam.workflows.scores.store import SUMMARY, ScoreStore, check_folder
from tests.workflows.scores.small import content_of

FACTS = {"images": 2, "problems": 1, "listed": ["b is bad."], "regions": 3}


@pytest.fixture
def store(tmp_path):
    info = ModelInfo(task=Task.BINARY, classes=("no", "yes"))
    model, table = Source("model.safetensors", "m" * 64), Source("table.csv", "t" * 64)
    job = Job(model, table, 4, ScoreSettings(block=2), info, (2, 1, 1), ("no", "yes"))
    store = ScoreStore(tmp_path / "out", job)
    store.start()
    return store


def block(number, error=0.0):
    names = (
        "images/part-{:06d}.parquet",
        "regions/part-{:06d}.parquet",
        "evidence.zarr/c.{}.0.0.0",
    )
    files = {name.format(number): f"{name} {number}".encode() for name in names}
    return BlockFiles(number, files, {**FACTS, "completeness_error": error})


def test_the_job_is_read_back_as_it_was_written(store):
    assert Job.read(store.folder) == store.job
    assert Job.read(store.folder).digest == store.job.digest
    assert check_folder(store.folder)


def test_blocks_add_up_and_the_summary_ends_the_work(store):
    assert store.missing() == [0, 1]
    store.write(block(1, 2e-7))
    assert store.missing() == [0]
    with pytest.raises(InputError, match="holds 2 of 4 images"):
        store.finish()
    assert not store.finished
    store.write(block(0, 1e-7))
    totals = store.finish()
    assert (totals.images, totals.problems, totals.regions) == (4, 2, 6)
    assert totals.listed == ("b is bad.", "b is bad.")
    assert totals.completeness_error == 2e-7
    assert json.loads((store.folder / SUMMARY).read_text())["scored"] == 2
    assert store.missing() == []
    assert store.finished


def test_a_block_with_a_changed_byte_or_of_another_job_is_missing(store):
    store.write(block(0))
    part = store.folder / "regions" / "part-000000.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"!")
    assert store.missing() == [0, 1]
    part.write_bytes(content)
    assert store.missing() == [1]
    mark = store.folder / "blocks" / "000000.json"
    for text in ("{", "[]", mark.read_text().replace(store.job.digest, "0" * 64)):
        mark.write_text(text)
        assert store.missing() == [0, 1]


def test_blocks_with_problems_are_done_again_when_asked(store):
    store.write(block(0))
    assert store.missing(retry=True) == [0, 1]


@pytest.mark.parametrize("writes", range(4))
def test_a_disk_that_fills_up_leaves_nothing_of_the_block(writes, store, monkeypatch):
    store.write(block(0))
    before = content_of(store.folder)
    synced = os.fsync
    count = 0

    def full(handle):
        nonlocal count
        count += 1
        if count > 2 * writes:  # a file and its folder each
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(handle)

    with monkeypatch.context() as patch:
        patch.setattr("softcam.files.os.fsync", full)
        with pytest.raises(InputError, match=r"cannot write here \(No space left on device\)"):
            store.write(block(1))
    assert content_of(store.folder) == before
    store.write(block(1))
    assert store.missing() == []


def test_halves_of_files_that_a_killed_process_left_are_taken_away(store):
    store.write(block(0))
    for name in ("images/.part-000001.parquet.x7", "evidence.zarr/.c.1.0.0.0.qq", ".scores.json.a"):
        (store.folder / name).write_bytes(b"half")
    before = len(content_of(store.folder))
    assert store.missing() == [1]
    assert len(content_of(store.folder)) == before - 3


def test_a_folder_of_a_process_killed_before_its_first_file_is_taken(tmp_path):
    for name in ("images", "blocks", "regions"):
        (tmp_path / "out" / name).mkdir(parents=True)
    (tmp_path / "out" / ".scores.json.abc").write_text("half")
    (tmp_path / "out" / "scoring.lock").touch()
    assert not check_folder(tmp_path / "out")
    assert not check_folder(tmp_path / "new")


def test_what_is_no_folder_of_scores_is_refused(store, tmp_path):
    with pytest.raises(InputError, match="is a file, not a folder"):
        check_folder(store.folder / "scores.json")
    with pytest.raises(InputError, match=r"holds no scores \(scores.json is missing\)"):
        Job.read(tmp_path)
    text = (store.folder / "scores.json").read_text()
    for wrong, message in (
        ("{", "is damaged"),
        ("[]", "is not of the format"),
        (text.replace("softcam-scores/1", "softcam-scores/9"), "upgrade softcam"),
        (text.replace('"shape"', '"form"'), "is damaged"),
        (text.replace('"block": 2', '"block": 0'), "is damaged"),
        (text.replace('"binary"', '"riddle"'), "is damaged"),
    ):
        assert wrong != text
        (store.folder / "scores.json").write_text(wrong)
        with pytest.raises(InputError, match=message):
            Job.read(store.folder)
