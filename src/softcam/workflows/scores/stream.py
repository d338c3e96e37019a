"""Blocks of a table through a model on this machine: reading, running and writing at once.

Some threads read and prepare the images of the next batches, this one runs the model, and one
writes the block before. What is held at a time does not depend on the length of the table.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from softcam.data.records import Record
from softcam.workflows.scores.columns import Scored
from softcam.workflows.scores.job import Job
from softcam.workflows.scores.scorer import BlockFiles, Prepared, Scorer, files_of_block
from softcam.workflows.scores.settings import Effort

_AHEAD = 3  # batches that are read before their turn
_UNWRITTEN = 2  # blocks that wait to be written

Batch = tuple[int, bool, list["Future[Prepared]"]]
"""A block's number, whether this is its last batch, and its images in the making."""


def score_blocks(
    scorer: Scorer,
    job: Job,
    records_of: Callable[[int], Sequence[Record]],
    blocks: Sequence[int],
    *,
    effort: Effort,
    write: Callable[[BlockFiles], None],
    told: Callable[[int], None],
) -> None:
    """Score some blocks of a table.

    Args:
        scorer: The model and what to make of every image.
        job: What the results belong to.
        records_of: Gives the images of a block.
        blocks: The numbers of the blocks to score.
        effort: How to work.
        write: Writes a block; it is called in order, from one other thread.
        told: Called with the number of images after each batch.

    Raises:
        InputError: A block cannot be written; blocks before it are.
    """
    readers = ThreadPoolExecutor(effort.threads, thread_name_prefix="read")
    writer = ThreadPoolExecutor(1, thread_name_prefix="write")
    try:
        written: deque[Future[None]] = deque()
        scored: list[Scored] = []
        for block, last, images in _ahead(_batches(readers, scorer, records_of, blocks, effort)):
            scored += scorer.predict([image.result() for image in images])
            told(len(images))
            if not last:
                continue
            written.append(writer.submit(_write, job, block, scored, write))
            scored = []
            while len(written) > _UNWRITTEN or (written and written[0].done()):
                written.popleft().result()
        while written:
            written.popleft().result()
    finally:
        # Blocks that wait to be written are whole, and are written also after Ctrl-C.
        readers.shutdown(wait=False, cancel_futures=True)
        writer.shutdown(wait=True)


def _batches(
    readers: ThreadPoolExecutor,
    scorer: Scorer,
    records_of: Callable[[int], Sequence[Record]],
    blocks: Sequence[int],
    effort: Effort,
) -> Iterator[Batch]:
    """Start to read batch by batch; no batch holds images of two blocks.

    So a block comes out the same whichever blocks are scored beside it.
    """
    for block in blocks:
        records = records_of(block)
        for start in range(0, len(records), effort.batch_size):
            chosen = records[start : start + effort.batch_size]
            futures = [readers.submit(scorer.prepare, record) for record in chosen]
            yield block, start + len(chosen) == len(records), futures


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Start some batches before the first one is asked for."""
    waiting = deque(islice(batches, _AHEAD))
    while waiting:
        batch = waiting.popleft()
        waiting.extend(islice(batches, 1))
        yield batch


def _write(
    job: Job, block: int, scored: Sequence[Scored], write: Callable[[BlockFiles], None]
) -> None:
    write(files_of_block(job, block, scored))
