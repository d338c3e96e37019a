"""Blocks of a table through a model on several machines, by Ray Data.

Every worker opens the model for itself, scores a block and writes it to the folder of results,
which all machines see. Ray starts a worker that died again and gives it its block once more; what
the other blocks gave is on the disk already.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from softcam import errors
from softcam.data.records import Record
from softcam.errors import SoftcamError, WorkError
from softcam.workflows.predictors import open_predictor
from softcam.workflows.scores import extra
from softcam.workflows.scores.device import place
from softcam.workflows.scores.job import Job
from softcam.workflows.scores.scorer import Scorer
from softcam.workflows.scores.settings import Effort
from softcam.workflows.scores.store import ScoreStore
from softcam.workflows.scores.stream import score_blocks

_TASKS = 1000  # at most; what Ray keeps of a task takes memory
_OBJECTS = 200 * 2**20  # bytes of shared memory for a cluster of our own; rows are small


def score_on_cluster(
    run: Path,
    store: ScoreStore,
    records: Sequence[Record],
    blocks: Sequence[int],
    effort: Effort,
    told: Callable[[int], None],
    *,
    address: str,
) -> None:
    """Score some blocks of a table on a Ray cluster.

    Args:
        run: Run folder or model file, in the same place on all machines, as are the images.
        store: The folder of results, likewise.
        records: All images of the table.
        blocks: The numbers of the blocks to score.
        effort: How each worker works.
        told: Called with the number of images after each block.
        address: The cluster; "local" starts one on this machine and stops it in the end.

    Raises:
        InputError: A block cannot be written, or the model cannot be used where it is.
        WorkError: The cluster cannot be reached.
    """
    ray = extra.ray(address)
    with _connected(ray, address):
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray").setLevel(logging.ERROR)
        resources = ray.cluster_resources()
        gpus = 0 if effort.device == "cpu" else int(resources.get("GPU", 0))
        places = gpus or int(resources.get("CPU", 1))
        work = ray.data.from_items(
            [
                {"block": block, "records": _to_json(_of_block(store.job, records, block))}
                for block in blocks
            ],
            override_num_blocks=min(len(blocks), _TASKS),
        ).map_batches(
            BlockWorker,
            fn_constructor_args=(str(run.absolute()), str(store.folder.absolute()), effort),
            batch_size=1,
            batch_format="numpy",
            num_cpus=None if gpus else 1,
            num_gpus=1 if gpus else None,
            # Of a fixed size; Ray starts its actors again, as often as it takes, by default.
            compute=ray.data.ActorPoolStrategy(size=max(1, min(places, len(blocks)))),
        )
        for row in work.iter_rows():
            if row["error"]:
                raise getattr(errors, row["error"])(row["said"])
            told(int(row["images"]))


class BlockWorker:
    """What runs on the cluster: one model, which scores block after block.

    Args:
        run: Run folder or model file.
        folder: The folder of results.
        effort: How to work.
    """

    def __init__(self, run: str, folder: str, effort: Effort) -> None:
        self._run = run
        self._folder = Path(folder)
        self._effort = effort
        self._made: tuple[Scorer, ScoreStore] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        """Score a block; an error that users cause comes back as a row, to be said once."""
        (block,), (text,) = batch["block"].tolist(), batch["records"].tolist()
        try:
            images, error, said = self._score(int(block), _from_json(text)), "", ""
        except SoftcamError as problem:
            images, error, said = 0, _public(problem), str(problem)
        return {"images": [images], "error": [error], "said": [said]}

    def _score(self, block: int, records: Sequence[Record]) -> int:
        if self._made is None:  # not in __init__, where an error would have Ray try for ever
            store = ScoreStore(self._folder, Job.read(self._folder))
            predictor = place(open_predictor(Path(self._run)), self._effort.device)
            self._made = Scorer(predictor, store.job.settings), store
        scorer, store = self._made
        # The worker that had this block first may have died after it was written.
        if not store.is_whole(block):
            score_blocks(
                scorer,
                store.job,
                lambda _: records,
                [block],
                effort=self._effort,
                write=store.write,
                told=lambda count: None,
            )
        return len(records)


def _public(problem: SoftcamError) -> str:
    """Name the class of an error as `softcam.errors` has it, or the nearest that it has."""
    names = [kind.__name__ for kind in type(problem).__mro__]
    return next(name for name in names if hasattr(errors, name))


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Join a cluster, or start one that nobody else can reach; a joined one is left as it is."""
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == "local":
        options |= {"include_dashboard": False, "object_store_memory": _OBJECTS}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise WorkError(
            f"ray: no cluster answers at {address} ({said}); start one with `ray start --head`, "
            "or give --ray local."
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _of_block(job: Job, records: Sequence[Record], block: int) -> Sequence[Record]:
    rows = job.rows_of(block)
    return records[rows.start : rows.stop]


def _to_json(records: Sequence[Record]) -> str:
    return json.dumps([[str(r.image), r.name, r.label, r.split, r.patient, r.row] for r in records])


def _from_json(text: str) -> list[Record]:
    rows = json.loads(text)
    return [
        Record(Path(image), name, tuple(label) if isinstance(label, list) else label, *rest)
        for image, name, label, *rest in rows
    ]
