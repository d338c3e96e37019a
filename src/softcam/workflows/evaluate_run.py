"""Measure a run on a table and write the results beside the model."""

from __future__ import annotations

from pathlib import Path

from softcam.errors import InputError
from softcam.training.run import Run, find_model
from softcam.workflows.evaluate import Assessment, read_for
from softcam.workflows.inference import views_of
from softcam.workflows.models import load_run
from softcam.workflows.results import RESULTS, write_results


def evaluate_run(
    run: Path | str,
    table: Path | str,
    *,
    twin: Path | str | None = None,
    split: str | None = None,
    out: Path | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    tta: str = "none",
    show_progress: bool = False,
) -> tuple[Assessment, Path]:
    """Measure a run on a table and write predictions, metrics and report.

    Args:
        run: Run folder or model file.
        table: The table's path.
        twin: Run folder or model file of the black-box twin.
        split: Which split; see `softcam.workflows.evaluate.evaluate`.
        out: Where to write; `evaluation-<folder>-<table>-<split>` beside the model if None (with
            `-<tta>` behind it if views are averaged). A
            former evaluation there is replaced, nothing else is.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        tta: Views of each image to average over: "none", "flips" or "rotations".
        show_progress: Whether to show progress bars.

    Returns:
        What was measured, and the folder.

    Raises:
        InputError: If an input cannot be used or the folder cannot be written.
    """
    path = find_model(run)
    model = load_run(path)
    whole = read_for(model.info, table, images=images, dataset=dataset)
    views_of(model, tta)  # or refuse
    folder = out or path.parent / _folder_name(Path(table), split, tta)
    _check_out(folder)
    source = Run(path.parent)
    assessment = write_results(
        folder,
        model,
        whole,
        twin=twin,
        split=split,
        resamples=resamples,
        seed=seed,
        tta=tta,
        history=source.history(),
        twin_history=Run(Path(twin)).history() if twin is not None else None,
        show_progress=show_progress,
    )
    return assessment, folder


def _folder_name(table: Path, split: str | None, tta: str) -> str:
    place = table.resolve()
    parts = [place.parent.name, place.stem] if place.is_file() else [place.name]
    averaged = [] if tta == "none" else [tta]
    return "-".join(["evaluation", *parts, split or "test", *averaged])


def _check_out(folder: Path) -> None:
    """Refuse a folder that holds anything but a former evaluation."""
    if not folder.is_dir():
        return
    others = sorted(path.name for path in folder.iterdir() if path.name not in RESULTS)
    if others:
        what = "a run" if "config.yaml" in others else f"other files ({others[0]})"
        raise InputError(f"{folder}: holds {what}; choose another --out for the evaluation.")
