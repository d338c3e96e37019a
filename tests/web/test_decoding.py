from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from softcam.errors import WorkError
from softcam.web.decoding import DecoderPool, check_format
from softcam.web.limits import Limits
from softcam.web.refusals import Refusal
from tests.web import hostile_decoder
from tests.web.conftest import png

LIMITS = Limits(decoders=1, decode_seconds=2.0, decode_memory=2 << 30)
JOB = {
    "job": "prepare",
    "frame": None,
    "pixels": 10_000_000,
    "preprocessing": {"size": [8, 8]},
    "image": "none",
    "largest": 1 << 20,
}


@pytest.fixture(scope="module")
def ended():
    return []


@pytest.fixture(scope="module")
def pool(ended):
    # The process that is shipped, with one more job.
    made = DecoderPool(LIMITS, ended.append, _program=[hostile_decoder.__file__])
    made.start()
    yield made
    made.close()


def refusal_of(pool: DecoderPool, what: str, **more: str) -> Refusal:
    with pytest.raises(Refusal) as raised:
        pool.run({"job": "bombard", "what": what, **more}, [b""])
    return raised.value


def decodes(pool: DecoderPool) -> bool:
    """Whether a file is decoded, waiting for a process to come back."""
    for _ in range(10):
        try:
            reply, out = pool.run(JOB, [png(np.zeros((9, 7), np.uint8))])
        except Refusal as refusal:
            assert refusal.status == 503
        else:
            return (reply["height"], reply["width"], len(out[0])) == (9, 7, 3 * 8 * 8 * 4)
    return False


@pytest.mark.parametrize(
    ("what", "status", "code", "reason"),
    [
        ("spin", 422, "decode_timeout", "time"),
        ("memory", 413, "memory", "memory"),
        ("crash", 422, "unreadable", "crash"),
    ],
)
def test_a_process_that_goes_wrong_is_replaced_and_the_next_file_is_decoded(
    pool, ended, what, status, code, reason
):
    for _ in range(3):
        ended.clear()
        refused = refusal_of(pool, what)
        # Python itself may end where it gets no memory: then it counts as a crash.
        if what != "memory" or ended == ["memory"]:
            break
        assert (refused.status, ended) == (422, ["crash"])
        assert decodes(pool)
    assert (refused.status, refused.code) == (status, code)
    assert refused.reason.endswith(".")
    assert ended == [reason]
    assert decodes(pool)
    assert pool.alive == 1


def test_a_defect_is_refused_without_ending_the_process_and_logged_by_its_place(
    pool, ended, caplog
):
    ended.clear()
    assert refusal_of(pool, "defect").status == 422
    assert ended == []
    assert "KeyError at" in caplog.text and "a defect" not in caplog.text
    assert decodes(pool)


def test_no_file_can_be_written(pool, tmp_path):
    path = tmp_path / "written"
    assert refusal_of(pool, "write", path=str(path)).status == 422
    assert not path.exists() or path.stat().st_size == 0


def test_the_process_that_is_shipped_has_no_job_for_tests():
    made = DecoderPool(LIMITS)
    made.start()
    try:
        assert refusal_of(made, "crash").code == "unreadable"
        assert made.alive == 1
        assert decodes(made)
    finally:
        made.close()


def test_a_process_knows_no_token_and_has_imported_neither_torch_nor_the_server(monkeypatch):
    monkeypatch.setenv("SOFTCAM_TOKEN", "a-very-secret-token")
    from softcam.web.decoding import _Process

    process = _Process(2 << 30)
    try:
        process.wait_until_ready()
        environment = Path(f"/proc/{process._process.pid}/environ")
        if environment.exists():
            assert b"secret" not in environment.read_bytes()
    finally:
        process.end()
    code = (
        "import sys, softcam.web.decoder as d\n"
        "print([m for m in ('torch', 'fastapi', 'uvicorn') if m in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_many_at_once_are_all_answered_by_few_processes(pool):
    data = png(np.zeros((9, 7), np.uint8))
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda _: pool.run(JOB, [data])[0]["width"], range(40)))
    assert replies == [7] * 40


def open_files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


def test_closing_ends_every_process_and_leaves_no_open_file():
    before = open_files()
    made = DecoderPool(replace(LIMITS, decoders=2))
    made.start()
    pids = [process._process.pid for process in made._all]
    made.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(Refusal) as raised:
        made.run(JOB, [b""])
    assert raised.value.status == 503
    assert open_files() <= before


def test_a_pool_that_cannot_start_says_so():
    begun = time.monotonic()
    with pytest.raises(WorkError, match="address space"):
        DecoderPool(replace(LIMITS, decode_memory=1 << 20)).start()
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("data", [b"GIF89a", b"%PDF-1.7", b"PK\3\4", b"\x1f\x8b\x08", b"<svg>"])
def test_other_formats_are_not_decoded_at_all(data):
    with pytest.raises(Refusal) as raised:
        check_format(data + bytes(500))
    assert raised.value.status == 415
