import pytest
import yaml

from softcam.errors import InputError
from softcam.training.config import make_config, read_config

BASE = {"table": "t.csv", "out": "run"}


def test_a_written_configuration_is_complete_and_reads_back_the_same(tmp_path):
    config = make_config({**BASE, "l1": 0.1, "stages": [2, 3], "size": "160x384"})
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert set(yaml.safe_load(path.read_text())) == set(type(config).model_fields)
    assert read_config(path) == config


@pytest.mark.parametrize(
    ("given", "size"),
    [(224, (224, 224)), ("224", (224, 224)), ("160x384", (160, 384)), ([64, 32], (64, 32))],
)
def test_a_size_is_one_number_or_height_by_width(given, size):
    assert make_config({**BASE, "size": given}).size == size


def test_one_stage_may_be_given_as_a_number():
    assert make_config({**BASE, "stages": 3}).stages == (3,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"l1": -1}, "train: l1: "),
        ({"l1": float("nan")}, "train: l1: "),
        ({"epochs": 0}, "train: epochs: "),
        ({"epoch": 3}, "train: epoch: no such setting; there are table, out"),
        ({"optimizer": "adam"}, "train: optimizer: "),
        ({"size": "big"}, "train: size"),
        ({"size": 100000}, "train: size"),
        ({"seed": -1}, "train: seed: "),
        ({"weights": "w", "pretrained": True}, "give either pretrained or weights, not both"),
        ({"sampling": "balanced", "class_weights": "balanced"}, "class frequencies twice"),
        ({"black_box": True, "with_twin": True}, "a black box has no twin"),
        ({"black_box": True, "mosaic": 2}, "a black box has no maps and so no mosaics"),
        ({"mosaic": [1]}, "train: mosaic.0: "),
        ({"mosaic": [2, 2]}, "train: mosaic: give each only once"),
        ({"mosaic_share": 0}, "train: mosaic_share: "),
        ({"penalty_form": "median"}, "train: penalty_form: "),
        ({"penalty_on": "both"}, "train: penalty_on: "),
        ({"penalty_classes": []}, "train: penalty_classes: give one of all, target, not_target"),
        ({"penalty_classes": ["all", "a"]}, "train: penalty_classes: give one of all, target"),
        ({"penalty_classes": ["a", "a"]}, "train: penalty_classes: give each only once"),
        ({"penalty_warmup": 1.5}, "train: penalty_warmup: "),
        ({"total_variation": float("inf")}, "train: total_variation: "),
        ({"consistency": -1}, "train: consistency: "),
    ],
)
def test_a_wrong_setting_is_named(values, message):
    with pytest.raises(InputError) as caught:
        make_config({**BASE, **values})
    assert message in str(caught.value)


def test_a_missing_setting_is_named():
    with pytest.raises(InputError, match="table: is required"):
        make_config({"out": "run"})


@pytest.mark.parametrize(
    ("text", "message"),
    [("- a\n- b\n", "must hold settings"), ("a: [", "no valid YAML"), ("", "must hold settings")],
)
def test_a_bad_yaml_file_is_named(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_config(path)
    assert str(path) in str(caught.value)


def test_yaml_cannot_build_objects(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("table: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(InputError, match="no valid YAML"):
        read_config(path)


def test_flags_win_over_the_file(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("table: a.csv\nout: run\nepochs: 3\n")
    assert read_config(path, {"epochs": 5}).epochs == 5


def test_defaults_follow_the_optimizer():
    sgd = make_config({**BASE, "optimizer": "sgd"})
    assert (sgd.learning_rate(), sgd.decay(), sgd.floor()) == (1e-3, 5e-4, 1e-4)
    assert make_config({**BASE, "optimizer": "sgd", "weight_decay": 0}).decay() == 0


def test_one_scale_and_one_class_may_be_given_alone():
    config = make_config({**BASE, "mosaic": 2, "penalty_classes": "target"})
    assert (config.mosaic, config.penalty_classes) == ((2,), ("target",))


def test_the_twin_has_maps_of_no_shape():
    given = {
        "l2": 0.1,
        "penalty_form": "sum",
        "penalty_on": "contrast",
        "penalty_classes": ("a", "b"),
        "penalty_warmup": 0.3,
        "total_variation": 0.2,
        "consistency": 0.4,
        "consistency_share": 0.5,
        "mosaic": (2, 4),
        "mosaic_share": 0.9,
    }
    twin = make_config({**BASE, **given, "with_twin": True}).for_twin()
    assert twin == make_config({**BASE, "with_twin": True}).for_twin()
    assert make_config(twin.model_dump()) == twin


def test_the_twin_has_the_same_budget_and_the_stock_model():
    config = make_config({**BASE, "stages": 3, "l1": 0.1, "epochs": 7, "with_twin": True})
    twin = config.for_twin()
    assert (twin.epochs, twin.size, twin.augment) == (7, config.size, config.augment)
    assert (twin.black_box, twin.with_twin, twin.stages, twin.l1) == (True, False, None, 0)
    assert twin.out == config.out / "twin"


def test_a_recipe_given_as_a_flag_wins_over_a_complete_file_and_flags_win_over_it(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(make_config({"table": "t.csv", "out": "run", "l1": 0.1}).to_yaml())
    found = read_config(file, {"recipe": "focused", "plain_loss": 0.25})
    assert (found.neck, found.plain_loss, found.l1) == ("hypercolumn", 0.25, 0.1)
    assert read_config(file).neck is None
