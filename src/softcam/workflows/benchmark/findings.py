"""What a measured benchmark came to: rows, curves, answers, shortcuts and conclusions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from softcam.data.records import Table
from softcam.evaluation.classification import classification
from softcam.evaluation.consistency.randomisation import SURVIVES
from softcam.evaluation.explanations.conclusions import SURVIVORS, conclude
from softcam.evaluation.explanations.result import (
    Answer,
    CurveSet,
    ExplanationBenchmark,
    MethodRow,
    Skipped,
)
from softcam.evaluation.explanations.shortcut import Shortcut
from softcam.evidence.info import Task
from softcam.explanation.attributions.methods import GROUPS
from softcam.workflows.benchmark.assemble import curve_sets, rows_of, size_recalls, tables
from softcam.workflows.benchmark.bench import Bench, Column
from softcam.workflows.benchmark.maps import Cost
from softcam.workflows.benchmark.shortcuts import shortcuts_of
from softcam.workflows.inference import predict_table, task_of


def result(
    bench: Bench,
    columns: Sequence[Column],
    skipped: Sequence[Skipped],
    part: Table,
    split_name: str,
) -> ExplanationBenchmark:
    """Bring everything together.

    Args:
        bench: The benchmark.
        columns: The methods, measured.
        skipped: What could not explain a model.
        part: All images of the split, for the classification.
        split_name: What the split is called.

    Returns:
        The result.
    """
    settings = bench.settings
    methods = [column.method for column in columns]
    values = {column.method: column.values for column in columns}
    found = tables(values, methods)
    rows = [
        _with_costs(bench, row, column)
        for row, column in zip(
            rows_of(found, methods, bench.patients, settings), columns, strict=True
        )
    ]
    curves: list[CurveSet] = curve_sets(values, methods, bench.patients, settings)
    answers = _answers(bench, part)
    shortcuts: list[Shortcut] = []
    if task_of(next(iter(bench.models.values())).info) is Task.BINARY:
        shortcuts = _shortcuts(bench, columns)
    conclusions = conclude(
        rows,
        methods[0],
        {name: subject.weight is not None for name, subject in bench.subjects.items()},
        {name: min(lows) for name, lows in bench.agreements.items()},
        answers,
        shortcuts,
    )
    cases = bench.chosen.cases
    return ExplanationBenchmark(
        rows=tuple(rows),
        reference=methods[0],
        cases=cases,
        values=found,
        curves=tuple(curves),
        recalls=tuple(size_recalls(values, methods, bench.findings, bench.patients, settings)),
        answers=tuple(answers),
        skipped=tuple(skipped),
        conclusions=conclusions,
        shortcuts=tuple(shortcuts),
        gallery=bench.gallery.cases(bench.models),
        counts={
            "images": len(cases),
            "patients": len(set(bench.patients)),
            "of the class": sum(case.present for case in cases),
            "annotated": sum(case.annotated for case in cases),
            "left out by the limit or without a label": bench.chosen.left_out,
        },
        settings={
            "table": bench.chosen.table.path.name,
            "split": split_name,
            "grid": "model input, maps resized bicubically, negatives clipped for localisation",
            "patch_px": settings.patch(bench.preprocessing.size),
            "held against shuffled labels": sorted(bench.shuffled),
            "mean_colour": [round(value, 6) for value in bench.mean],
            **settings.to_dict(),
        },
    )


def _with_costs(bench: Bench, row: MethodRow, column: Column) -> MethodRow:
    key = (column.subject.name, column.attribution.name, column.contrast)
    cost = bench.store.costs.get(key, Cost())
    flags = []
    for measure, flag in SURVIVORS.items():
        similarity = row.means.get(measure)
        # The interval, not the mean alone: on few images a mean is easily above by chance.
        if similarity is not None and similarity.low >= SURVIVES:
            flags.append(flag)
    return replace(
        row,
        seconds=cost.median,
        peak_mib=cost.peak_mib,
        flags=tuple(flags),
        floor=column.attribution.name in GROUPS["floors"],
    )


def _answers(bench: Bench, part: Table) -> list[Answer]:
    answers = []
    for name, model in bench.models.items():
        info = model.info
        predictions = predict_table(model, part, batch_size=bench.settings.batch_size)
        found = classification(
            predictions.probabilities,
            part.labels(),
            task=task_of(info),
            classes=info.classes,
            positive=info.positive,
            thresholds=info.thresholds,
            patients=part.patients(),
            resamples=bench.settings.resamples,
            seed=bench.settings.seed,
        )
        answers.append(Answer(name, found.intervals["auc"], found.intervals["accuracy"]))
    return answers


def _shortcuts(bench: Bench, columns: Sequence[Column]) -> list[Shortcut]:
    found = []
    for name, subject in bench.subjects.items():
        # A floor's map knows nothing of the model.
        column = next(
            (
                column
                for column in columns
                if column.method.subject == name and column.attribution.name not in GROUPS["floors"]
            ),
            None,
        )
        if column is not None:
            found += shortcuts_of(
                subject,
                bench.chosen,
                bench.batches,
                partial(bench.on_input, column),
                bench.baselines[bench.settings.baselines[0]],
                bench.settings,
                method=column.method.short,
            )
    return found
