"""The process that decodes: files from strangers are opened here and nowhere else.

`python -m softcam.web.decoder FD` answers jobs from the socket FD until it closes. It has bounded
memory, may write no file, and is ended if a job takes too long. What it prints is thrown away.
It never imports torch or the server.
"""

from __future__ import annotations

import hashlib
import io
import resource
import signal
import socket
import sys
import traceback
import warnings
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from softcam.data.frames import FrameError
from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.data.readers import Pixels, TooManyPixelsError, read_bytes
from softcam.errors import InputError, MissingExtraError
from softcam.web import wire

Reply = tuple[dict[str, Any], list[bytes]]

_LEAST = 64 << 20
_MEMORY = "Decoding the image takes more memory than is allowed; shrink it."


def prepare(message: dict[str, Any], blobs: list[bytes]) -> Reply:
    """Decode a file and prepare it for a model.

    Returns:
        What is known of the image, the model's input (C, H, W) float32, and the image as displayed
        as a PNG where it was asked for.
    """
    data = blobs[0]
    pixels = read_bytes(data, frame=message["frame"], max_pixels=message["pixels"])
    bits, aspect, plane = pixels.bit_depth, pixels.pixel_aspect, pixels.plane
    height, width = pixels.size
    sample = Preprocessing.from_dict(message["preprocessing"])(pixels)
    reply: dict[str, Any] = {
        "width": width,
        "height": height,
        "bits": bits,
        "pixel_aspect": aspect,
        "plane": None if plane is None else plane.to_dict(),
        "sha256": hashlib.sha256(data).hexdigest(),
        "geometry": sample.geometry.to_dict(),
        "shape": list(sample.pixels.shape),
        "encoding": None,
        "scale": None,
    }
    out = [sample.pixels.tobytes()]
    if message["image"] == "full" and data[128:132] == b"DICM":
        shown, reply["scale"] = _full_range(data, message)
    else:
        shown = pixels
    if message["image"] != "none":
        reply["encoding"], png = displayed(shown)
        if len(png) > message["largest"]:
            reason = f"The image as PNG has more than {message['largest']} bytes; ask without it."
            return _refused(413, "picture_too_large", reason), []
        out.append(png)
    return reply, out


def _full_range(data: bytes, message: dict[str, Any]) -> tuple[Pixels, dict[str, Any] | None]:
    """Read a DICOM frame over all that its stored bits hold, and what its samples stand for."""
    from softcam.data.dicom import read_dicom

    image = read_dicom(data, frame=message["frame"], window="full", max_pixels=message["pixels"])
    return image.pixels, None if image.scale is None else asdict(image.scale)


def displayed(pixels: Pixels) -> tuple[str, bytes]:
    """Give an image as a PNG that a browser shows, or computes with, without loss.

    Returns:
        How to read the PNG's 8-bit samples, and the PNG: "grey8" and "rgb8" as they are;
        "grey16" as red times 256 plus green, since a browser's canvas has 8 bits. 16-bit colour
        keeps its high 8 bits ("rgb8").
    """
    array: npt.NDArray[Any] = pixels.array
    if array.dtype == np.uint8:
        return ("grey8" if array.ndim == 2 else "rgb8"), _png(array)
    if array.ndim == 3:
        return "rgb8", _png((array >> 8).astype(np.uint8))
    packed = np.zeros((*array.shape, 3), np.uint8)
    packed[..., 0] = array >> 8
    packed[..., 1] = array & 0xFF
    return "grey16", _png(packed)


def draw(message: dict[str, Any], blobs: list[bytes]) -> Reply:
    """Draw a class's evidence on the image, as `softcam explain` does.

    Returns:
        Nothing more, and a PNG.
    """
    from softcam.evidence.info import ModelInfo
    from softcam.explanation.explanation import Explanation

    pixels = read_bytes(blobs[0], frame=message["frame"], max_pixels=message["pixels"])
    evidence = np.frombuffer(blobs[2], np.float32).reshape(message["shape"])
    explanation = Explanation(
        name=message["name"],
        image=pixels.array,
        logits=np.frombuffer(blobs[1], np.float32),
        evidence=evidence,
        geometry=Geometry.from_dict(message["geometry"]),
        info=ModelInfo.model_validate(message["info"]),
        threshold=message["threshold"],
    )
    figure = explanation.plot(message["class"], contrast=message["contrast"])
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return {}, [stream.getvalue()]


