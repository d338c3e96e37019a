"""Where a run's curves go beside `logs/metrics.csv`: TensorBoard, and MLflow if asked for."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger

from softcam.errors import MissingExtraError, WorkError
from softcam.files import write_atomically
from softcam.training.config import TrainConfig

_RUN = "mlflow-run.txt"
"""The MLflow run of a run folder, so that a resumed run goes on in it."""


def make_loggers(config: TrainConfig, folder: Path, *, first: bool = True) -> list[Logger]:
    """Build the loggers of a run.

    Args:
        config: The settings.
        folder: The run folder; TensorBoard's events go to its `logs`.
        first: Whether this is the first of several processes, which alone writes to MLflow.

    Returns:
        TensorBoard's, and MLflow's if asked for.

    Raises:
        MissingExtraError: If MLflow is asked for and not installed.
        WorkError: If its server cannot be used.
    """
    loggers: list[Logger] = [TensorBoardLogger(folder, name="logs", version="")]
    if config.mlflow and first:
        loggers.append(mlflow_logger(config, folder))
    return loggers


def require_mlflow() -> None:
    """Look whether MLflow is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import mlflow  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "logging to MLflow needs mlflow, which is not installed; run: "
            'pip install "softcam[mlflow]"'
        ) from error


def mlflow_logger(config: TrainConfig, folder: Path) -> Logger:
    """Build MLflow's logger: an experiment called softcam, a run called as the run folder.

    Args:
        config: The settings; without `mlflow_uri` the run folder's `mlruns` is written.
        folder: The run folder, which remembers the MLflow run.

    Returns:
        The logger.

    Raises:
        MissingExtraError: If MLflow is not installed.
        WorkError: If its server cannot be used.
    """
    require_mlflow()
    uri = config.mlflow_uri or (folder / "mlruns").absolute().as_uri()
    remembered = folder / "logs" / _RUN
    before = remembered.read_text("utf-8").strip() if remembered.is_file() else None
    name = f"{folder.parent.name}-twin" if folder.name == "twin" else folder.name
    logger = MLFlowLogger(experiment_name="softcam", run_name=name, tracking_uri=uri, run_id=before)
    try:
        if before is None:
            logger.log_hyperparams(config.model_dump(mode="json"))
            remembered.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(remembered, f"{logger.run_id}\n")
    except Exception as error:  # whatever MLflow and its many stores raise
        detail = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise WorkError(
            f"mlflow: {uri} cannot be used ({detail}); give another --mlflow-uri."
        ) from error
    return logger
