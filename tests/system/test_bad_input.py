"""Every bad input: one sentence that names file, row and remedy; exit code 2; nothing lost."""

import os
import struct
import zlib

import pytest
from PIL import Image

from tests.system.conftest import FAST


def png_header(width: int, height: int) -> bytes:
    """A valid PNG that claims a size, with next to no data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def truncated_jpeg(path):
    Image.new("RGB", (64, 64), (90, 10, 10)).save(path, quality=95)
    path.write_bytes(path.read_bytes()[:-200])


def edit(dots, old: str, new: str) -> None:
    path = dots / "table.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def missing(dots):
    (dots / "images" / "3.png").unlink()


def truncated(dots):
    edit(dots, "3.png", "3.jpg")
    (dots / "images" / "3.png").unlink()
    truncated_jpeg(dots / "images" / "3.jpg")
    (dots / "boxes.csv").unlink()


def text_as_png(dots):
    (dots / "images" / "3.png").write_text("not an image")


def empty(dots):
    (dots / "images" / "3.png").write_bytes(b"")


def bomb(dots):
    (dots / "images" / "3.png").write_bytes(png_header(30_000, 30_000))


def outside(dots):
    Image.new("RGB", (8, 8)).save(dots.parent / "secret.png")
    edit(dots, "2.png", "../../secret.png")


def linked_outside(dots):
    Image.new("RGB", (8, 8)).save(dots.parent / "secret.png")
    (dots / "images" / "2.png").unlink()
    (dots / "images" / "2.png").symlink_to(dots.parent / "secret.png")


def box_outside(dots):
    with (dots / "boxes.csv").open("a") as stream:
        stream.write("3.png,35,35,30,30,dot\n")


def absent_class(dots):
    text = (dots / "table.csv").read_text().splitlines()
    kept = [line for line in text if ",1,train" not in line]
    (dots / "table.csv").write_text("\n".join(kept) + "\n")


CASES = {
    "a missing image": (missing, ("3.png",)),
    "a truncated JPEG": (truncated, ("3.jpg",)),
    "a text file named .png": (text_as_png, ("3.png",)),
    "a 0-byte file": (empty, ("3.png",)),
    "a decompression bomb": (bomb, ("3.png", "30000")),
    "a NaN label": (lambda d: edit(d, "3.png,1", "3.png,nan"), ("table.csv", "5")),
    "an empty label": (lambda d: edit(d, "3.png,1", "3.png,"), ("table.csv", "5")),
    "an unknown label": (lambda d: edit(d, "3.png,1", "3.png,7"), ("table.csv", "5", "7")),
    "a class absent from train": (absent_class, ("dotted", "train")),
    "duplicate rows": (lambda d: edit(d, "4.png,0", "2.png,0"), ("2.png", "6")),
    "an image in two splits": (lambda d: edit(d, "14.png", "2.png"), ("2.png", "train", "val")),
    "a path leading outside": (outside, ("secret.png",)),
    "a link leading outside": (linked_outside, ("2.png",)),
    "a box outside the image": (box_outside, ("boxes.csv", "3.png")),
    "an unknown split": (lambda d: edit(d, "2.png,0,train", "2.png,0,later"), ("later",)),
}


@pytest.mark.parametrize("case", CASES)
def test_training_refuses_and_leaves_nothing_behind(case, dots, softcam, tmp_path):
    spoil, named = CASES[case]
    spoil(dots)
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST)
    assert result.code == 2, result.err + result.out
    for word in named:
        assert word in result.err
    assert result.err.startswith("softcam: ")
    assert "Traceback" not in result.err + result.out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("spoil", [truncated, text_as_png, bomb])
def test_evaluation_refuses_a_damaged_image(spoil, trained, dots, softcam, tmp_path):
    spoil(dots)
    out = tmp_path / "out"
    result = softcam("evaluate", trained[1], dots, "--split", "train", "--out", out)
    assert result.code == 2, result.err
    assert "3." in result.err
    assert not out.exists()


def test_a_finished_run_is_never_overwritten(trained, softcam):
    data, run = trained
    before = (run / "model.safetensors").read_bytes()
    result = softcam("train", data, "--out", run, *FAST)
    assert result.code == 2
    assert "already holds a finished run" in result.err
    assert (run / "model.safetensors").read_bytes() == before


def test_a_folder_with_other_files_is_not_written_to(dots, softcam, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("years of work")
    result = softcam("train", dots, "--out", tmp_path / "run", *FAST)
    assert result.code == 2
    assert "not empty" in result.err
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("command", ["train", "evaluate", "explain", "demo"])
def test_an_unwritable_folder_is_named(command, trained, softcam, tmp_path):
    data, run = trained
    (tmp_path / "file").write_text("in the way")
    out = tmp_path / "file" / "out"
    arguments = {
        "train": ("train", data, *FAST),
        "evaluate": ("evaluate", run, data),
        "explain": ("explain", run, data / "images" / "1.png"),
        "demo": ("demo",),
    }[command]
    result = softcam(*arguments, "--out", out)
    assert result.code == 2, result.err
    assert str(out) in result.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(dots, softcam, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    result = softcam("train", dots, "--out", closed / "run", *FAST)
    assert result.code == 2
    assert "cannot write here" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "resnet_18"), "did you mean"),
        (("--model", "vit_tiny_patch16_224"), "class token"),
        (("--epochs", "0"), "epochs"),
        (("--size", "wide"), "size"),
        (("--model", "swin_tiny_patch4_window7_224", "--size", "96"), "96x96"),
        (("--weights", "gone.safetensors"), "no such weights file"),
        (("--pretrained",), "--weights"),
        (("--stages", "9"), "choose from [1, 2, 3, 4]"),
        (("--device", "cuda"), "--device cpu"),
    ],
)
def test_bad_settings_are_named(arguments, message, dots, softcam, tmp_path):
    import torch

    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    flags = {"--size": "32", "--epochs": "1"}
    rest = [part for name in flags if name not in arguments for part in (name, flags[name])]
    result = softcam("train", dots, "--out", tmp_path / "run", *rest, *arguments)
    assert result.code == 2, result.err
    assert message in result.err
    assert not (tmp_path / "run").exists()


def test_bad_arguments_exit_with_2(softcam):
    assert softcam("train", "--no-such-flag").code == 2
    assert softcam("no-such-command").code == 2
    assert softcam("train").code == 2
    assert softcam("explain").code == 2


def test_a_run_that_is_not_there_is_named(softcam, dots, tmp_path):
    assert "no such run folder" in softcam("evaluate", tmp_path / "gone", dots).err
    (tmp_path / "empty").mkdir()
    result = softcam("explain", tmp_path / "empty", dots / "images" / "1.png")
    assert result.code == 2
    assert "holds no model.safetensors" in result.err


def test_a_twin_with_other_classes_is_refused(trained, softcam, dots, tmp_path):
    data, run = trained
    result = softcam("evaluate", run, data, "--twin", run, "--out", tmp_path / "out")
    assert result.code == 2
    assert "is a SoftCAM" in result.err
