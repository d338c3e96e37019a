from __future__ import annotations

import numpy as np
import pytest

from softcam.web.batching import Batcher
from softcam.web.refusals import Refusal
from tests.web.conftest import SIZE, Blocks


def images(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.random((1, SIZE, SIZE), np.float32) for _ in range(count)]


@pytest.fixture
def blocks():
    return Blocks()


def batcher_of(predictor, *, size=4, capacity=100, wait=0.0) -> Batcher:
    made = Batcher(predictor, size=size, wait=wait, capacity=capacity)
    made.start()
    return made


def test_what_arrives_while_the_predictor_runs_runs_together(blocks):
    blocks.gate.clear()
    batcher = batcher_of(blocks)
    first = batcher.submit(images(1)[0])
    while batcher.waiting:
        pass
    rest = [batcher.submit(image) for image in images(9)]
    blocks.gate.set()
    answers = [future.result(10) for future in rest]
    first.result(10)
    batcher.close()
    assert blocks.batches == [1, 4, 4, 1]
    for image, (logits, evidence) in zip(images(9), answers, strict=True):
        expected = Blocks().predict(image[None])
        np.testing.assert_array_equal(logits, expected[0][0])
        np.testing.assert_array_equal(evidence, expected[1][0])


def test_an_idle_batcher_waits_a_moment_for_company(blocks):
    batcher = batcher_of(blocks, wait=2.0)
    futures = [batcher.submit(image) for image in images(4)]  # a full batch ends the wait
    for future in futures:
        future.result(1.5)
    batcher.close()
    assert blocks.batches == [4]


def test_too_many_are_turned_away_and_the_rest_is_answered(blocks):
    blocks.gate.clear()
    batcher = batcher_of(blocks, size=1, capacity=2)
    first = batcher.submit(images(1)[0])
    while batcher.waiting:
        pass
    waiting = [batcher.submit(image) for image in images(2)]
    with pytest.raises(Refusal) as raised:
        batcher.submit(images(1)[0])
    assert (raised.value.status, raised.value.headers["Retry-After"]) == (503, "1")
    blocks.gate.set()
    for future in (first, *waiting):
        future.result(10)
    batcher.close()


def test_what_was_given_up_is_not_run(blocks):
    blocks.gate.clear()
    batcher = batcher_of(blocks)
    first = batcher.submit(images(1)[0])
    while batcher.waiting:
        pass
    given_up = [batcher.submit(image) for image in images(3)]
    assert all(future.cancel() for future in given_up)
    last = batcher.submit(images(1)[0])
    blocks.gate.set()
    first.result(10)
    last.result(10)
    batcher.close()
    assert blocks.batches == [1, 1]


def test_a_failing_predictor_fails_its_batch_and_no_other(blocks):
    working = blocks.predict
    blocks.predict = lambda batch: (_ for _ in ()).throw(RuntimeError("no memory"))
    batcher = batcher_of(blocks)
    with pytest.raises(RuntimeError, match="no memory"):
        batcher.submit(images(1)[0]).result(10)
    blocks.predict = working
    assert batcher.submit(images(1)[0]).result(10)[1].shape == (2, 8, 8)
    batcher.close()


def test_after_closing_nothing_is_taken_and_nothing_is_left_waiting(blocks):
    blocks.gate.clear()
    batcher = batcher_of(blocks, size=1)
    running = batcher.submit(images(1)[0])
    while batcher.waiting:
        pass
    left = [batcher.submit(image) for image in images(2)]
    batcher._closed.set()
    blocks.gate.set()
    running.result(10)
    for future in left:
        with pytest.raises(Refusal):
            future.result(10)
    batcher.close()
    assert not batcher.alive
    with pytest.raises(Refusal):
        batcher.submit(images(1)[0])
