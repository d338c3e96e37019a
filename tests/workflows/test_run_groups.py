"""Seeds of one model make one row; everything else stays apart and gets a name of its own."""

import pytest
import yaml

from softcam.errors import InputError
from softcam.workflows.run_groups import Named, find_reference, group_runs


@pytest.fixture
def make(tmp_path):
    def run(name, seed=0, **settings):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        config = {"model": "resnet18", "l1": 0.0, "out": name, "seed": seed, **settings}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        return Named.of(str(folder))

    return run


def names(groups):
    return [group.name for group in groups]


def test_runs_that_differ_in_the_seed_alone_are_one(make):
    runs = [make("dense-s0"), make("sparse-s0", l1=0.1), make("dense-s1", 1, cache="x")]
    groups, members = group_runs(runs)
    assert members == [[0, 2], [1]]
    assert names(groups) == ["dense", "sparse-s0"]
    assert groups[0].seeds == (0, 1)
    assert groups[0].label == "dense (2 seeds)"
    assert groups[1].label == "sparse-s0"


def test_copies_of_a_run_are_no_seeds(make):
    groups, members = group_runs([make("a"), make("b"), make("c", 1)])
    assert members == [[0, 2], [1]]
    assert len(set(names(groups))) == 2


def test_evaluations_stay_alone(make, tmp_path):
    (tmp_path / "evaluation").mkdir()
    groups, members = group_runs([make("a"), Named.of(str(tmp_path / "evaluation"))])
    assert members == [[0], [1]]
    assert groups[1].seeds == ()


@pytest.mark.parametrize(
    ("folders", "name"),
    [
        (("dense-seed0", "dense-seed1"), "dense"),
        (("dense_s10", "dense_s11"), "dense"),
        (("grid/l1 0.1/0", "grid/l1 0.1/1"), "l1 0.1"),
        (("seed0/twin", "seed1/twin"), "twin"),
        (("runs1", "runs2"), "runs"),
    ],
)
def test_a_group_is_named_by_what_its_runs_share(make, folders, name):
    other = make("grid/other" if folders[0].startswith("grid") else "other", l1=1.0)
    groups, _ = group_runs([*(make(folder, seed) for seed, folder in enumerate(folders)), other])
    assert groups[0].name == name


def test_a_twin_within_a_run_is_told_from_it(make):
    groups, _ = group_runs([make("a"), make("a/twin", black_box=True)])
    assert names(groups) == ["a", "a/twin"]


def test_a_given_name_wins_and_must_be_its_own(make):
    first, second = make("a"), make("b", l1=1.0)
    groups, _ = group_runs([Named.of(f"Dense={first.text}"), second])
    assert names(groups) == ["Dense", "b"]
    with pytest.raises(InputError, match="names two models"):
        group_runs([Named.of(f"X={first.text}"), Named.of(f"X={second.text}")])


def test_groups_of_one_name_are_told_apart_by_their_paths(make):
    runs = [make("x/0"), make("x/1", 1), make("x/2", 0, l1=1.0), make("x/3", 1, l1=1.0)]
    groups, members = group_runs(runs)
    assert members == [[0, 1], [2, 3]]
    assert len(set(names(groups))) == 2


def test_a_run_given_twice_is_refused(make):
    run = make("a")
    with pytest.raises(InputError, match="given twice"):
        group_runs([run, Named.of(run.text + "/")])


def test_settings_that_cannot_be_read_are_named(make, tmp_path):
    runs = [make("a"), make("b")]
    for text in ("- 1\n", "a: [", "seed: many\n"):
        (tmp_path / "a" / "config.yaml").write_text(text)
        with pytest.raises(InputError, match=r"a/config\.yaml"):
            group_runs(runs)


def test_the_reference_is_found_by_path_name_and_seed(make):
    runs = [make("dense-s0"), make("dense-s1", 1), make("sparse", l1=0.1)]
    runs[2] = Named.of(f"Sparse={runs[2].text}")
    groups, members = group_runs(runs)

    def found(text):
        return find_reference(text, runs, groups, members)

    assert found(None) == 0
    assert found("Sparse") == found(runs[2].text) == found(str(runs[2].path)) == 1
    assert found("dense") == found(runs[1].text) == found(runs[1].text + "/") == 0
    with pytest.raises(InputError, match="none of the runs; give one of dense, Sparse"):
        found("other")
