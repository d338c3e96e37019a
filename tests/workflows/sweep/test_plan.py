from pathlib import Path

import pytest

from softcam.errors import InputError
from softcam.training.config import TrainConfig
from softcam.workflows.sweep.plan import plain_of, recipes, run_folder
from softcam.workflows.sweep.settings import make_sweep


def plan(base=None, **changes):
    shared = {"table": "t.csv", "model": "resnet10t", **(base or {})}
    return {
        recipe.name: recipe
        for recipe in recipes(make_sweep({"out": "s", "base": shared, **changes}))
    }


def test_the_twin_and_the_dense_model_are_always_there():
    found = plan({"stages": [3], "mode": "fresh"})
    assert list(found) == ["black-box", "dense"]
    twin, dense = found["black-box"].config, found["dense"].config
    assert twin.black_box and twin.stages is None and twin.mode == "exact"
    assert not dense.black_box and dense.stages == (3,) and dense.mode == "fresh"


def test_weights_stand_alone_and_in_mixes():
    found = plan(l1=[0, 0.01, 0.1], l2=[0.5], mixes=["0.01:0.5"])
    assert {name: (r.config.l1, r.config.l2) for name, r in found.items()} == {
        "black-box": (0, 0),
        "dense": (0, 0),
        "l1-0.01": (0.01, 0),
        "l1-0.1": (0.1, 0),
        "l2-0.5": (0, 0.5),
        "l1-0.01-l2-0.5": (0.01, 0.5),
    }


def test_a_full_grid_has_every_pair_once():
    found = plan(l1=[0, 1, 2], l2=[0, 3, 4], full_grid=True, mixes=["1:3"])
    points = [(r.config.l1, r.config.l2) for r in found.values() if r.kind != "black box"]
    assert sorted(points) == [(a, b) for a in (0, 1, 2) for b in (0, 3, 4)]


def test_a_penalty_of_the_base_is_one_of_the_points():
    found = plan({"l1": 0.2, "l2": 0.3})
    assert set(found) == {"black-box", "dense", "l1-0.2-l2-0.3"}
    assert found["dense"].config.l1 == 0


def test_variants_change_any_setting_of_training():
    found = plan(variants={"deep": {"stages": [2, 3], "epochs": 30, "augment": "none"}})
    config = found["deep"].config
    assert (config.stages, config.epochs, config.augment) == ((2, 3), 30, "none")
    assert found["dense"].config.epochs == 10


def test_every_setting_can_be_a_variants_or_is_refused_as_shared():
    base = make_sweep({"out": "s", "base": {"table": "t.csv"}})
    for name, field in TrainConfig.model_fields.items():
        value = "t.csv" if field.is_required() else field.default
        try:
            recipes(base.model_copy(update={"variants": {"v": {name: value, "epochs": 3}}}))
        except InputError as error:
            assert "the same for all runs" in str(error), name


def test_penalties_cross_variants_when_asked():
    variants = {"deep": {"stages": [3]}}
    assert "deep-l1-0.1" not in plan(l1=[0.1], variants=variants)
    found = plan(l1=[0.1], variants=variants, cross=True)
    assert found["deep-l1-0.1"].config.stages == (3,)
    assert found["deep-l1-0.1"].config.l1 == 0.1
    assert found["deep-l1-0.1"].family == "deep"


def test_a_plain_twin_has_the_architecture_and_no_penalty():
    found = plan(
        variants={"deep": {"stages": [3], "l1": 0.1, "epochs": 4}, "bare": {"stages": [2]}},
        plain_twins=True,
    )
    plain = found["deep-plain"].config
    assert (plain.stages, plain.l1, plain.epochs, plain.black_box) == ((3,), 0, 4, False)
    # A variant that is plain already needs no twin.
    assert "bare-plain" not in found and "base-plain" not in found


def test_a_plain_twin_of_a_plain_model_is_itself():
    config = TrainConfig(table=Path("t"), out=Path("o"), stages=(3,), mode="fresh", one_logit=True)
    assert plain_of(config) == config


def test_runs_differ_in_seed_and_folder_alone():
    recipe = plan()["dense"]
    run = recipe.run(Path("s"), 7)
    assert run.seed == 7
    assert run.out == run_folder(Path("s"), "dense", 7) == Path("s/runs/dense/seed7")
    assert run.model_copy(update={"seed": recipe.config.seed, "out": recipe.config.out}) == (
        recipe.config
    )


@pytest.mark.parametrize(
    ("variants", "said"),
    [
        ({"a/b": {"epochs": 3}}, "no name for a folder"),
        ({"..": {"epochs": 3}}, "no name for a folder"),
        ({"dense": {"epochs": 3}}, "are called dense"),
        ({"Black-Box": {"epochs": 3}}, "are called Black-Box"),
        ({"same": {}}, "same settings as dense"),
        ({"v": {"seed": 3}}, "seed is the same for all runs"),
        ({"v": {"table": "u.csv"}}, "table is the same for all runs"),
        ({"v": {"epochs": 0}}, "variants: v: epochs"),
        ({"v": {"epoch": 3}}, "no such setting"),
    ],
)
def test_a_variant_that_cannot_be_is_refused(variants, said):
    with pytest.raises(InputError) as error:
        plan(variants=variants)
    assert said in str(error.value)
