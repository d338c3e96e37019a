import threading

import pytest

from softcam.data.table import read_table
from softcam.errors import InputError
from softcam.evidence.info import ModelInfo, Task
from softcam.workflows.scores.job import Job, Source
from softcam.workflows.scores.scorer import Scorer
from softcam.workflows.scores.settings import Effort, ScoreSettings
from softcam.workflows.scores.stream import score_blocks
from tests.workflows.scores.small import BlockMeans, draw_table


@pytest.fixture
def work(tmp_path):
    """Score the blocks of 22 images, five a block, two a batch."""
    table = read_table(draw_table(tmp_path / "data", 22), make_splits=False)
    settings = ScoreSettings(block=5)
    predictor = BlockMeans()
    info = ModelInfo(task=Task.BINARY, classes=("plain", "bright"))
    job = Job(Source("m", "m"), Source("t", "t"), 22, settings, info, (2, 4, 4), ("0", "1"))

    def run(blocks, write, told=lambda count: None, prepared=lambda: None):
        scorer = Scorer(predictor, settings)
        real = scorer.prepare

        def prepare(record):
            prepared()
            return real(record)

        scorer.prepare = prepare
        score_blocks(
            scorer,
            job,
            lambda block: [table.records[row] for row in job.rows_of(block)],
            blocks,
            effort=Effort(batch_size=2, workers=2),
            write=write,
            told=told,
        )
        return predictor

    return run


def test_batches_stay_within_a_block_and_blocks_are_written_in_order(work):
    written, counted = [], []
    predictor = work([0, 2, 4], written.append, counted.append)
    assert predictor.batches == [2, 2, 1, 2, 2, 1, 2]
    assert counted == predictor.batches
    assert [item.block for item in written] == [0, 2, 4]
    assert [item.facts["images"] for item in written] == [5, 5, 2]


def test_no_more_than_a_few_batches_are_read_ahead(work):
    lock, state = threading.Lock(), {"prepared": 0, "seen": 0, "most": 0}

    def prepared():
        with lock:
            state["prepared"] += 1
            state["most"] = max(state["most"], state["prepared"] - state["seen"])

    def told(count):
        with lock:
            state["seen"] += count

    work([0, 1, 2, 3, 4], lambda item: None, told, prepared)
    assert state["prepared"] == 22
    assert state["most"] <= 2 * 4


def test_an_error_of_writing_ends_the_work_and_the_blocks_before_are_kept(work):
    written = []

    def write(item):
        if item.block == 1:
            raise InputError("the disk is full")
        written.append(item.block)

    with pytest.raises(InputError, match="the disk is full"):
        work([0, 1, 2, 3, 4], write)
    assert written[0] == 0
    assert 1 not in written


def test_nothing_to_do_is_done(work):
    assert work([], pytest.fail).batches == []
