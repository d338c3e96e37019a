import pytest

from softcam.errors import InputError
from softcam.training.processes import Processes

STARTED = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def started(**more):
    return {**STARTED, **{name: str(value) for name, value in more.items()}}


def test_a_process_that_nobody_started_with_others_is_alone():
    for environment in ({}, {"WORLD_SIZE": "4"}, {"RANK": "1", "WORLD_SIZE": "4"}):
        assert Processes.of_environment(environment) == Processes()
    assert Processes().first
    assert not Processes().several


def test_what_torchrun_says_is_read():
    found = Processes.of_environment(
        started(
            RANK=5, WORLD_SIZE=8, LOCAL_RANK=1, LOCAL_WORLD_SIZE=4, TORCHELASTIC_RESTART_COUNT=2
        )
    )
    assert found == Processes(5, 8, 1, 4, 2)
    assert found.machines == 2
    assert found.several
    assert not found.first


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"RANK": "x", "WORLD_SIZE": 2}, "must be whole numbers"),
        ({"RANK": 2, "WORLD_SIZE": 2}, "RANK 2, WORLD_SIZE 2, .* do not fit"),
        ({"RANK": 0, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 4}, "do not fit"),
        ({"RANK": 0, "WORLD_SIZE": 5, "LOCAL_WORLD_SIZE": 2}, "5 processes are no multiple"),
    ],
)
def test_variables_that_make_no_sense_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        Processes.of_environment(started(**values))
