"""Compare finished runs on the same images: figures, paired differences, and their tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from softcam.errors import InputError
from softcam.evaluation.comparison.answers import stack_answers
from softcam.evaluation.comparison.compare import compare_answers
from softcam.evaluation.comparison.result import ModelComparison
from softcam.evaluation.result import to_json
from softcam.files import write_atomically
from softcam.report.comparison import comparison_tables
from softcam.report.table_files import write_tables
from softcam.workflows.answered import Answered, predict_answered, read_answered
from softcam.workflows.run_groups import Named, find_reference, group_runs

RESULTS = ("compare.json", "compare.csv", "compare-models.csv", "compare.md", "compare.tex")
"""What a comparison writes; the first is written last and vouches for the others."""


def compare(
    runs: Sequence[Path | str],
    *,
    table: Path | str | None = None,
    split: str | None = None,
    reference: str | None = None,
    measures: Sequence[str] | None = None,
    draw_seeds: bool = False,
    images: Path | None = None,
    dataset: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    show_progress: bool = False,
) -> ModelComparison:
    """Compare runs by what they answered about the same images.

    Runs whose settings differ in the seed alone become one row.

    Args:
        runs: Folders of finished runs or evaluations, as RUN or NAME=RUN; two or more.
        table: A table to run the models on; None reads each run's `predictions.csv`.
        split: train, val, test or all; None for the test images, or all where there are none.
        reference: The run that the others are compared with; the first if None.
        measures: Keys of `softcam.evaluation.comparison.answers.COMPARED_NAMES`; all if None.
        draw_seeds: Whether to resample the seeds too, so that intervals hold for other seeds.
        images: Folder of the table's images, if not beside it.
        dataset: The table's dataset.yaml, if not beside it.
        resamples: Number of bootstrap resamples over patients.
        seed: Seed of the bootstrap.
        show_progress: Whether to show progress bars.

    Returns:
        Every measure of every model, and its differences.

    Raises:
        InputError: If a run cannot be used, or the runs answered about different images.
    """
    named = [Named.of(str(run)) for run in runs]
    if len(named) < 2:
        raise InputError("Give at least two runs to compare.")
    groups, members = group_runs(named)
    base = find_reference(reference, named, groups, members)
    if len(groups) < 2:
        raise InputError(
            f"{named[0].text} and {named[1].text}: differ in the seed alone, which makes one "
            "model; give a run with other settings to compare with."
        )
    answered = [
        _of_split(read_answered(run.path), split)
        if table is None
        else predict_answered(
            run.path,
            table,
            split=split,
            images=images,
            dataset=dataset,
            show_progress=show_progress,
        )
        for run in named
    ]
    first = answered[0]
    answered = [first, *(_aligned(other, first) for other in answered[1:])]
    answers = stack_answers(
        first.task,
        first.classes,
        first.positive,
        first.labels,
        [one.probabilities for one in answered],
        [one.calls for one in answered],
        [one.losses for one in answered],
    )
    seeds = None
    if draw_seeds:
        seeds = [group.seeds or tuple(range(len(group.runs))) for group in groups]
    found = compare_answers(
        answers,
        first.patients,
        measures=measures,
        groups=members,
        seeds=seeds,
        reference=base,
        resamples=resamples,
        seed=seed,
    )
    scored = {first.classes[column] for column in answers.columns}
    return ModelComparison(
        groups=tuple(groups),
        reference=base,
        measures=tuple(found),
        counts={"images": len(first.images), "patients": len(set(first.patients))},
        settings={
            "task": first.task.value,
            "classes": list(first.classes),
            "positive": first.positive,
            "split": _split_name(first),
            "table": None if table is None else Path(table).name,
            "resamples": resamples,
            "seed": seed,
            "level": 0.95,
            "seeds_drawn": draw_seeds,
        },
        absent=()
        if first.positive is not None
        else tuple(name for name in first.classes if name not in scored),
    )


def compare_runs(
    runs: Sequence[Path | str],
    *,
    table: Path | str | None = None,
    split: str | None = None,
    reference: str | None = None,
    measures: Sequence[str] | None = None,
    draw_seeds: bool = False,
    out: Path | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
    show_progress: bool = False,
) -> tuple[ModelComparison, Path]:
    """Compare runs and write the tables.

    Args:
        runs: As in `compare`.
        table: As in `compare`.
        split: As in `compare`.
        reference: As in `compare`.
        measures: As in `compare`.
        draw_seeds: As in `compare`.
        out: Where to write; the folder `comparison` beside the runs if None. A former comparison
            there is replaced, nothing else is.
        images: As in `compare`.
        dataset: As in `compare`.
        resamples: As in `compare`.
        seed: As in `compare`.
        show_progress: As in `compare`.

    Returns:
        What was found, and the folder with compare.csv, compare-models.csv, compare.md,
        compare.tex and, last, compare.json.

    Raises:
        InputError: As in `compare`, or if the folder cannot be written.
    """
    folder = out or _beside([Named.of(str(run)) for run in runs])
    _check_out(folder)
    found = compare(
        runs,
        table=table,
        split=split,
        reference=reference,
        measures=measures,
        draw_seeds=draw_seeds,
        images=images,
        dataset=dataset,
        resamples=resamples,
        seed=seed,
        show_progress=show_progress,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "compare.json").unlink(missing_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be made ({error.strerror}); choose another --out."
        ) from error
    write_tables(comparison_tables(found), folder, "compare", title="Comparison of models")
    write_atomically(folder / "compare.json", to_json(found.to_dict()) + "\n")
    return found, folder


def _of_split(answered: Answered, split: str | None) -> Answered:
    there = set(answered.splits)
    wanted = split
    if wanted is None:
        wanted = "test" if "test" in there else "all"
    if wanted == "all":
        return answered
    rows = np.flatnonzero(np.asarray(answered.splits) == wanted)
    if not rows.size:
        listed = ", ".join(sorted(name or "images without a split" for name in there))
        raise InputError(
            f"{answered.source}: its predictions.csv has no {wanted} images ({listed}); choose "
            "another --split, or give --table to predict them."
        )
    return answered.take(rows)


def _aligned(other: Answered, first: Answered) -> Answered:
    """Put the images in the first run's order; refuse other images, labels or patients."""
    for what, mine, theirs in (
        ("task", other.task.value, first.task.value),
        ("classes", ", ".join(other.classes), ", ".join(first.classes)),
        ("positive class", other.positive, first.positive),
    ):
        if mine != theirs:
            raise InputError(
                f"{other.source}: its {what} is {mine}, that of {first.source} {theirs}; compare "
                "runs of the same table."
            )
    if other.images != first.images:
        places = {name: row for row, name in enumerate(other.images)}
        there = set(first.images)
        for name, without, having in (
            (next((i for i in first.images if i not in places), None), other, first),
            (next((i for i in other.images if i not in there), None), first, other),
        ):
            if name is not None:
                raise InputError(
                    f"{without.source}: has no prediction for {name}, which {having.source} has; "
                    "compare runs of the same images, or give --table to predict them."
                )
        if len(places) != len(other.images) or len(there) != len(first.images):
            raise InputError(f"{other.source}: its predictions.csv names an image twice.")
        other = other.take(np.array([places[name] for name in first.images]))
    for row, name in enumerate(first.images):
        if not np.array_equal(other.labels[row], first.labels[row], equal_nan=True):
            raise InputError(
                f"{other.source}: has another label for {name} than {first.source}; compare runs "
                "of the same table."
            )
        if other.patients[row] != first.patients[row]:
            raise InputError(
                f"{other.source}: has another patient for {name} ({other.patients[row]}) than "
                f"{first.source} ({first.patients[row]}); compare runs of the same table."
            )
    return other


def _split_name(answered: Answered) -> str:
    names = set(answered.splits)
    return names.pop() if len(names) == 1 else "all"


def _beside(runs: Sequence[Named]) -> Path:
    places = [run.folder.resolve() for run in runs]
    if not places:
        return Path("comparison")
    root = Path(os.path.commonpath(places))
    return (root.parent if len(places) == 1 else root) / "comparison"


def _check_out(folder: Path) -> None:
    """Refuse a folder that holds anything but a former comparison."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file, not a folder; choose another --out.")
    if folder.is_dir():
        others = sorted(path.name for path in folder.iterdir() if path.name not in RESULTS)
        if others:
            what = "a run" if "config.yaml" in others else f"other files ({others[0]})"
            raise InputError(f"{folder}: holds {what}; choose another --out for the comparison.")
