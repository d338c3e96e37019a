import pytest

from softcam.cli.sweep import _spelled_out


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("t --l1 0 0.01 1e-3 --out o", "t --l1 0 --l1 0.01 --l1 1e-3 --out o"),
        ("--l1 0,0.01 --l2 1", "--l1 0 --l1 0.01 --l2 1"),
        ("--seeds 0 1 2 table.csv", "--seeds 0 --seeds 1 --seeds 2 table.csv"),
        ("--mix 0.1:1 0.2:2", "--mix 0.1:1 --mix 0.2:2"),
        ("--l1=0.1 --l1 0.2", "--l1=0.1 --l1 0.2"),
        ("--l1 -1", "--l1 -1"),
        ("--epochs 3 4", "--epochs 3 4"),
        ("--l1", "--l1"),
        ("--l1 much", "--l1 much"),
        ("--l1 0.1 --l1 0.2 0.3", "--l1 0.1 --l1 0.2 --l1 0.3"),
    ],
)
def test_options_take_several_numbers(given, read):
    assert _spelled_out(given.split()) == read.split()
