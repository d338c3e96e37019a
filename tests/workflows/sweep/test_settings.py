from pathlib import Path

import pytest
import yaml

from softcam.errors import InputError
from softcam.workflows.sweep.settings import SWEEP_FILE, make_sweep, read_sweep, sweep_for


def settings(**changes):
    values = {"out": "sweeps/a", "base": {"table": "data/table.csv", "model": "resnet10t"}}
    return make_sweep({**values, **changes})


def test_the_base_is_written_out_in_full_without_what_the_sweep_owns():
    base = settings().base
    assert base["epochs"] == 10 and base["lr"] is None
    assert not {"out", "seed", "with_twin", "black_box"} & set(base)


def test_all_runs_share_the_splits_whatever_their_seeds():
    assert settings().training().split_seed == 0
    given = settings(base={"table": "t.csv", "seed": 5})
    assert given.training().split_seed == 5
    assert settings(base={"table": "t.csv", "split_seed": 7}).training().split_seed == 7


def test_what_is_written_is_read_again(tmp_path):
    made = settings(
        l1=[0, 0.1],
        mixes=["0.01:0.1", [1, 2]],
        variants={"deep": {"stages": [2, 3]}, "plain": None},
    )
    (tmp_path / SWEEP_FILE).write_text(made.to_yaml())
    assert read_sweep(tmp_path / SWEEP_FILE) == made
    assert made.mixes == ((0.01, 0.1), (1.0, 2.0))
    assert made.variants["plain"] == {}


def test_one_number_is_a_list_of_one_and_repeats_count_once():
    made = settings(l1=0.1, seeds=[3, 3, 1])
    assert made.l1 == (0.1,)
    assert made.seeds == (3, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"l1": [-1]}, "l1.0"),
        ({"l1": ["much"]}, "l1.0"),
        ({"seeds": []}, "seeds"),
        ({"jobs": 0}, "jobs"),
        ({"margin": -0.1}, "margin"),
        ({"mixes": ["1"]}, "mixes.0"),
        ({"select_by": "taste"}, "select_by"),
        ({"maps": "both"}, "maps"),
        ({"epochs": 3}, "go under base"),
        ({"base": {"table": "t", "epochs": 0}}, "epochs"),
        ({"base": {"table": "t", "epoch": 3}}, "epoch"),
        ({"base": {"table": "t", "black_box": True}}, "black_box"),
        ({"base": {}}, "table is missing"),
        ({"base": None}, "base is missing"),
        ({"out": None}, "out is missing"),
    ],
)
def test_a_wrong_setting_is_named(changes, said):
    with pytest.raises(InputError) as error:
        settings(**changes)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_training_configuration_is_taken_as_the_base(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"model": "resnet18", "epochs": 7, "l1": 0.5, "out": "runs/x"}))
    made = read_sweep(path, {"out": "s"}, {"table": "t.csv", "epochs": 8})
    assert made.out == Path("s")
    assert (made.training().model, made.training().epochs, made.training().l1) == (
        "resnet18",
        8,
        0.5,
    )
    with pytest.raises(InputError, match="out is missing"):
        read_sweep(path, {}, {"table": "t.csv"})


def test_every_recipe_of_the_library_can_be_a_base():
    recipes = sorted((Path(__file__).parents[3] / "recipes").glob("*.yaml"))
    assert recipes
    for path in recipes:
        read_sweep(path, {"out": "s"}, {"table": "t.csv"})


@pytest.fixture
def started(tmp_path):
    made = make_sweep({"out": tmp_path, "base": {"table": "t.csv"}, "l1": [0.1], "seeds": [0, 1]})
    (tmp_path / SWEEP_FILE).write_text(made.to_yaml())
    return tmp_path


def test_a_resumed_sweep_is_as_it_was(started):
    assert sweep_for({"out": started}, {}, resume=True) == read_sweep(started / SWEEP_FILE)


def test_a_resumed_sweep_may_be_widened_and_judged_otherwise(started):
    wider = sweep_for(
        {"out": started, "l1": [1.0], "seeds": [2], "margin": 0.01, "jobs": 3,
         "variants": {"deep": {"stages": 3}}},
        {"device": "cpu", "workers": 1},
        resume=True,
    )  # fmt: skip
    assert wider.l1 == (0.1, 1.0)
    assert wider.seeds == (0, 1, 2)
    assert (wider.margin, wider.jobs, wider.variants) == (0.01, 3, {"deep": {"stages": 3}})
    assert wider.training().workers == 1


def test_what_the_runs_share_may_not_change(started):
    with pytest.raises(InputError, match="started with epochs 10, not 3"):
        sweep_for({"out": started}, {"epochs": 3}, resume=True)
    assert sweep_for({"out": started}, {"epochs": 10}, resume=True).training().epochs == 10


def test_a_variant_may_not_change_under_its_name(tmp_path):
    made = make_sweep(
        {"out": tmp_path, "base": {"table": "t.csv"}, "variants": {"deep": {"stages": 3}}}
    )
    (tmp_path / SWEEP_FILE).write_text(made.to_yaml())
    with pytest.raises(InputError, match="another name"):
        sweep_for({"out": tmp_path, "variants": {"deep": {"stages": 2}}}, {}, resume=True)


def test_there_must_be_a_sweep_to_resume(tmp_path):
    with pytest.raises(InputError, match="no sweep to resume"):
        sweep_for({"out": tmp_path}, {}, resume=True)
    with pytest.raises(InputError, match="needs --out"):
        sweep_for({}, {}, resume=True)
    with pytest.raises(InputError, match="leave out --config"):
        sweep_for({"out": tmp_path}, {}, config=tmp_path / "x.yaml", resume=True)
