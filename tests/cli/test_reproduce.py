"""How `softcam reproduce` reads lists of words and numbers."""

from __future__ import annotations

import pytest

from softcam.cli.reproduce import _spelled_out


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("--models resnet50 vgg16 --out x", "--models resnet50 --models vgg16 --out x"),
        ("--models vgg16 kaggle-dr", "--models vgg16 kaggle-dr"),
        ("kaggle-dr --seeds 0 1 2", "kaggle-dr --seeds 0 --seeds 1 --seeds 2"),
        ("--seeds 0,1 --tasks onset1,levels", "--seeds 0 --seeds 1 --tasks onset1 --tasks levels"),
        ("--models densenet x", "--models densenet x"),  # the settings say what is wrong
        ("--seeds", "--seeds"),
        ("--seeds many", "--seeds many"),
    ],
)
def test_an_option_takes_all_the_words_that_can_be_meant_for_it(given, read):
    assert _spelled_out(given.split()) == read.split()
