import pytest

from softcam.errors import InputError
from softcam.training.config import make_config
from softcam.training.run import Run, check_folder, find_model, start_folder


def settings(path):
    return make_config({"table": "t.csv", "out": path})


def test_a_new_folder_is_fine_and_checking_leaves_nothing(tmp_path):
    check_folder(tmp_path / "a" / "b", resume=False)
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_says_so_everywhere(tmp_path):
    run = start_folder(settings(tmp_path / "run"))
    assert not run.finished
    with pytest.raises(InputError, match="--resume"):
        check_folder(run.path, resume=False)
    check_folder(run.path, resume=True)
    with pytest.raises(InputError, match="unfinished run"):
        find_model(run.path)
    with pytest.raises(InputError, match="unfinished run"):
        run.metrics()
    assert run.history() == []


def test_a_finished_run_is_not_written_to(tmp_path):
    run = start_folder(settings(tmp_path / "run"))
    (run.path / "metrics.json").write_text("{}")
    for resume in (False, True):
        with pytest.raises(InputError, match="already holds a finished run"):
            check_folder(run.path, resume=resume)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(InputError, match="is a file"):
        check_folder(tmp_path / "run", resume=False)
    with pytest.raises(InputError, match="cannot write here"):
        check_folder(tmp_path / "run" / "below", resume=False)


def test_a_model_file_is_a_run_argument_too(tmp_path):
    (tmp_path / "m.safetensors").touch()
    assert find_model(tmp_path / "m.safetensors") == tmp_path / "m.safetensors"


def test_the_configuration_of_a_run_reads_back(tmp_path):
    config = settings(tmp_path / "run")
    assert start_folder(config).config() == config
    assert Run(tmp_path / "run").twin is None


def test_a_run_that_was_killed_in_its_first_write_can_be_started_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.yaml.x1y2").write_text("table:")
    check_folder(tmp_path / "run", resume=False)
    (tmp_path / "run" / "other").touch()
    with pytest.raises(InputError, match="not empty and no run"):
        check_folder(tmp_path / "run", resume=False)
