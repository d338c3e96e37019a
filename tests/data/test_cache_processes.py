"""Several processes may use one cache, and any may be killed."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from softcam.data import cache as module
from softcam.data.cache import PreparedCache
from softcam.data.records import Record
from tests.data.cached import SMALL, assert_right, decoded, fill, parts, uncached, write_images


@pytest.fixture
def records(tmp_path: Path) -> list[Record]:
    return write_images(tmp_path / "images", 6)


@pytest.fixture(autouse=True)
def _old_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing can set a file's change time, so that the tests do not wait for it."""
    monkeypatch.setattr(module, "_TICK_NS", 0)


FILL = """
import sys
from pathlib import Path
from softcam.data.cache import PreparedCache
from softcam.data.records import Record
from tests.data.cached import SMALL
folder, cache = Path(sys.argv[1]), PreparedCache(sys.argv[2], SMALL)
names = sorted(p.name for p in folder.iterdir())
if len(sys.argv) > 3:
    names = names[::-1]
print("ready", flush=True)
sys.stdin.readline()
for n in names:
    cache.keep(cache.look(Record(folder / n, n, 0, None, n, 2)))
    print(n, flush=True)
"""


def filling(tmp_path: Path, *more: str) -> subprocess.Popen[str]:
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", FILL, str(tmp_path / "many"), str(tmp_path / "cache"), *more],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])},
    )


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def test_a_killed_process_leaves_what_it_had_done(tmp_path: Path) -> None:
    records = write_images(tmp_path / "many", 400)
    process = filling(tmp_path)
    start(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(20):
        assert process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    cache = PreparedCache(tmp_path / "cache", SMALL)
    assert len(cache) >= 20
    with parts(cache, ".index")[0].open("ab") as stream:
        stream.write(b"\1" * 17)  # a row that was not finished
    cache = PreparedCache(tmp_path / "cache", SMALL)
    assert len(decoded(cache, records)) == 400 - len(cache)
    assert_right(cache, records, fill(cache, records))
    assert decoded(PreparedCache(tmp_path / "cache", SMALL), records) == []


def test_two_processes_may_fill_one_cache(tmp_path: Path) -> None:
    records = write_images(tmp_path / "many", 60)
    processes = [filling(tmp_path), filling(tmp_path, "backwards")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"  # both see an empty cache
    for process in processes:
        start(process)
    for process in processes:
        process.communicate(timeout=120)
        assert process.returncode == 0
    cache = PreparedCache(tmp_path / "cache", SMALL)
    assert decoded(cache, records) == []
    assert_right(cache, records, fill(cache, records))
    assert sum(path.stat().st_size > 0 for path in parts(cache, ".pixels")) == 2


def _get_all(cache: PreparedCache, numbers: list[int], records: list[Record], queue) -> None:
    queue.put([cache.get(n, r)[0].tobytes() for n, r in zip(numbers, records, strict=True)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_worker_reads_and_mends_the_cache_of_its_parent(
    method: str, tmp_path: Path, records: list[Record]
) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    cache = PreparedCache(tmp_path / "cache", SMALL)
    numbers = fill(cache, records)
    with parts(cache, ".pixels")[0].open("r+b") as stream:
        stream.write(b"\xff" * 40)
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    worker = context.Process(target=_get_all, args=(cache, numbers, records, queue))
    worker.start()
    found = queue.get(timeout=120)
    worker.join(60)
    assert found == [uncached(record).tobytes() for record in records]
    assert len(parts(cache, ".pixels")) == 2
    again = PreparedCache(tmp_path / "cache", SMALL)
    assert_right(again, records, fill(again, records))


def test_a_pickled_cache_goes_on(tmp_path: Path, records: list[Record]) -> None:
    cache = PreparedCache(tmp_path / "cache", SMALL)
    numbers = fill(cache, records[:3])
    copy = pickle.loads(pickle.dumps(cache))  # noqa: S301 - our own, of this moment
    numbers += fill(copy, records[3:])
    assert_right(copy, records, numbers)
