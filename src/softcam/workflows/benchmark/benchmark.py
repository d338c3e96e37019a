"""Compare native evidence with post-hoc attributions on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from softcam.conversion.black_box import BlackBox
from softcam.data.records import Table
from softcam.errors import InputError
from softcam.evaluation.explanations.result import (
    ExplanationBenchmark,
)
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.methods import methods as find_methods
from softcam.training.run import Run
from softcam.workflows.benchmark.bench import Bench, Model
from softcam.workflows.benchmark.choose import (
    choose,
)
from softcam.workflows.benchmark.findings import result
from softcam.workflows.benchmark.maps import MapStore
from softcam.workflows.benchmark.settings import BenchmarkSettings
from softcam.workflows.benchmark.shuffled import load_shuffled
from softcam.workflows.evaluate import (
    choose_split,
    load_twin,
    read_for,
    require_same_classes,
)
from softcam.workflows.inference import task_of
from softcam.workflows.models import RunLike, load_run, preprocessing_of


def benchmark(
    model: SoftCAM | BlackBox | RunLike,
    table: Table | Path | str,
    *,
    twins: Mapping[str, SoftCAM | BlackBox | RunLike] | None = None,
    settings: BenchmarkSettings | None = None,
    methods_of: Mapping[str, Sequence[str]] | None = None,
    shuffled: SoftCAM | BlackBox | RunLike | None = None,
    shuffled_twins: Mapping[str, SoftCAM | BlackBox | RunLike] | None = None,
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
        shuffled: A model trained as the first one was, but on shuffled labels (`shuffle_labels`
            of its training): maps that are much the same are flagged.
        shuffled_twins: Name of a twin to the same for it.
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
    held: dict[str, SoftCAM | BlackBox | RunLike] = {**(shuffled_twins or {})}
    if shuffled is not None:
        held[_name_of(main)] = shuffled
    if unknown := sorted(set(held) - set(models)):
        raise InputError(f"There is no model {unknown[0]!r}; there are: {', '.join(models)}.")
    against = {name: load_shuffled(given, models[name]) for name, given in held.items()}
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
    for other in (*models.values(), *against.values()):
        other.to(device)
    chosen = choose(part, main.info, limit=how.limit, seed=how.seed)
    rules = preprocessing_of(main)
    bench = Bench(models, chosen, how, MapStore(cache), rules, show_progress, against)
    columns, skipped = bench.columns(attributions)
    if not columns:
        why = "; ".join(dict.fromkeys(item.why for item in skipped))
        raise InputError(f"No method can explain these models: {why}.")
    bench.measure(columns)
    bench.probe(columns)
    return result(bench, columns, skipped, part, split_name)


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