JOBS = {"prepare": prepare, "draw": draw}


def answer(message: dict[str, Any], blobs: list[bytes]) -> Reply:
    """Do a job; a file that cannot be used becomes a refusal, and so does a defect of ours."""
    try:
        reply, out = JOBS[message["job"]](message, blobs)
    except TooManyPixelsError:
        limit = message["pixels"]
        reason = f"The image has more than {limit} pixels (16-bit colour counts twice); shrink it."
        return _refused(413, "too_many_pixels", reason), []
    except FrameError as error:
        return _frames(error), []
    except InputError as error:
        if _for_memory(error):
            return _refused(413, "memory", _MEMORY, ended=True), []
        return _refused(422, "unreadable", str(error)[:600]), []
    except MissingExtraError as error:
        return _refused(415, "not_installed", f"This server cannot read it: {error}."), []
    except MemoryError:
        return _refused(413, "memory", _MEMORY, ended=True), []
    except Exception as error:
        # The place alone: what the exception says may hold the file's text.
        last = traceback.extract_tb(error.__traceback__)[-1]
        defect = f"{type(error).__name__} at {last.filename}:{last.lineno}"
        reason = "The image cannot be read; save it as PNG and try again."
        return _refused(422, "unreadable", reason, defect=defect), []
    return {"ok": True, **reply}, out  # or what a job itself refused


def _refused(status: int, code: str, reason: str, **more: object) -> dict[str, Any]:
    return {"ok": False, "status": status, "code": code, "reason": reason, "more": {}, **more}


def _frames(error: FrameError) -> dict[str, Any]:
    several = "several frames" if error.count is None else f"{error.count} frames"
    if error.asked is None:
        reason = f"The file holds {several}; name one, counted from 1, with frame=1."
        return {**_refused(422, "frame_needed", reason), "more": {"frames": error.count}}
    reason = f"The file has no frame {error.asked}; it holds {several}, counted from 1."
    return {**_refused(422, "no_such_frame", reason), "more": {"frames": error.count}}


def _for_memory(error: BaseException | None) -> bool:
    """Whether it was the lack of memory that made a reader give up."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _png(array: npt.NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    # Level 1: four times as fast as the default for a tenth more bytes.
    Image.fromarray(array).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def bound(memory: int) -> None:
    """Bound this process: address space, no files written, few opened, no core dumps."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def main() -> None:
    """Answer jobs until the socket closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle
    warnings.simplefilter("ignore")
    sock = socket.socket(fileno=int(sys.argv[1]))
    with suppress(MissingExtraError):
        import softcam.data.dicom  # noqa: F401 - the time of an import is not the decoding's
    bound(int(sys.argv[2]))
    bytes(_LEAST)  # so little room that nothing could be decoded ends the process at once
    wire.send(sock, {"ready": True, "torch": "torch" in sys.modules}, seconds=10)
    while True:
        try:
            message, blobs = wire.receive(sock, seconds=None)
        except (wire.WireError, MemoryError):
            return
        seconds = float(message["seconds"])
        # The server ends it sooner; this is for a server that is no more.
        signal.setitimer(signal.ITIMER_REAL, seconds + 5)
        reply, out = answer(message, blobs)
        del message, blobs
        signal.setitimer(signal.ITIMER_REAL, 0)
        with suppress(wire.WireError):
            wire.send(sock, reply, out, seconds=seconds)
        if reply.get("ended"):
            return  # a process that ran out of memory once is not what it was


if __name__ == "__main__":
    main()
