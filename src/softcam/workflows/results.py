"""What an evaluation leaves in a folder: predictions.csv, report.html and, last, metrics.json."""

from __future__ import annotations

from pathlib import Path

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Table
from softcam.errors import InputError
from softcam.evaluation.result import to_json
from softcam.evidence.info import ModelInfo
from softcam.evidence.model import SoftCAM
from softcam.files import write_atomically
from softcam.report.content import ReportData
from softcam.report.report import build_report
from softcam.training.run import Run
from softcam.training.shuffling import has_shuffled_labels
from softcam.workflows.cases import draw_cases
from softcam.workflows.describe import (
    caution,
    describe_data,
    describe_provenance,
    describe_training,
    summarise,
)
from softcam.workflows.evaluate import Assessment, assess, load_twin
from softcam.workflows.models import RunLike, load_run

RESULTS = ("metrics.json", "predictions.csv", "report.html")
"""What an evaluation writes; the first is written last and vouches for the others."""


def finish_run(
    run: Run,
    table: Table,
    *,
    twin: Run | None = None,
    seed: int = 0,
    title: str | None = None,
    show_progress: bool = False,
) -> Assessment:
    """Measure a trained run on its test split and complete its folder.

    Args:
        run: A run with a model file.
        table: The whole table; without a test split the validation images are measured.
        twin: The black-box twin's run.
        seed: Seed of the bootstrap.
        title: Heading of the report.
        show_progress: Whether to show progress bars.

    Returns:
        What was measured.
    """
    split = "test" if "test" in table.splits() else "val"
    return write_results(
        run.path,
        load_run(run),
        table,
        twin=twin,
        split=split,
        seed=seed,
        title=title,
        history=run.history(),
        twin_history=[] if twin is None else twin.history(),
        show_progress=show_progress,
    )


def write_results(
    folder: Path,
    model: SoftCAM | BlackBox,
    table: Table,
    *,
    twin: BlackBox | RunLike | None = None,
    split: str | None = None,
    resamples: int = 1000,
    seed: int = 0,
    tta: str = "none",
    title: str | None = None,
    history: list[dict[str, float | None]] | None = None,
    twin_history: list[dict[str, float | None]] | None = None,
    show_progress: bool = False,
) -> Assessment:
    """Measure a model on a table and write what was found.

    Args:
        folder: Where to write; made if it does not exist.
        model: The model.
        table: The table.
        twin: The black-box twin to measure beside it.
        split: Which split; see `softcam.workflows.evaluate.evaluate`.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        tta: Views of each image to average over; see `softcam.workflows.evaluate.evaluate`.
        title: Heading of the report.
        history: Epochs of the model, for the training curves.
        twin_history: Epochs of the twin.
        show_progress: Whether to show progress bars.

    Returns:
        What was measured.

    Raises:
        InputError: If an input cannot be used or the folder cannot be written.
    """
    black_box = load_twin(twin, model.info)
    assessment = assess(
        model,
        table,
        twin=black_box,
        split=split,
        resamples=resamples,
        seed=seed,
        tta=tta,
        show_progress=show_progress,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose another --out."
        ) from error
    (folder / "metrics.json").unlink(missing_ok=True)
    assessment.predictions.write(folder / "predictions.csv", assessment.table)
    data = ReportData(
        title=title or f"{_subject(model.info)} on {table.path.parent.name or table.path.name}",
        summary=[*caution(model.info), *summarise(assessment)],
        data=describe_data(table, assessment),
        training=describe_training(model.info),
        history=history or [],
        twin_history=twin_history or [],
        metrics=assessment.metrics,
        predictions=assessment.curves(),
        cases=draw_cases(model, assessment, twin=black_box, tta=tta),
        provenance=describe_provenance(model.info),
    )
    build_report(folder / "report.html", data, seed=seed)
    write_metrics(folder / "metrics.json", assessment, model.info)
    return assessment


def write_metrics(path: Path, assessment: Assessment, info: ModelInfo) -> None:
    """Write `metrics.json`: what was measured, and how the model was trained.

    Args:
        path: The file.
        assessment: What was measured.
        info: The model's description.
    """
    training = {
        name: info.training.get(name)
        for name in ("best_epoch", "epochs", "seconds", "precision", "validation")
    }
    if has_shuffled_labels(info.training):
        training["shuffled_labels"] = True
    document = {**assessment.metrics.to_dict(), "training": training}
    write_atomically(path, to_json(document) + "\n")


def _subject(info: ModelInfo) -> str:
    kind = "SoftCAM" if info.kind == "softcam" else "Black box"
    return kind if info.architecture is None else f"{kind} {info.architecture.name}"
