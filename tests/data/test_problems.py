from __future__ import annotations

import pytest

from softcam.data.problems import Problems
from softcam.errors import InputError


def test_no_problem_raises_nothing() -> None:
    Problems("t.csv").raise_any()


def test_one_problem_is_one_sentence() -> None:
    problems = Problems("t.csv")
    problems.add("row 3", "it is blue; paint it")
    with pytest.raises(InputError, match=r"^t\.csv, row 3: it is blue; paint it\.$"):
        problems.raise_any()


def test_ten_problems_are_listed_and_the_rest_counted() -> None:
    problems = Problems("t.csv")
    for row in range(2, 15):
        problems.add(f"row {row}", "bad")
    assert len(problems) == 13
    with pytest.raises(InputError) as caught:
        problems.raise_any()
    message = str(caught.value)
    assert message.startswith("t.csv has 13 problems: row 2: bad; ")
    assert message.endswith("row 11: bad; and 3 more.")
