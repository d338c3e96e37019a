"""Compare native evidence with post-hoc attributions on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from softcam.conversion.black_box import BlackBox
from softcam.data.preprocessing import Preprocessing
from softcam.data.records import Table
from softcam.errors import InputError
from softcam.evaluation.classification import classification
from softcam.evaluation.consistency.randomisation import SURVIVES, map_similarity
from softcam.evaluation.explanations.conclusions import SAME_MAP, SURVIVOR, conclude
from softcam.evaluation.explanations.result import (
    Answer,
    CurveSet,
    ExplanationBenchmark,
    MapKind,
    Method,
    MethodRow,
    Skipped,
)
from softcam.evaluation.explanations.shortcut import Shortcut
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evidence.info import Task
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.methods import GROUPS
from softcam.explanation.attributions.methods import methods as find_methods
from softcam.explanation.attributions.subject import Subject, subject_of
from softcam.training.run import Run
from softcam.workflows.benchmark.assemble import curve_sets, rows_of, size_recalls, tables
from softcam.workflows.benchmark.choose import (
    CaseBatch,
    Chosen,
    case_batches,
    choose,
    lesion_findings,
)
from softcam.workflows.benchmark.gallery import Gallery
from softcam.workflows.benchmark.maps import Cost, MapStore
from softcam.workflows.benchmark.measuring import Asked, Known, baselines_of, layout, measure
from softcam.workflows.benchmark.probes import NAMES as PROBED
from softcam.workflows.benchmark.probes import Probes, probe, randomised
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.benchmark.shortcuts import shortcuts_of
from softcam.workflows.benchmark.store import digest_of, missing_rows
from softcam.workflows.evaluate import (
    choose_split,
    load_twin,
    read_for,
    require_same_classes,
)
from softcam.workflows.inference import batches, predict_table, task_of
from softcam.workflows.models import RunLike, load_run, preprocessing_of
from softcam.workflows.progress import image_progress

Floats = npt.NDArray[np.float64]
Model = SoftCAM | BlackBox
Drops = dict[tuple[str, bool], torch.Tensor]

_VERSION = "1"  # of the measures: another one makes old values unfindable
_MEAN_OF = 64  # images that the mean colour is taken from


@dataclass
class _Column:
    """One kind of map while it is measured."""

    method: Method
    attribution: Attribution
    subject: Subject
    contrast: bool
    values: dict[str, Floats] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        native = self.attribution.name == "evidence" and not self.contrast
        return Asked(self.subject, self.attribution.signed, native)


def benchmark(
    model: SoftCAM | BlackBox | RunLike,
    table: Table | Path | str,
    *,
    twins: Mapping[str, SoftCAM | BlackBox | RunLike] | None = None,
    settings: BenchmarkSettings | None = None,
    methods_of: Mapping[str, Sequence[str]] | None = None,
    split: str | None = None,
    images: Path | None = None,
    dataset: Path | None = None,
    cache: Path | None = None,
    device: str = "cpu",
    show_progress: bool = False,
) -> ExplanationBenchmark:
    """Explain a table's images in many ways and measure the maps.

    Args:
        model: The model whose maps are the reference: a SoftCAM, or a black box, or their run.
        table: A table, or its path.
        twins: Name to another model of the same classes and input, such as the stock black-box
            twin, or the same backbone trained as a black box. A SoftCAM among them is explained
            by its own evidence too.
        settings: How to measure.
        methods_of: Name of a model to the methods that explain it, where they are not those of
            the settings: ("evidence",) for one whose native maps alone are wanted.
        split: Which split; the test split if None, or all images of a table without splits.
        images: Folder of the images, if not beside the table.
        dataset: The dataset.yaml, if not beside the table.
        cache: Folder where maps and values are kept, so that a rerun is free; None keeps none.
        device: "cpu" or "cuda".
        show_progress: Whether to show a progress bar.

    Returns:
        Everything that was found; `softcam.report.explanations` writes it.

    Raises:
        InputError: If model, table, an image or a setting cannot be used.
    """
    how = settings or BenchmarkSettings()
    main = model if isinstance(model, SoftCAM | BlackBox) else load_run(model)
    models: dict[str, Model] = {_name_of(main): main}
    for name, given in (twins or {}).items():
        if name in models:
            raise InputError(f"{name}: two models have this name; give another.")
        models[name] = _load_other(given, main)
    named = methods_of or {}
    if strange := sorted(set(named) - set(models)):
        raise InputError(f"There is no model {strange[0]!r}; there are: {', '.join(models)}.")
    # Native evidence leads, wherever it was named: what comes first is the reference.
    attributions = {
        name: sorted(
            find_methods(named.get(name, how.methods)), key=lambda found: found.name != "evidence"
        )
        for name in models
    }
    whole = (
        table
        if isinstance(table, Table)
        else read_for(main.info, table, images=images, dataset=dataset)
    )
    task_of(main.info)
    require_same_classes(whole, main.info)
    part, split_name = choose_split(whole, split)
    for other in models.values():
        other.to(device)
    chosen = choose(part, main.info, limit=how.limit, seed=how.seed)
    bench = _Bench(models, chosen, how, MapStore(cache), preprocessing_of(main), show_progress)
    columns, skipped = bench.columns(attributions)
    if not columns:
        why = "; ".join(dict.fromkeys(item.why for item in skipped))
        raise InputError(f"No method can explain these models: {why}.")
    bench.measure(columns)
    bench.probe(columns)
    return bench.result(columns, skipped, part, split_name)


def _decision(subject: Subject) -> str:
    """What turns a subject's logits into answers: other settings give other values."""
    info = subject.info
    return f"{info.task} {info.classes} {info.positive} {info.thresholds}"


