"""The examples in the docstrings of the metrics are computed by hand; they must come out so."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest
import torch

import softcam.evaluation

MODULES = [
    info.name
    for info in pkgutil.walk_packages(softcam.evaluation.__path__, "softcam.evaluation.")
    if not info.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_every_example_gives_what_it_says(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"torch": torch})
    assert result.failed == 0


@pytest.mark.parametrize(
    "name",
    [
        "localisation",
        "overlap",
        "patch_hits",
        "lesions",
        "consistency.completeness",
        "consistency.randomisation",
        "consistency.shares",
        "consistency.sparsity",
        "consistency.stability",
        "consistency.tiles",
    ],
)
def test_every_module_of_metrics_has_an_example(name):
    module = importlib.import_module(f"softcam.evaluation.{name}")
    assert any(test.examples for test in doctest.DocTestFinder().find(module))
