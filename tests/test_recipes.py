"""Every recipe is a configuration that training takes, and says how to get its data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from softcam.data.importers.catalogue import find_importer
from softcam.training.config import read_config

RECIPES = sorted((Path(__file__).parents[1] / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_has_the_papers_settings(path):
    config = read_config(path, {"table": "data", "out": "run"})
    assert (config.optimizer, config.epochs, config.lr) == ("sgd", 50, 1e-3)
    assert (config.decay(), config.floor(), config.warmup) == (5e-4, 1e-4, 0)
    assert config.mode == ("fresh" if "vgg" in path.stem else "exact")


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_names_an_import_that_exists_and_itself(path):
    text = path.read_text("utf-8")
    name, task = re.search(r"softcam import (\S+) DOWNLOAD \S+(?: --task (\S+))?", text).groups()
    importer, _ = find_importer(name, task)
    assert read_config(path, {"table": "d", "out": "o"}).size[0] == importer.shape.size
    assert f"--config recipes/{path.name}" in text


def test_there_are_two_recipes_for_each_of_the_three_data_sets():
    assert len(RECIPES) == 6
