import pytest

from softcam.cli.settings import assignment, given
from softcam.errors import InputError


def test_what_was_not_given_is_left_out_and_zero_and_false_stay():
    options = {"a": None, "b": [], "c": {}, "d": 0, "e": False, "f": [0], "g": ""}
    assert given(options) == {"d": 0, "e": False, "f": [0], "g": ""}


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("lr=0.001", "lr", 0.001),
        ("class-weights=balanced", "class_weights", "balanced"),
        ("size=[320, 240]", "size", [320, 240]),
        ("cache=", "cache", None),
        ("note=a=b", "note", "a=b"),
    ],
)
def test_a_value_is_read_as_what_it_is(text, name, value):
    assert assignment(text, "--set") == (name, value)


@pytest.mark.parametrize("text", ["lr", "=1", "lr=[1"])
def test_what_is_no_assignment_is_refused_by_the_option_that_holds_it(text):
    with pytest.raises(InputError, match=r"^--set: .* is no "):
        assignment(text, "--set")
