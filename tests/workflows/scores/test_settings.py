import math

import pytest

from softcam.errors import InputError
from softcam.workflows.scores.settings import Effort, ScoreSettings


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threshold": -1.0}, "threshold: must be 0 or more"),
        ({"threshold": math.nan}, "threshold: must be 0 or more"),
        ({"block": 0}, "block_size: must be 1 to"),
        ({"block": 100_000}, "block_size: must be 1 to"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        ScoreSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"batch_size": 0}, {"workers": -1}, {"device": "tpu"}])
def test_effort_out_of_range_is_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        Effort(**wrong)


def test_at_least_two_threads_read_unless_told_otherwise():
    assert 2 <= Effort().threads <= 8
    assert Effort(workers=1).threads == 1
