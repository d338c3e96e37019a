from pathlib import Path

import pytest

from softcam.training.config import TrainConfig
from softcam.workflows.sweep.judge import Judging
from softcam.workflows.sweep.progress import Clock, in_words
from softcam.workflows.sweep.work import Work


def work(folder: Path, epochs=10):
    config = TrainConfig(table=Path("t.csv"), out=folder, epochs=epochs)
    return Work(folder.name, config, "val", Judging(), Path("j.json"))


def write_epochs(one, count):
    logs = one.config.out / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    rows = "\n".join(f"{epoch}" for epoch in range(1, count + 1))
    (logs / "metrics.csv").write_text(f"epoch\n{rows}\n")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "about 1 s"),
        (12.4, "about 12 s"),
        (100, "about 2 min"),
        (7260, "about 2 h 01 min"),
        (90_000, "about 25 h 00 min"),
    ],
)
def test_times_are_said_as_a_person_would(seconds, said):
    assert in_words(seconds) == said


def test_the_rest_is_told_from_the_epochs_of_all_runs(tmp_path):
    works = [work(tmp_path / name) for name in "abc"]
    time = [100.0]
    clock = Clock(works, lambda: time[0])
    assert clock.total == 30 and clock.left() is None
    write_epochs(works[0], 2)
    time[0] += 6
    assert clock.done() == 2
    assert clock.left() == pytest.approx(28 * 3)


def test_epochs_of_an_earlier_session_do_not_make_the_pace(tmp_path):
    works = [work(tmp_path / name) for name in "ab"]
    write_epochs(works[0], 8)
    time = [0.0]
    clock = Clock(works, lambda: time[0])
    write_epochs(works[0], 9)
    time[0] = 5
    assert clock.left() == pytest.approx(11 * 5)


def test_a_run_that_ended_early_is_not_waited_for(tmp_path):
    works = [work(tmp_path / name) for name in "ab"]
    time = [0.0]
    clock = Clock(works, lambda: time[0])
    write_epochs(works[0], 4)
    clock.end(works[0])
    time[0] = 10
    assert clock.done() == 10
    assert clock.left() == pytest.approx(10)


def test_finished_runs_cost_nothing(tmp_path):
    works = [work(tmp_path / name) for name in "ab"]
    works[0].config.out.mkdir()
    (works[0].config.out / "metrics.json").write_text("{}")
    assert Clock(works).done() == 10
