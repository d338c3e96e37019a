"""`softcam serve` from its command line to an answer, and everything it refuses to start with."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import httpx
import pytest

import softcam as package

TOKEN = "abcdefghijklmnopqrstuvwxyz"


def test_a_trained_run_answers_as_explain_does_and_stops_on_ctrl_c(trained, tmp_path):
    data, run = trained
    token = tmp_path / "token.txt"
    token.write_text(TOKEN)
    images = data / "images"
    arguments = ["serve", run, "--port", "0", "--folder", images, "--token-file", token]
    process = subprocess.Popen(
        [sys.executable, "-m", "softcam", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        said = process.stdout.readline()
        url = said.split(" at ")[1].split()[0]
        assert httpx.get(url + "/v1/models").status_code == 401
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
            (model,) = client.get("/v1/models").json()["models"]
            assert (model["name"], model["classes"]) == ("run", ["plain", "dotted"])
            first = images / "1.png"
            sent = client.post("/v1/predict", files={"file": first.read_bytes()}).json()
            listed = client.get("/v1/folder").json()["images"]
            id_ = next(item["id"] for item in listed if item["name"] == "1.png")
            chosen = client.post(f"/v1/folder/{id_}/predict").json()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, out.strip(), err) == (0, "Stopped.", "")
    assert sent == chosen
    expected = package.explain(package.load(run / "model.safetensors"), first)
    assert sent["predicted"] == list(expected.predicted)
    assert [item["probability"] for item in sent["classes"]] == pytest.approx(
        list(expected.probabilities), abs=1e-5
    )


def refused(result) -> str:
    assert result.code == 2
    assert result.err.count("\n") == 1 and result.err.startswith("softcam: ")
    return result.err


def test_a_run_that_cannot_be_served_is_named(softcam, trained, tmp_path):
    _, run = trained
    assert "nowhere" in refused(softcam("serve", tmp_path / "nowhere"))
    assert "black box" in refused(softcam("serve", run / "twin"))
    assert "twice" in refused(softcam("serve", run, run))
    (tmp_path / "text.safetensors").write_text("no model")
    assert "text.safetensors" in refused(softcam("serve", tmp_path / "text.safetensors"))


def test_a_missing_library_is_named_with_its_extra(softcam, trained, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    for name in [name for name in sys.modules if name.startswith("softcam.web.server")]:
        monkeypatch.delitem(sys.modules, name)
    result = softcam("serve", trained[1])
    assert result.code == 1
    assert "needs uvicorn" in result.err and "pip install softcam[web]" in result.err


def test_other_machines_are_not_served_without_a_token(softcam, trained, monkeypatch):
    monkeypatch.delenv("SOFTCAM_TOKEN", raising=False)
    assert "token" in refused(softcam("serve", trained[1], "--host", "0.0.0.0"))


@pytest.mark.parametrize("content", [None, "", "short"])
def test_a_token_file_without_a_good_token_is_named(softcam, trained, tmp_path, content):
    file = tmp_path / "token.txt"
    if content is not None:
        file.write_text(content)
    assert "token.txt" in refused(softcam("serve", trained[1], "--token-file", file))


def test_a_folder_or_a_port_that_cannot_be_used_is_named(softcam, trained, tmp_path):
    folder = refused(softcam("serve", trained[1], "--folder", tmp_path / "none-there"))
    assert "none-there" in folder
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--port {port}" in refused(softcam("serve", trained[1], "--port", port))
    assert "--port" in refused(softcam("serve", trained[1], "--port", 70_000))
    assert "queue" in refused(softcam("serve", trained[1], "--queue", 0))
