import pytest

from softcam.errors import InputError
from softcam.training.config import make_config
from softcam.workflows.settings import settings_for


@pytest.fixture
def started(tmp_path):
    config = make_config({"table": tmp_path / "t.csv", "out": tmp_path / "run", "epochs": 3})
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(config.to_yaml())
    return config


def test_flags_alone_make_settings():
    assert settings_for({"table": "t.csv", "out": "run", "l1": 0.2}).l1 == 0.2


@pytest.mark.parametrize("flags", [{}, {"table": "t.csv"}, {"out": "run"}])
def test_table_and_folder_are_needed(flags):
    with pytest.raises(InputError, match="is missing"):
        settings_for(flags)


def test_resuming_takes_the_runs_own_settings(started):
    assert settings_for({"out": started.out}, resume=True) == started


def test_the_same_flags_may_be_repeated_when_resuming(started):
    assert settings_for({"out": started.out, "epochs": 3}, resume=True) == started


def test_what_changes_no_number_may_change_when_resuming(started):
    assert settings_for({"out": started.out, "workers": 2}, resume=True).workers == 2


def test_other_settings_may_not_change_when_resuming(started):
    with pytest.raises(InputError, match="started with epochs 3, not 4"):
        settings_for({"out": started.out, "epochs": 4}, resume=True)


def test_resuming_reads_no_other_configuration(started, tmp_path):
    with pytest.raises(InputError, match="leave out --config"):
        settings_for({"out": started.out}, config=tmp_path / "other.yaml", resume=True)


def test_resuming_needs_the_folder_of_a_run(tmp_path):
    with pytest.raises(InputError, match="needs --out"):
        settings_for({}, resume=True)
    with pytest.raises(InputError, match="no run to resume"):
        settings_for({"out": tmp_path}, resume=True)
