import subprocess
import sys

import pytest

from softcam.errors import InputError, WorkError
from softcam.training.config import TrainConfig
from softcam.workflows.sweep.judge import Judging
from softcam.workflows.sweep.work import Work, check_started, outcome


def work(tmp_path, **changes):
    config = TrainConfig(table=tmp_path / "t.csv", out=tmp_path / "run", **changes)
    return Work("dense", config, "val", Judging(limit=7), tmp_path / "j.json")


def test_work_is_read_as_it_was_written(tmp_path):
    given = work(tmp_path, stages=(2, 3), l1=0.1, size=(64, 96))
    assert Work.read(given.write()) == given


def test_a_folder_of_a_run_of_other_settings_is_refused(tmp_path):
    given = work(tmp_path)
    assert not check_started(given)
    given.config.out.mkdir()
    (given.config.out / "config.yaml").write_text(given.config.to_yaml())
    assert check_started(given)
    assert check_started(work(tmp_path, workers=2, cache_gb=1.0))  # how, not what
    with pytest.raises(InputError, match="trained with epochs 10, not 3"):
        check_started(work(tmp_path, epochs=3))


def test_half_a_file_of_a_start_that_was_killed_is_removed(tmp_path):
    given = work(tmp_path)
    given.config.out.mkdir()
    (given.config.out / ".config.yaml.abc").write_text("tab")
    (given.config.out / "mine.txt").write_text("kept")
    assert not check_started(given)
    assert [path.name for path in given.config.out.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputError("x"), 2), (WorkError("x"), 1), (KeyboardInterrupt(), 130), (ValueError("x"), 1)],
)
def test_what_was_raised_becomes_an_exit_code(error, code):
    assert outcome(error)[0] == code


def test_a_process_ends_when_the_sweep_that_started_it_is_gone():
    code = (
        "import threading, time\n"
        "from softcam.workflows.sweep import work\n"
        "threading.Thread(target=work._end_with_parent, daemon=True).start()\n"
        "print('up', flush=True)\ntime.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"up\n"
    process.stdin.close()  # as the end of the sweep does
    assert process.wait(timeout=20) == 1
    process.stdout.close()


def test_the_thread_that_waits_for_that_does_not_disturb_the_end():
    code = (
        "import threading, time\n"
        "from softcam.workflows.sweep import work\n"
        "threading.Thread(target=work._end_with_parent, daemon=True).start()"
    )
    ended = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert ended.wait(timeout=60) == 0
    ended.stdin.close()
