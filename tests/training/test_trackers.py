import sys
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from softcam.errors import MissingExtraError
from softcam.training import trackers
from softcam.training.config import make_config
from softcam.training.trackers import make_loggers, mlflow_logger


def config(folder, **values):
    return make_config({"table": "t", "out": folder, **values})


def test_tensorboard_is_always_there(tmp_path):
    (logger,) = make_loggers(config(tmp_path), tmp_path)
    assert isinstance(logger, TensorBoardLogger)
    assert Path(logger.log_dir) == tmp_path / "logs"


def test_without_mlflow_the_install_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(MissingExtraError, match=r'pip install "softcam\[mlflow\]"'):
        make_loggers(config(tmp_path, mlflow=True), tmp_path)


class Recorded:
    """Stands for Lightning's logger, which needs mlflow."""

    made: list[dict]

    def __init__(self, **given):
        self.made.append(given)
        self.run_id = given["run_id"] or "abc"

    def log_hyperparams(self, values):
        self.made[-1]["values"] = values


def test_a_resumed_run_goes_on_in_its_mlflow_run(tmp_path, monkeypatch):
    monkeypatch.setattr(Recorded, "made", [], raising=False)
    monkeypatch.setattr(trackers, "MLFlowLogger", Recorded)
    monkeypatch.setattr(trackers, "require_mlflow", lambda: None)
    folder = tmp_path / "fundus"
    folder.mkdir()
    settings = config(folder, mlflow=True, epochs=7)
    for _ in range(2):
        assert len(make_loggers(settings, folder)) == 2
    first, second = Recorded.made
    assert (first["run_id"], second["run_id"]) == (None, "abc")
    assert first["values"]["epochs"] == 7
    assert "values" not in second
    assert first["run_name"] == "fundus"
    assert first["tracking_uri"] == (folder / "mlruns").as_uri()
    (folder / "twin").mkdir()
    twin = config(folder, mlflow=True, mlflow_uri="sqlite:///x.db")
    mlflow_logger(twin, folder / "twin")
    assert Recorded.made[-1]["run_name"] == "fundus-twin"
    assert Recorded.made[-1]["tracking_uri"] == "sqlite:///x.db"


def test_mlflow_records_metrics_in_the_run_folder(tmp_path):
    pytest.importorskip("mlflow")
    logger = mlflow_logger(config(tmp_path, mlflow=True), tmp_path)
    logger.log_metrics({"val_auc": 0.5}, step=3)
    again = mlflow_logger(config(tmp_path, mlflow=True), tmp_path)
    assert again.run_id == logger.run_id
    found = again.experiment.get_metric_history(logger.run_id, "val_auc")
    assert [(metric.step, metric.value) for metric in found] == [(3, 0.5)]
