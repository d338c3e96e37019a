"""The state of a benchmark while maps are measured: models, images, what is kept on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from softcam.conversion.black_box import BlackBox
from softcam.data.preprocessing import Preprocessing
from softcam.evaluation.consistency.randomisation import map_similarity
from softcam.evaluation.explanations.conclusions import SAME_MAP
from softcam.evaluation.explanations.result import (
    MapKind,
    Method,
    Skipped,
)
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evidence.info import Task
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject, subject_of
from softcam.workflows.benchmark.choose import (
    CaseBatch,
    Chosen,
    case_batches,
    lesion_findings,
)
from softcam.workflows.benchmark.gallery import Gallery
from softcam.workflows.benchmark.maps import MapStore
from softcam.workflows.benchmark.measuring import Asked, Known, baselines_of, layout, measure
from softcam.workflows.benchmark.probes import NAMES as PROBED
from softcam.workflows.benchmark.probes import Probes, probe, randomised
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.benchmark.shuffled import LABEL_SIMILARITY, label_similarity
from softcam.workflows.benchmark.store import digest_of, missing_rows
from softcam.workflows.inference import batches
from softcam.workflows.progress import image_progress

Floats = npt.NDArray[np.float64]
Model = SoftCAM | BlackBox
Drops = dict[tuple[str, bool], torch.Tensor]

_VERSION = "1"  # of the measures: another one makes old values unfindable
_MEAN_OF = 64  # images that the mean colour is taken from


@dataclass
class Column:
    """One kind of map while it is measured.

    Attributes:
        method: What tables call it.
        attribution: The method.
        subject: The model that is explained.
        contrast: Whether the contrast is explained instead of the class's own score.
        values: What was measured, by name: (cases,) or (cases, points).
    """

    method: Method
    attribution: Attribution
    subject: Subject
    contrast: bool
    values: dict[str, Floats] = field(default_factory=dict)

    @property
    def asked(self) -> Asked:
        """What a measure needs to know of the map."""
        native = self.attribution.name == "evidence" and not self.contrast
        return Asked(self.subject, self.attribution.signed, native)

    def maps(
        self, store: MapStore, batch: CaseBatch, *, timed: bool = False
    ) -> npt.NDArray[np.float32]:
        """Give the maps of a batch, (B, h, w), at the method's own resolution."""
        return store.maps(
            self.attribution,
            self.subject,
            batch.pixels,
            batch.classes,
            contrast=self.contrast,
            timed=timed,
        )

    def keys(self, store: MapStore, images: CaseBatch | Probes) -> list[str]:
        """Identify the maps of some images by all that they depend on."""
        return store.keys(
            self.attribution, self.subject, images.pixels, images.classes, contrast=self.contrast
        )


def _decision(subject: Subject) -> str:
    """What turns a subject's logits into answers: other settings give other values."""
    info = subject.info
    return f"{info.task} {info.classes} {info.positive} {info.thresholds}"


class Bench:
    """The state of one benchmark: models, images, what is kept on disk.

    Args:
        models: The models by name, the reference first.
        chosen: The images.
        settings: How to measure.
        store: Where maps and values are kept.
        preprocessing: How pixels become input.
        show_progress: Whether to show progress bars.
        shuffled: Name of a model to its like that was trained on shuffled labels.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        chosen: Chosen,
        settings: BenchmarkSettings,
        store: MapStore,
        preprocessing: Preprocessing,
        show_progress: bool,
        shuffled: Mapping[str, Model] | None = None,
    ) -> None:
        self.models = models
        self.shuffled = {name: subject_of(model, name) for name, model in (shuffled or {}).items()}
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
    ) -> tuple[list[Column], list[Skipped]]:
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
                    columns.append(Column(method, attribution, subject, kind == "contrast"))
        return columns, skipped

    def measure(self, columns: Sequence[Column]) -> None:
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
            for batch in self.batches():
                firsts: dict[str, npt.NDArray[np.float32]] = {}
                curves: Known = {}
                for column in columns:
                    maps = column.maps(self.store, batch, timed=True)
                    for name, values in self._measured(column, maps, batch, curves).items():
                        column.values[name][batch.rows] = values
                    done += len(batch.rows)
                    told(done, total)
                    self._compare(column, maps, firsts)
                    self.gallery.add(column.method, maps, batch)

    def _measured(
        self,
        column: Column,
        maps: npt.NDArray[np.float32],
        batch: CaseBatch,
        curves: Known,
    ) -> dict[str, Floats]:
        """Measure a batch, or find what was measured before."""
        sizes = self.sizes
        arrays, asked = self.store.arrays, column.asked
        how = f"{_VERSION} {self.settings.counts()} {self.settings.baselines} {self.mean} {sizes}"
        how += f" {asked.native} {asked.signed} {_decision(column.subject)}"
        own = column.keys(self.store, batch)
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

    def probe(self, columns: Sequence[Column]) -> None:
        """Take the costly measures on a few images."""
        rows = np.flatnonzero(self._drawn(self.settings.probes))
        if not rows.size:
            return
        seed, size = self.settings.seed, self.settings.batch_size
        blanks = {name: randomised(model, name, seed=seed) for name, model in self.models.items()}
        for column in columns:
            for name in (*PROBED, LABEL_SIMILARITY):
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
                    column.values[LABEL_SIMILARITY][some] = self._label_similarity(column, probes)
                    done += len(some)
                    told(done, len(rows) * len(columns))

    def _probed(self, column: Column, blank: Subject, probes: Probes, drops: Drops) -> Floats:
        baseline: Baseline = self.baselines[self.settings.baselines[0]]
        how = f"{_VERSION} probes {self.settings.seed} {self.settings.baselines[0]} {self.mean}"
        own = column.keys(self.store, probes)
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

    def _label_similarity(self, column: Column, probes: Probes) -> Floats:
        """Hold maps against those of the shuffled model; NaN where there is none."""
        other = self.shuffled.get(column.subject.name)
        if other is None:
            return np.full(len(probes.rows), np.nan)
        return label_similarity(
            column.attribution,
            column.subject,
            other,
            probes,
            self.store,
            contrast=column.contrast,
            batch_size=self.settings.batch_size,
        )

    def batches(self) -> Iterator[CaseBatch]:
        """Read the chosen images, a batch at a time."""
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
        column: Column,
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

    def on_input(self, column: Column, batch: CaseBatch) -> npt.NDArray[np.float32]:
        """Give a method's maps on the input grid, shape (B, H, W)."""
        maps = column.maps(self.store, batch)
        return batch.geometries[0].map_to_input(maps, interpolation="bicubic")
