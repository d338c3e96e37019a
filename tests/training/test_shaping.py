from types import SimpleNamespace

import pytest
import torch
from torch import nn

from softcam.errors import InputError
from softcam.evidence.penalty import ElasticNet
from softcam.evidence.shaping import flip_disagreement, total_variation
from softcam.training.config import make_config
from softcam.training.mosaic import Mosaic
from softcam.training.shaping import Shaping, check_mosaic, make_penalty

BASE = {"table": "t.csv", "out": "run"}
CLASSES = ("plain", "dotted", "odd")


def shaping(steps=100, classes=CLASSES, maps=3, **settings):
    model = nn.Identity()
    model.info = SimpleNamespace(classes=classes)
    model.num_outputs = maps
    return Shaping(make_config({**BASE, **settings}), model, steps)


def test_by_default_nothing_is_asked():
    plain = shaping()
    assert plain.mosaic(16, 0, 0) is None
    assert plain.mirrored(0, 0) == ()
    assert plain.terms(torch.randn(2, 3, 4, 4), torch.tensor([0, 1]), 0) is None


def test_the_settings_of_the_penalty_arrive():
    given = {"l1": 0.1, "l2": 0.2, "penalty_form": "sum", "penalty_on": "contrast"}
    found = shaping(**given, penalty_classes="not_target").penalty
    assert found == ElasticNet(0.1, 0.2, "sum", "contrast", "not_target")
    assert shaping(penalty_classes=["odd", "plain"]).penalty.classes == (2, 0)


def test_the_single_map_is_that_of_the_second_class():
    config = make_config({**BASE, "penalty_classes": "dotted"})
    assert make_penalty(config, ("plain", "dotted"), 1).classes == (0,)
    with pytest.raises(InputError, match="no map of 'plain'; the maps are of dotted"):
        make_penalty(make_config({**BASE, "penalty_classes": "plain"}), ("plain", "dotted"), 1)


def test_a_class_that_there_is_not_is_named():
    with pytest.raises(InputError, match="no map of 'spotted'; the maps are of plain, dotted, odd"):
        shaping(penalty_classes=["plain", "spotted"])


def test_all_terms_rise_together_over_the_warm_up():
    asked = shaping(l1=0.1, total_variation=0.2, penalty_warmup=0.5)
    evidence, target = torch.randn(2, 3, 4, 4), torch.tensor([0, 1])
    whole = 0.1 * evidence.abs().mean() + 0.2 * total_variation(evidence)
    for step, factor in ((0, 0.0), (10, 0.2), (49, 0.98), (50, 1.0), (99, 1.0)):
        torch.testing.assert_close(asked.terms(evidence, target, step), factor * whole)


def test_tiles_are_penalised_as_images_with_their_own_labels():
    asked = shaping(l1=0.1, l2=0.3, penalty_classes="target", total_variation=0.2)
    evidence = torch.randn(1, 3, 4, 6)
    target = torch.tensor([2, 0, 1, 1])
    tiles = torch.stack([evidence[0, :, r : r + 2, c : c + 3] for r in (0, 2) for c in (0, 3)])
    found = asked.terms(evidence, target, 0, mosaic=Mosaic(2, (0, 1, 2, 3)), size=(64, 96))
    torch.testing.assert_close(found, ElasticNet(0.1, 0.3, classes="target")(tiles, target))


@pytest.mark.parametrize("form", ["mean", "sum", "norm"])
def test_every_form_takes_tiles_for_images(form):
    asked = shaping(l1=0.1, l2=0.3, penalty_form=form)
    evidence, target = torch.randn(2, 3, 4, 4), torch.zeros(8, dtype=torch.long)
    tiles = [evidence[m, :, r : r + 2, c : c + 2] for m in (0, 1) for r in (0, 2) for c in (0, 2)]
    found = asked.terms(evidence, target, 0, mosaic=Mosaic(2, tuple(range(8))), size=(64, 64))
    torch.testing.assert_close(found, ElasticNet(0.1, 0.3, form)(torch.stack(tiles)))


@pytest.mark.parametrize(
    ("augment", "ways"), [("fundus", {(-1,), (-2,), (-2, -1)}), ("chest", {(-1,)})]
)
def test_consistency_looks_at_mirrored_batches(augment, ways):
    asked = shaping(consistency=2.0, consistency_share=1.0, augment=augment)
    evidence, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    target = torch.tensor([0, 1])
    seen = set()
    for step in range(30):
        given = []

        def mirrored(axes, given=given):
            given.append(axes)
            return other

        found = asked.terms(evidence, target, 0, mirrored=mirrored, place=(1, step))
        (axes,) = given
        seen.add(axes)
        torch.testing.assert_close(found, 2 * flip_disagreement(evidence, other, axes))
    assert seen == ways


def test_the_share_of_mirrored_batches_is_as_asked_and_depends_on_the_place_alone():
    asked = shaping(consistency=1.0)
    found = [asked.mirrored(0, step) for step in range(1000)]
    assert 200 < sum(bool(axes) for axes in found) < 300
    assert found == [asked.mirrored(0, step) for step in range(1000)]
    assert found != [asked.mirrored(1, step) for step in range(1000)]


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        ("gated", (7, 7), "resnet18 has a gated head"),
        ("normalised", (7, 7), "take mode fresh, or no mosaics"),
        ("affine", (2, 7), "need maps of at least 4 x 4 cells, those of resnet18 have 2 x 7"),
    ],
)
def test_models_that_cannot_learn_from_mosaics_are_refused(kind, cells, message):
    config = make_config({**BASE, "mosaic": [2, 4]})
    with pytest.raises(InputError, match=message):
        check_mosaic(config, kind, cells)
    check_mosaic(config, "affine", (4, 4))
    check_mosaic(make_config(BASE), kind, cells)


def test_mosaics_of_concentrated_maps_are_refused_with_what_to_leave_out():
    config = make_config({"table": "t.csv", "out": "run", "mosaic": [2], "recipe": "focused"})
    with pytest.raises(InputError, match="leave out mosaic, or concentration"):
        check_mosaic(config, "concentrated", (16, 16))
