"""The slim installation of docs/how-to/deploy.md: no torch, and an exported model is explained."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from softcam.deploy.export.write import onnx_bytes
from tests.deploy.export.sample import description, graph

ROOT = Path(__file__).parents[2]


def run(*command):
    return subprocess.run(
        [*map(str, command)], check=False, capture_output=True, text=True, timeout=900
    )


def test_the_requirements_name_no_library_that_needs_torch():
    lines = (ROOT / "requirements-slim.txt").read_text("utf-8").splitlines()
    named = [line.split(">=")[0] for line in lines if line and not line.startswith("#")]
    assert "onnxruntime" in named
    assert not {"torch", "torchvision", "timm", "lightning", "captum", "nncf"} & set(named)


@pytest.mark.slow
def test_a_slim_installation_explains_an_image(tmp_path):
    python = tmp_path / "slim" / "bin" / "python"
    assert run(sys.executable, "-m", "venv", tmp_path / "slim").returncode == 0
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    constraint = ("--constraint", ROOT / "constraints.txt")
    done = run(*pip, "--requirement", ROOT / "requirements-slim.txt", *constraint)
    if done.returncode != 0:
        pytest.skip(f"pip cannot install here: {done.stderr.strip().splitlines()[-1][:200]}")
    wheels = tmp_path / "wheels"
    built = run(python, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", wheels, ROOT)
    assert built.returncode == 0, built.stderr
    done = run(*pip, "--no-deps", *wheels.glob("softcam*.whl"))
    assert done.returncode == 0, done.stderr
    listed = run(python, "-m", "pip", "list", "--format=freeze").stdout.lower()
    assert "softcam==" in listed
    assert "torch" not in listed

    (tmp_path / "model.onnx").write_bytes(onnx_bytes(graph(), description()))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    command = tmp_path / "slim" / "bin" / "softcam"
    done = run(
        command, "explain", tmp_path / "model.onnx", tmp_path / "image.png", "--out", tmp_path
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "image.npz") as found:
        np.testing.assert_allclose(found["evidence"].mean(axis=(1, 2)), found["logits"], atol=1e-5)
