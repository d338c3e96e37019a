"""A short fuzz run in the ordinary suite; `make fuzz` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.damage import BOMBS
from tests.fuzz.run import BAD, Case, Worker, fuzz, make_case, run_cases
from tests.fuzz.whole import whole_data_set, whole_images
from tests.fuzz.worker import judge, read_data_set, read_file

COUNT = 200
FULL = 2000


def misbehaving(what: str) -> Case:
    return Case(0, "test", what, "misbehave", {"a.txt": what.encode()}, "a.txt")


@pytest.mark.parametrize("name", whole_images())
def test_files_without_damage_are_read(name: str, tmp_path: Path) -> None:
    whole = whole_images()[name]
    path = tmp_path / f"whole{whole.suffix}"
    path.write_bytes(whole.data)
    target = str(path) if whole.frame is None else f"{path}#{whole.frame}"
    assert judge(read_file, target) == ("read", "")


def test_a_data_set_without_damage_is_read(tmp_path: Path) -> None:
    for name, data in whole_data_set().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    assert judge(read_data_set, str(tmp_path)) == ("read", "")


@pytest.mark.timeout(180)
def test_every_damaged_file_is_read_or_refused_by_name() -> None:
    numbers = list(range(len(BOMBS), len(BOMBS) + COUNT))
    verdicts = fuzz(COUNT, 0, numbers=numbers)
    assert len(verdicts) == COUNT
    assert [(v.case.number, v.result, v.detail) for v in verdicts if v.result in BAD] == []
    # Neither a reader that takes all nor one that takes nothing would pass.
    results = [v.result for v in verdicts]
    assert min(results.count("read"), results.count("refused")) > COUNT // 10


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_run_is_clean() -> None:
    verdicts = fuzz(FULL, 0)
    assert [(v.case.number, v.result, v.detail) for v in verdicts if v.result in BAD] == []


def test_the_same_seed_damages_alike_and_another_differently() -> None:
    images = whole_images()
    first = [make_case(1, number, images) for number in range(100, 130)]
    assert first == [make_case(1, number, images) for number in range(100, 130)]
    assert first != [make_case(2, number, images) for number in range(100, 130)]


def test_what_no_reader_may_do_is_noticed_and_the_run_goes_on(tmp_path: Path) -> None:
    expected = {
        "read": "read",
        "refuse": "refused",
        "nameless": "unnamed",
        "raise": "unnamed",
        "crash": "crash",
        "memory": "memory",
        "read on": "read",
    }
    verdicts = list(run_cases(map(misbehaving, expected), keep=tmp_path))
    assert {v.case.damage: v.result for v in verdicts} == expected
    assert {p.name for p in tmp_path.iterdir()} == {"unnamed", "crash", "memory"}


def test_a_reader_that_never_ends_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hang")
    (tmp_path / "b.txt").write_text("spin")
    with Worker(seconds=0.5) as worker:
        hung = worker.read(misbehaving("hang"), tmp_path)
        spun = worker.read(Case(1, "test", "spin", "misbehave", {}, "b.txt"), tmp_path)
    assert (hung.result, spun.result) == ("hang", "hang")
