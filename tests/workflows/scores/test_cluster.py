"""Two nodes with a worker process each, on this machine; Ray talks to nobody else."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import torch

import softcam
from softcam.data.preprocessing import Preprocessing
from softcam.data.table import read_table
from softcam.errors import InputError, WorkError
from softcam.evidence.info import Task
from softcam.workflows.scores import cluster
from softcam.workflows.scores.score import score_table
from softcam.workflows.scores.settings import ScoreSettings
from tests.workflows.scores.small import BlockMeans, content_of, draw_table, times_of

# Read when Ray is imported: 127.0.0.1 is 127.0.0.1, and not this machine's place in a network.
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")

BLOCKS = 12


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A file of a model that takes a tenth of a second for an image, so that it can be stopped."""
    torch.manual_seed(0)
    made = softcam.create_model("resnet10t", num_classes=2, stages=1)
    made.info.task, made.info.classes = Task.BINARY, ("plain", "bright")
    made.info.preprocessing = Preprocessing((320, 320)).to_dict()
    made.save(tmp_path_factory.mktemp("model") / "model.safetensors")
    return tmp_path_factory.getbasetemp() / "model0" / "model.safetensors"


@pytest.fixture(scope="module")
def address():
    """A cluster of two nodes with one processor each, without a page and without reports home."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    node = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    made.add_node(**node)
    yield made.address
    made.shutdown()


@pytest.fixture
def one_thread():
    """What a worker with one processor computes, to the last digit."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def workers() -> list[int]:
    """The worker processes that this process's cluster has running."""
    psutil = pytest.importorskip("psutil")
    own = []
    for process in psutil.process_iter():
        try:
            title = " ".join(process.cmdline())
            mine = os.getpid() in [parent.pid for parent in process.parents()]
        except psutil.Error:
            continue
        if mine and title.startswith("ray::MapWorker"):
            own.append(process.pid)
    return own


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_block_and_nothing_else(
    address, model, one_thread, tmp_path
):
    table = draw_table(tmp_path / "data", 2 * BLOCKS)
    settings = ScoreSettings(block=2)
    score_table(model, table, tmp_path / "here", settings=settings)
    out = tmp_path / "there"
    seen: dict[str, object] = {}

    def kill_one() -> None:
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            done = list((out / "blocks").glob("0*.json"))
            if len(done) >= 2:
                before = {name: t for name, t in times_of(out).items() if _of(name, done)}
                victim = workers()[0]
                os.kill(victim, signal.SIGKILL)
                seen.update(victim=victim, before=before, done=len(done))
                return
            time.sleep(0.02)

    killer = threading.Thread(target=kill_one)
    killer.start()
    done = score_table(model, table, out, settings=settings, ray=address)
    killer.join()
    assert seen["done"] < BLOCKS, "the work was over before the worker was killed"
    assert (done.images, done.problems) == (2 * BLOCKS, 0)
    after = times_of(out)
    assert len(seen["before"]) == 4 * seen["done"]
    assert [name for name, at in seen["before"].items() if after[name] != at] == []
    assert content_of(out) == content_of(tmp_path / "here")

    again = score_table(model, table, out, settings=settings)
    assert again.before == 2 * BLOCKS


def _of(name, done):
    """Whether a file belongs to one of the blocks that are done."""
    numbers = [path.stem for path in done]
    return any(n in name or f"/c.{int(n)}." in name for n in numbers)


@pytest.mark.slow
def test_an_error_of_a_worker_is_said_in_its_own_words(address, model, tmp_path):
    table = draw_table(tmp_path / "data", 4)
    out = tmp_path / "out"
    score_table(model, table, out, settings=ScoreSettings(block=2))
    part = out / "blocks" / "000001.json"
    part.unlink()
    part.mkdir()  # where the worker would write
    with pytest.raises(InputError, match=r"000001\.json: cannot write here"):
        score_table(model, table, out, settings=ScoreSettings(block=2), ray=address)


def test_a_block_scored_by_a_worker_has_the_bytes_of_one_scored_here(model, one_thread, tmp_path):
    table = draw_table(tmp_path / "data", 5)
    settings = ScoreSettings(block=2)
    score_table(model, table, tmp_path / "here", settings=settings)
    whole = content_of(tmp_path / "here")
    for path in (tmp_path / "here" / "blocks").glob("*.json"):
        path.unlink()
    records = read_table(table, make_splits=False).records
    worker = cluster.BlockWorker(str(model), str(tmp_path / "here"), cluster.Effort())
    import numpy as np

    for number in range(3):
        text = cluster._to_json(records[2 * number : 2 * number + 2])
        batch = {"block": np.array([number]), "records": np.array([text], dtype=object)}
        answer = worker(batch)
        assert answer == {"images": [min(2, 5 - 2 * number)], "error": [""], "said": [""]}
    assert content_of(tmp_path / "here") == whole


def test_records_travel_whole(tmp_path):
    records = list(read_table(draw_table(tmp_path / "data", 3)).records)
    assert cluster._from_json(cluster._to_json(records)) == records


def test_a_predictor_that_is_an_object_cannot_be_sent(table, tmp_path):
    with pytest.raises(InputError, match="ray: other processes need a run folder or a model file"):
        score_table(BlockMeans(), table, tmp_path / "out", ray="local")


def test_a_cluster_that_does_not_answer_is_named(monkeypatch):
    def refuse(**options):
        raise ConnectionError("nobody there")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with (
        pytest.raises(WorkError, match=r"ray: no cluster answers at 10\.0\.0\.9:6379"),
        cluster._connected(ray, "10.0.0.9:6379"),
    ):
        pass
