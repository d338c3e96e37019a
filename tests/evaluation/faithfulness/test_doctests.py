"""The examples in the docstrings are worked out by hand: they must come out."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from softcam.evaluation import faithfulness

MODULES = [module.name for module in pkgutil.iter_modules(faithfulness.__path__)]
WITHOUT = {"packing"}  # its callers have the examples


@pytest.mark.parametrize("name", sorted(set(MODULES) - WITHOUT))
def test_the_examples_of(name):
    found = doctest.testmod(importlib.import_module(f"{faithfulness.__name__}.{name}"))
    assert found.attempted > 0
    assert found.failed == 0
