import sys
import time
from pathlib import Path

import pytest

from softcam.errors import InputError, WorkError
from softcam.training.config import TrainConfig
from softcam.workflows.sweep import jobs as module
from softcam.workflows.sweep.jobs import do_all, threads_each
from softcam.workflows.sweep.judge import Judging
from softcam.workflows.sweep.work import Work


def work(name, seed=0):
    config = TrainConfig(table=Path("t.csv"), out=Path("o") / name, seed=seed)
    return Work(name, config, "val", Judging(), Path("j.json"))


WORKS = [work("a"), work("b"), work("c")]


class Told(list):
    def __call__(self, one, failure):
        self.append((one.name, None if failure is None else failure.reason))


def here(monkeypatch, outcomes):
    def do(one):
        if (error := outcomes.get(one.name)) is not None:
            raise error

    monkeypatch.setattr(module, "do", do)


def apart(monkeypatch, scripts):
    """Let processes run a small script in place of training."""

    def command(description):
        return [sys.executable, "-c", scripts[description.stem.split("-")[0]]]

    monkeypatch.setattr(module, "command_for", command)


def test_what_fails_is_noted_and_the_rest_goes_on(monkeypatch, tmp_path):
    here(monkeypatch, {"b": WorkError("training diverged.")})
    told = Told()
    failures = do_all(WORKS, jobs=1, folder=tmp_path, told=told)
    assert told == [("a", None), ("b", "training diverged."), ("c", None)]
    assert [(f.work.name, f.input) for f in failures] == [("b", False)]


def test_bad_input_of_the_first_stops_the_sweep(monkeypatch, tmp_path):
    here(monkeypatch, {"a": InputError("3.png: is no image.")})
    told = Told()
    with pytest.raises(InputError, match=r"a, seed 0: 3.png: is no image"):
        do_all(WORKS, jobs=1, folder=tmp_path, told=told)
    assert told == []
    # Once something was done, the input is good for others.
    failures = do_all(WORKS, jobs=1, folder=tmp_path, told=told, any_done=True)
    assert len(failures) == 1 and len(told) == 3


def test_a_defect_is_a_failure_in_one_sentence(monkeypatch, tmp_path):
    here(monkeypatch, {"a": ZeroDivisionError("division\nby zero")})
    (failure,) = do_all(WORKS, jobs=1, folder=tmp_path, told=Told())
    assert failure.reason == "failed with ZeroDivisionError: division by zero"


def test_an_interruption_is_passed_on(monkeypatch, tmp_path):
    here(monkeypatch, {"b": KeyboardInterrupt()})
    told = Told()
    with pytest.raises(KeyboardInterrupt):
        do_all(WORKS, jobs=1, folder=tmp_path, told=told)
    assert told == [("a", None)]


def test_processes_are_told_apart_by_how_they_end(monkeypatch, tmp_path):
    apart(
        monkeypatch,
        {
            "a": "print('fine')",
            "b": "import sys; print('noise'); print('training diverged.'); sys.exit(1)",
            "c": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        },
    )
    told = Told()
    failures = do_all(WORKS, jobs=2, folder=tmp_path / "logs", told=told)
    assert ("a", None) in told and len(told) == 3
    reasons = {failure.work.name: failure.reason for failure in failures}
    assert reasons["b"] == "training diverged."
    assert "SIGKILL (out of memory?)" in reasons["c"] and "c-seed0-val.log" in reasons["c"]


def test_processes_run_at_the_same_time_and_no_more_than_asked(monkeypatch, tmp_path):
    script = (
        "import time, pathlib\n"
        f"p = pathlib.Path({str(tmp_path)!r})\n"
        "n = len(list(p.glob('on-*'))); me = p / f'on-{time.monotonic_ns()}'; me.touch()\n"
        "(p / f'seen-{time.monotonic_ns()}').write_text(str(n)); time.sleep(0.6); me.unlink()"
    )
    apart(monkeypatch, dict.fromkeys("abcd", script))
    works = [work(name) for name in "abcd"]
    assert do_all(works, jobs=2, folder=tmp_path / "logs", told=Told()) == []
    seen = [int(path.read_text()) for path in tmp_path.glob("seen-*")]
    assert len(seen) == 4 and max(seen) == 1


def test_threads_are_shared_out(monkeypatch, tmp_path):
    script = "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['MKL_NUM_THREADS'])"
    apart(monkeypatch, {"a": script})
    assert do_all(WORKS[:1], jobs=2, folder=tmp_path, told=Told()) == []
    expected = str(threads_each(2))
    assert (tmp_path / "a-seed0-val.log").read_text().split() == [expected, expected]
    assert threads_each(10_000) == 1


def test_no_process_outlives_an_interruption(monkeypatch, tmp_path):
    script = (
        "import pathlib, time\n"
        f"f = pathlib.Path({str(tmp_path / 'alive')!r})\n"
        "try:\n    f.touch(); time.sleep(60)\nexcept KeyboardInterrupt:\n    f.unlink()"
    )
    apart(monkeypatch, {"a": script, "b": "pass"})
    started = time.monotonic()

    def told(one, failure):
        while not (tmp_path / "alive").exists():
            time.sleep(0.02)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        do_all(WORKS[:2], jobs=2, folder=tmp_path, told=told)
    assert not (tmp_path / "alive").exists()  # it was asked to stop, and did
    assert time.monotonic() - started < 25


def test_bad_input_in_a_process_stops_the_sweep(monkeypatch, tmp_path):
    apart(monkeypatch, {"a": "import sys; print('3.png: is no image.'); sys.exit(2)"})
    with pytest.raises(InputError, match="is no image"):
        do_all(WORKS[:1], jobs=2, folder=tmp_path, told=Told())
