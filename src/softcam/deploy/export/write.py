"""Graphs with their descriptions to files, sealed; one of several files takes its place last."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from softcam.deploy.export.description import DIGEST_KEY, KEY, Description
from softcam.deploy.export.exported import LARGEST_FILE, first_line
from softcam.deploy.export.seal import UNSEALED, seal
from softcam.errors import InputError, MissingExtraError, WorkError
from softcam.files import write_atomically

if TYPE_CHECKING:
    import onnx
    from torch.export import ExportedProgram


def onnx_bytes(model: onnx.ModelProto, description: Description) -> bytes:
    """Give a sealed ONNX file.

    Args:
        model: The graph; its metadata is replaced.
        description: What travels with it.

    Returns:
        The file's content.

    Raises:
        WorkError: If it is larger than ONNX files can be.
    """
    del model.metadata_props[:]
    for key, text in ((KEY, description.to_json()), (DIGEST_KEY, UNSEALED)):
        model.metadata_props.add(key=key, value=text)
    model.producer_name = "softcam"
    try:
        data = model.SerializeToString(deterministic=True)
    except Exception as error:  # protobuf's own error, or ValueError, by version
        raise WorkError(
            f"the graph cannot be written ({first_line(error)}); use --precision fp16."
        ) from error
    if len(data) > LARGEST_FILE:
        raise WorkError("the graph has more than the 2 GiB of an ONNX file; use --precision fp16.")
    return seal(data)


def openvino_model(model: onnx.ModelProto) -> Any:
    """Turn an ONNX model into an OpenVINO one, in memory.

    Raises:
        WorkError: If OpenVINO does not take it.
        MissingExtraError: If OpenVINO is not installed.
    """
    require_openvino()
    import openvino

    try:
        return openvino.Core().read_model(model.SerializeToString())
    except Exception as error:  # RuntimeError and others
        raise WorkError(
            f"OpenVINO cannot take this model ({first_line(error)}); use --format onnx."
        ) from error


def openvino_bytes(model: Any, description: Description) -> tuple[bytes, bytes]:
    """Give a sealed OpenVINO pair.

    Args:
        model: The OpenVINO model; its `rt_info` is added to.
        description: What travels with it.

    Returns:
        The contents of the `.xml` and the `.bin`.
    """
    import openvino

    model.set_rt_info(description.to_json(), KEY)
    model.set_rt_info(UNSEALED, DIGEST_KEY)
    with tempfile.TemporaryDirectory(prefix="softcam-") as folder:
        path = Path(folder, "model.xml")
        openvino.save_model(model, path, compress_to_fp16=False)
        graph, weights = path.read_bytes(), path.with_suffix(".bin").read_bytes()
    return seal(graph, weights), weights


def torch_bytes(program: ExportedProgram, description: Description) -> bytes:
    """Give a torch.export program, with its description under `extra/softcam.json`.

    Torch opens such files by unpickling; softcam writes them and opens none. The images that it was
    traced with, which may show a patient, and the places of the source code are left out.
    """
    import io

    import torch

    program.example_inputs = None
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={"softcam.json": description.to_json()})
    return stream.getvalue()


def require_openvino() -> None:
    """Look whether OpenVINO is there.

    Raises:
        MissingExtraError: If it is not.
    """
    try:
        import openvino  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "OpenVINO files need openvino, which is not installed; run: "
            'pip install "softcam[export]"'
        ) from error


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """Give a hidden folder beside a file's place; what goes wrong leaves nothing.

    Args:
        out: Where the file is to be.

    Yields:
        A path of the same name in the folder.

    Raises:
        InputError: If the folder cannot be made.
    """
    try:
        holder = tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent)
    except OSError as error:
        raise InputError(
            f"{out}: cannot write here ({error.strerror}); choose a folder that exists, is "
            "writable and has room."
        ) from error
    with holder as folder:
        try:
            yield Path(folder, out.name)
        except InputError as error:  # of the hidden file, whose name tells nobody anything
            raise type(error)(str(error).replace(folder, str(out.parent))) from error


def write_files(out: Path, *contents: bytes) -> list[Path]:
    """Write one file, or an OpenVINO pair with the weights first.

    Args:
        out: The file; its weights get the suffix `.bin`.
        contents: Its content, and that of the weights.

    Returns:
        The paths.

    Raises:
        InputError: If the folder cannot be written, or the disk is full.
    """
    paths = [out, out.with_suffix(".bin")][: len(contents)]
    for path, content in reversed(list(zip(paths, contents, strict=True))):
        write_atomically(path, content)
    return paths


def move_files(staged_paths: list[Path], out: Path) -> list[Path]:
    """Move files that were proved to their place, the named one last.

    Raises:
        InputError: If they cannot be moved.
    """
    done = []
    for path in sorted(staged_paths, key=lambda item: item.name == out.name):
        target = out.parent / path.name
        try:
            os.replace(path, target)  # noqa: PTH105 - Path.replace says less of what failed
        except OSError as error:
            raise InputError(
                f"{target}: cannot write here ({error.strerror}); choose another --out."
            ) from error
        done.append(target)
    return sorted(done, key=lambda item: item.name != out.name)