def _name_of(model: Model) -> str:
    return "SoftCAM" if isinstance(model, SoftCAM) else "Black box"


def _load_other(given: SoftCAM | BlackBox | RunLike, main: Model) -> Model:
    if isinstance(given, SoftCAM):
        other: Model = given
    elif isinstance(given, BlackBox):
        other = given
    else:
        other = load_run(given)
    if isinstance(other, BlackBox):
        twin = load_twin(other, main.info)
        assert twin is not None  # it was given
        return twin
    what = given if isinstance(given, str | Path) else given.path if isinstance(given, Run) else ""
    if other.info.classes != main.info.classes:
        raise InputError(
            f"{what or 'a model'}: its classes are {', '.join(other.info.classes)}, the others' "
            f"{', '.join(main.info.classes)}; give models trained on the same table."
        )
    if other.info.preprocessing != main.info.preprocessing:
        raise InputError(
            f"{what or 'a model'}: prepares images in another way than the first model; give "
            "models trained with the same size and resize rule."
        )
    return other


class _Bench:
    """The state of one benchmark: models, images, what is kept on disk."""

    def __init__(
        self,
        models: Mapping[str, Model],
        chosen: Chosen,
        settings: BenchmarkSettings,
        store: MapStore,
        preprocessing: Preprocessing,
        show_progress: bool,
    ) -> None:
        self.models = models
        self.subjects = {name: subject_of(model, name) for name, model in models.items()}
        self.chosen = chosen
        self.settings = settings
        self.store = store
        self.preprocessing = preprocessing
        self.show_progress = show_progress
        self.mean = self._mean_colour()
        self.baselines = baselines_of(settings, self.mean)
        self.patients = [case.patient for case in chosen.cases]
        self.findings = lesion_findings(chosen.table)
        self.sizes = layout(settings, self.findings)
        self.gallery = Gallery(chosen, preprocessing, settings.gallery)
        self.agreements: dict[str, list[float]] = {}
        self.followed = self._drawn(settings.followed)

    def columns(
        self, attributions: Mapping[str, Sequence[Attribution]]
    ) -> tuple[list[_Column], list[Skipped]]:
        """Pair methods and models; the reference, native evidence of the first model, leads."""
        columns, skipped = [], []
        task = next(iter(self.subjects.values())).task
        for subject in self.subjects.values():
            one_map = task is Task.MULTILABEL or self.models[subject.name].num_outputs == 1
            # Of these the contrast is the logit itself.
            kinds: tuple[MapKind, ...] = ("own",) if one_map else self.settings.maps
            for attribution in attributions[subject.name]:
                if attribution.name == "evidence" and subject.softcam is None:
                    continue  # a black box has none: nothing was left out
                if why := attribution.refusal(subject):
                    skipped.append(Skipped(subject.name, attribution.label, why))
                    continue
                shown: tuple[MapKind, ...] = kinds if attribution.by_class else ("-",)
                for kind in shown:
                    method = Method(subject.name, attribution.name, attribution.label, kind)
                    columns.append(_Column(method, attribution, subject, kind == "contrast"))
        return columns, skipped

    def measure(self, columns: Sequence[_Column]) -> None:
        """Measure all maps, batch by batch, so that memory does not grow with the images."""
        count = len(self.chosen.cases)
        for column in columns:
            column.values = {
                name: np.full((count, length) if length > 1 else count, np.nan)
                for name, length in self.sizes.items()
            }
        total = count * len(columns)
        done = 0
        with image_progress("measuring maps", shown=self.show_progress) as told:
            for batch in self._batches():
                firsts: dict[str, npt.NDArray[np.float32]] = {}
                curves: Known = {}
                for column in columns:
                    maps = self.store.maps(
                        column.attribution,
                        column.subject,
                        batch.pixels,
                        batch.classes,
                        contrast=column.contrast,
                        timed=True,
                    )
                    for name, values in self._measured(column, maps, batch, curves).items():
                        column.values[name][batch.rows] = values
                    done += len(batch.rows)
                    told(done, total)
                    self._compare(column, maps, firsts)
                    self.gallery.add(column.method, maps, batch)

    def _measured(
        self,
        column: _Column,
        maps: npt.NDArray[np.float32],
        batch: CaseBatch,
        curves: Known,
    ) -> dict[str, Floats]:
        """Measure a batch, or find what was measured before."""
        sizes = self.sizes
        arrays, asked = self.store.arrays, column.asked
        how = f"{_VERSION} {self.settings.counts()} {self.settings.baselines} {self.mean} {sizes}"
        how += f" {asked.native} {asked.signed} {_decision(column.subject)}"
        own = self.store.keys(
            column.attribution,
            column.subject,
            batch.pixels,
            batch.classes,
            contrast=column.contrast,
        )
        marks = batch.marks()
        keys = [
            digest_of(
                how,
                own[i],
                str(
                    (
                        int(batch.classes[i]),
                        bool(batch.present[i]),
                        bool(self.followed[batch.rows[i]]),
                    )
                ),
                np.packbits(marks[i]),
            )
            for i in range(len(own))
        ]
        known = [arrays.read(key, ndim=1, dtype=np.float64) for key in keys]
        if missing := missing_rows(known):
            rows = np.array(missing)
            part = batch.take(rows)
            followed = self.followed[part.rows]
            found = measure(
                asked, maps[rows], part, self.settings, self.baselines, curves, followed
            )
            for place, row in enumerate(missing):
                flat = np.concatenate([np.atleast_1d(found[name][place]) for name in sizes])
                known[row] = flat
                arrays.write(keys[row], flat)
        table = np.stack([values for values in known if values is not None])
        ends = np.cumsum([0, *sizes.values()])
        return {
            name: table[:, start] if length == 1 else table[:, start : start + length]
            for (name, length), start in zip(sizes.items(), ends[:-1], strict=True)
        }

    def probe(self, columns: Sequence[_Column]) -> None:
        """Take the costly measures on a few images."""
        rows = np.flatnonzero(self._drawn(self.settings.probes))
        if not rows.size:
            return
        seed, size = self.settings.seed, self.settings.batch_size
        blanks = {name: randomised(model, name, seed=seed) for name, model in self.models.items()}
        for column in columns:
            for name in PROBED:
                column.values[name] = np.full(len(self.chosen.cases), np.nan)
        with image_progress("probing maps", shown=self.show_progress) as told:
            done = 0
            for start in range(0, len(rows), size):  # memory does not grow with their number
                some = rows[start : start + size]
                probes = Probes.of(
                    some,
                    self.chosen.classes[some],
                    self._others,
                    self._load,
                    seed=seed + start,
                )
                drops: Drops = {}
                for column in columns:
                    table = self._probed(column, blanks[column.subject.name], probes, drops)
                    for name, values in zip(PROBED, table, strict=True):
                        column.values[name][some] = values
                    done += len(some)
                    told(done, len(rows) * len(columns))

    def _probed(self, column: _Column, blank: Subject, probes: Probes, drops: Drops) -> Floats:
        baseline: Baseline = self.baselines[self.settings.baselines[0]]
        how = f"{_VERSION} probes {self.settings.seed} {self.settings.baselines[0]} {self.mean}"
        own = self.store.keys(
            column.attribution,
            column.subject,
            probes.pixels,
            probes.classes,
            contrast=column.contrast,
        )
        key = digest_of(
            f"{how} {_decision(column.subject)} {self.preprocessing.to_dict()}",
            *own,
            probes.classes,
            probes.mosaics,
        )
        known = self.store.arrays.read(key, ndim=2, dtype=np.float64)
        if known is None:
            found = probe(
                column.attribution,
                column.subject,
                blank,
                probes,
                self.store,
                contrast=column.contrast,
                preprocessing=self.preprocessing,
                baseline=baseline,
                batch_size=self.settings.batch_size,
                seed=self.settings.seed,
                drops=drops,
            )
            known = np.stack([found[name] for name in PROBED])
            self.store.arrays.write(key, known)
        return known

    def result(
        self,
        columns: Sequence[_Column],
        skipped: Sequence[Skipped],
        part: Table,
        split_name: str,
    ) -> ExplanationBenchmark:
        """Bring everything together."""
        settings = self.settings
        methods = [column.method for column in columns]
        values = {column.method: column.values for column in columns}
        found = tables(values, methods)
        rows = [
            self._with_costs(row, column)
            for row, column in zip(
                rows_of(found, methods, self.patients, settings), columns, strict=True
            )
        ]
        curves: list[CurveSet] = curve_sets(values, methods, self.patients, settings)
        answers = self._answers(part)
        class_name = self.chosen.cases[0].class_name
        shortcuts: list[Shortcut] = []
        if task_of(next(iter(self.models.values())).info) is Task.BINARY:
            shortcuts = self._shortcuts(columns)
        conclusions = conclude(
            rows,
            methods[0],
            {name: subject.weight is not None for name, subject in self.subjects.items()},
            {name: min(lows) for name, lows in self.agreements.items()},
            answers,
            [(item, class_name) for item in shortcuts],
        )
        cases = self.chosen.cases
        return ExplanationBenchmark(
            rows=tuple(rows),
            reference=methods[0],
            cases=cases,
            values=found,
            curves=tuple(curves),
            recalls=tuple(size_recalls(values, methods, self.findings, self.patients, settings)),
            answers=tuple(answers),
            skipped=tuple(skipped),
            conclusions=conclusions,
            gallery=self.gallery.cases(self.models),
            counts={
                "images": len(cases),
                "patients": len(set(self.patients)),
                "of the class": sum(case.present for case in cases),
                "annotated": sum(case.annotated for case in cases),
                "left out by the limit or without a label": self.chosen.left_out,
            },
            settings={
                "table": self.chosen.table.path.name,
                "split": split_name,
                "grid": "model input, maps resized bicubically, negatives clipped for localisation",
                "patch_px": settings.patch(self.preprocessing.size),
                "mean_colour": [round(value, 6) for value in self.mean],
                **settings.to_dict(),
            },
        )

    def _with_costs(self, row: MethodRow, column: _Column) -> MethodRow:
        key = (column.subject.name, column.attribution.name, column.contrast)
        cost = self.store.costs.get(key, Cost())
        flags = []
        similarity = row.means.get("randomised_similarity")
        # The interval, not the mean alone: on few images a mean is easily above by chance.
        if similarity is not None and similarity.low >= SURVIVES:
            flags.append(SURVIVOR)
        return replace(
            row,
            seconds=cost.median,
            peak_mib=cost.peak_mib,
            flags=tuple(flags),
            floor=column.attribution.name in GROUPS["floors"],
        )

    def _batches(self) -> Any:
        return case_batches(
            self.chosen,
            self.preprocessing,
            batch_size=self.settings.batch_size,
            title="",
            show_progress=False,
        )

    def _load(self, rows: Sequence[int]) -> npt.NDArray[np.float32]:
        records = tuple(self.chosen.table.records[row] for row in rows)
        part = replace(self.chosen.table, records=records)
        read = batches(part, self.preprocessing, batch_size=self.settings.batch_size)
        return np.concatenate([batch.pixels for batch in read])

    def _mean_colour(self) -> tuple[float, ...]:
        """Mean of the images in normalised units, from a sample of them."""
        count = len(self.chosen.cases)
        rng = np.random.default_rng(self.settings.seed)
        rows = np.sort(rng.permutation(count)[:_MEAN_OF]).tolist()
        mean = self._load(rows).mean(axis=(0, 2, 3), dtype=np.float64)
        return tuple(float(value) for value in mean)

    def _drawn(self, most: int) -> npt.NDArray[np.bool_]:
        """Draw at most so many of the cases whose class is present, all for 0."""
        present = np.flatnonzero([case.present for case in self.chosen.cases])
        order = np.random.default_rng(self.settings.seed).permutation(len(present))
        drawn = np.zeros(len(self.chosen.cases), dtype=np.bool_)
        drawn[present[order[: most or len(present)]]] = True
        return drawn

    def _others(self, class_index: int) -> npt.NDArray[np.intp]:
        """Cases whose image is not of a class."""
        labels = [record.label for record in self.chosen.table.records]
        return np.flatnonzero(
            [
                label[class_index] == 0 if isinstance(label, tuple) else label != class_index
                for label in labels
            ]
        )

    def _compare(
        self,
        column: _Column,
        maps: npt.NDArray[np.float32],
        firsts: dict[str, npt.NDArray[np.float32]],
    ) -> None:
        """Check what is said of methods that give the same map by construction."""
        name = column.subject.name
        if column.contrast or column.method.name not in SAME_MAP or column.subject.weight is None:
            return
        first = firsts.setdefault(name, maps)
        if first is not maps:
            alike = map_similarity(torch.from_numpy(first), torch.from_numpy(maps), absolute=False)
            known = alike[~alike.isnan()]
            if len(known):
                self.agreements.setdefault(name, []).append(float(known.min()))

    def _answers(self, part: Table) -> list[Answer]:
        answers = []
        for name, model in self.models.items():
            info = model.info
            predictions = predict_table(model, part, batch_size=self.settings.batch_size)
            found = classification(
                predictions.probabilities,
                part.labels(),
                task=task_of(info),
                classes=info.classes,
                positive=info.positive,
                thresholds=info.thresholds,
                patients=part.patients(),
                resamples=self.settings.resamples,
                seed=self.settings.seed,
            )
            answers.append(Answer(name, found.intervals["auc"], found.intervals["accuracy"]))
        return answers

    def _shortcuts(self, columns: Sequence[_Column]) -> list[Shortcut]:
        found = []
        for name, subject in self.subjects.items():
            # A floor's map knows nothing of the model.
            column = next(
                (
                    column
                    for column in columns
                    if column.method.subject == name
                    and column.attribution.name not in GROUPS["floors"]
                ),
                None,
            )
            if column is not None:
                found += shortcuts_of(
                    subject,
                    self.chosen,
                    self._batches,
                    partial(self._on_input, column),
                    self.baselines[self.settings.baselines[0]],
                    self.settings,
                    method=column.method.short,
                )
        return found

    def _on_input(self, column: _Column, batch: CaseBatch) -> npt.NDArray[np.float32]:
        maps = self.store.maps(
            column.attribution,
            column.subject,
            batch.pixels,
            batch.classes,
            contrast=column.contrast,
        )
        return batch.geometries[0].map_to_input(maps, interpolation="bicubic")
