from __future__ import annotations

import pytest

from softcam.data.wording import LONGEST, listed, printable, quoted


def laughs() -> list:
    value: list = ["x"] * 9
    for _ in range(8):
        value = [value] * 9  # written out, it has 400 million letters
    return value


def test_a_value_is_quoted_short_however_large_it_is() -> None:
    circle: list = []
    circle.append(circle)
    for value in (
        laughs(),
        circle,
        "a" * 10_000_000,
        1 << 100_000,
        [1 << 100_000],
        {"a": laughs()},
    ):
        assert len(quoted(value)) <= LONGEST + 3
        assert quoted(value).isprintable()
    assert quoted("later") == "'later'"
    assert quoted(7) == "7"


def test_of_many_names_ten_are_listed() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed([str(i) for i in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


@pytest.mark.parametrize("text", ["\x1b[31mred", "a\0b", "\u202eturned"])
def test_what_a_terminal_would_obey_is_replaced(text: str) -> None:
    assert printable(text).isprintable()


def test_a_text_becomes_one_short_line() -> None:
    assert printable("two\n  lines") == "two lines"
    assert len(printable("a" * 1000)) == LONGEST + 3
