from softcam.evidence.info import ModelInfo
from softcam.training.config import make_config
from softcam.workflows.describe import caution, describe_provenance, describe_training


def described(**settings):
    config = make_config({"table": "t.csv", "out": "run", **settings})
    return describe_training(ModelInfo(training={"config": config.model_dump(mode="json")}))


def test_shaping_is_listed_where_it_was_asked_for():
    found = described(mosaic=[2, 4], penalty_on="contrast", penalty_classes="target", l1=0.02)
    assert found["Mosaics, images a side"] == "2, 4"
    assert found["Penalty, maps"] == "contrast"
    assert found["Penalty, classes"] == "target"
    assert found["ElasticNet L1"] == "0.02"
    assert "Penalty, form" not in found


def test_shaping_is_not_listed_where_it_was_not():
    found = described(stages=[2, 3])
    assert not [name for name in found if name.startswith(("Penalty", "Mosaic", "Total", "Cons"))]
    assert found["Input size, px"] == "224 × 224"
    assert found["Evidence from stages"] == "2, 3"


def test_shuffled_labels_are_told_before_all_else():
    config = make_config({"table": "t.csv", "out": "run", "shuffle_labels": True})
    info = ModelInfo(training={"config": config.model_dump(mode="json")})
    assert next(iter(describe_training(info))) == "Labels"
    assert "SHUFFLED" in describe_training(info)["Labels"]
    assert "SHUFFLED" in describe_provenance(info)["labels learned"]
    (sentence,) = caution(info)
    assert "for checks only" in sentence
    plain = ModelInfo(training={"config": {}})
    assert caution(plain) == []
    assert "Labels" not in describe_training(plain)
