"""From a file's bytes to an answer: decode elsewhere, run with others, describe."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from softcam.errors import InputError
from softcam.explanation.explanation import Explanation
from softcam.explanation.saving import arrays
from softcam.web.answer import Wanted, describe_model, explanation_of, predicted
from softcam.web.batching import Batcher
from softcam.web.decoding import DecoderPool, check_format
from softcam.web.limits import Limits
from softcam.web.metrics import Measured
from softcam.web.models import ServedModel
from softcam.web.refusals import Refusal
from softcam.web.schemas import ModelOut, PredictionOut

_LOG = logging.getLogger("softcam.web")


@dataclass(frozen=True)
class Answered:
    """A model's output for an image.

    Attributes:
        model: The model.
        explanation: What it says; its image is black, the pixels are not here.
        read: What was told of the image.
        png: The image as displayed, if it was asked for.
    """

    model: ServedModel
    explanation: Explanation
    read: dict[str, Any]
    png: bytes | None


class Engine:
    """The models, and the threads and processes that serve them.

    Args:
        models: Models by name; the first is taken where a request names none.
        limits: The server's limits.
        measured: Where times are counted.
    """

    def __init__(
        self, models: Mapping[str, ServedModel], limits: Limits, measured: Measured
    ) -> None:
        if not models:
            raise InputError("There is no model to serve; give a run folder or a model file.")
        self.models = dict(models)
        self.limits = limits
        self._measured = measured
        self._outs = {name: describe_model(model) for name, model in self.models.items()}
        self._pool = DecoderPool(
            limits, lambda reason: measured.decoders_replaced.labels(reason).inc()
        )
        turn = threading.Lock()
        self._batchers = {
            name: Batcher(
                model.predictor,
                size=limits.batch,
                wait=limits.wait,
                capacity=limits.queue,
                turn=turn,
                on_batch=measured.batch,
            )
            for name, model in self.models.items()
        }
        # One thread for each process: who waits for a process waits on the event loop.
        self._decoding = ThreadPoolExecutor(limits.decoders, "softcam-decode")
        self._describing = ThreadPoolExecutor(2, "softcam-describe")
        self._free = asyncio.Semaphore(limits.decoders)
        self.running = False
        measured.gauge("softcam_waiting", "Images that wait for a model.", self._waiting)
        measured.gauge("softcam_decoders", "Decoding processes.", lambda: self._pool.alive)

    def start(self) -> None:
        """Start processes and threads, and run each model once."""
        self._pool.start()
        for name, batcher in self._batchers.items():
            self.models[name].warm_up()
            batcher.start()
        self.running = True

    def stop(self) -> None:
        """End processes and threads."""
        self.running = False
        for batcher in self._batchers.values():
            batcher.close()
        self._pool.close()
        self._decoding.shutdown(wait=True, cancel_futures=True)
        self._describing.shutdown(wait=True, cancel_futures=True)

    def check_ready(self) -> None:
        """Check that requests can be answered.

        Raises:
            Refusal: 503.
        """
        alive = all(batcher.alive for batcher in self._batchers.values())
        if not (self.running and alive and self._pool.alive):
            raise Refusal(
                503, "not_ready", "The server is starting or stopping; try again in a moment."
            )

    def described(self) -> list[ModelOut]:
        """Tell what is known of the models."""
        return list(self._outs.values())

    def model(self, name: str | None) -> ServedModel:
        """Give a model by name, or the first.

        Raises:
            Refusal: 404.
        """
        found = next(iter(self.models.values())) if name is None else self.models.get(name)
        if found is None:
            raise Refusal(404, "no_such_model", "There is no such model; see /v1/models.")
        return found

    async def answer(self, data: bytes, model: ServedModel, wanted: Wanted) -> Answered:
        """Run a model on a file.

        Args:
            data: The file's bytes.
            model: The model.
            wanted: What the request asked for.

        Raises:
            Refusal: The file cannot be used, or there is too much to do.
        """
        check_format(data)
        job = {
            "job": "prepare",
            "frame": wanted.frame,
            "pixels": self.limits.pixels,
            "preprocessing": model.preprocessing.to_dict(),
            "image": wanted.image,
            "largest": self.limits.picture,
        }
        begun = time.perf_counter()
        read, out = await self._decode(job, [data])
        self._measured.decode_seconds.observe(time.perf_counter() - begun)
        pixels = np.frombuffer(out[0], np.float32).reshape(read["shape"])
        future = self._batchers[model.name].submit(pixels)
        try:
            logits, evidence = await asyncio.wrap_future(future)
        except (Refusal, asyncio.CancelledError):
            raise
        except Exception as error:
            _LOG.error("the model %s failed with %s", model.name, type(error).__name__)
            raise Refusal(
                503, "model_failed", "The model cannot be run now; the server's log says more."
            ) from error
        try:
            explanation = explanation_of(model, read, logits, evidence, wanted.threshold)
        except InputError as error:
            raise Refusal(422, "no_evidence", str(error)) from error
        return Answered(model, explanation, read, out[1] if len(out) > 1 else None)

    async def describe(self, answered: Answered, wanted: Wanted) -> PredictionOut:
        """Give the answer as the API's JSON has it."""
        loop = asyncio.get_running_loop()
        out = self._outs[answered.model.name]
        return await loop.run_in_executor(
            self._describing,
            lambda: predicted(out, answered.explanation, answered.read, wanted, answered.png),
        )

    async def npz(self, answered: Answered) -> bytes:
        """Give the raw maps as `softcam explain` writes them."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._describing, arrays, answered.explanation)

    async def draw(
        self, data: bytes, answered: Answered, wanted: Wanted, class_: str | None, contrast: bool
    ) -> bytes:
        """Draw a class's evidence on the image, as a PNG.

        Raises:
            Refusal: There is no such class, or there is too much to do.
        """
        explanation = answered.explanation
        if class_ is not None and class_ not in explanation.classes:
            raise Refusal(404, "no_such_class", "The model has no such class; see /v1/models.")
        job = {
            "job": "draw",
            "name": answered.model.name,
            "frame": wanted.frame,
            "pixels": self.limits.pixels,
            "geometry": answered.read["geometry"],
            "shape": list(explanation.evidence.shape),
            "info": answered.model.info.model_dump(mode="json"),
            "threshold": wanted.threshold,
            "class": class_ or explanation.main_class,
            "contrast": contrast,
        }
        blobs = [data, explanation.logits.tobytes(), explanation.evidence.tobytes()]
        return (await self._decode(job, blobs))[1][0]

    async def _decode(
        self, job: dict[str, Any], blobs: list[bytes]
    ) -> tuple[dict[str, Any], list[bytes]]:
        loop = asyncio.get_running_loop()
        async with self._free:
            return await loop.run_in_executor(self._decoding, self._pool.run, job, blobs)

    def _waiting(self) -> float:
        return float(sum(batcher.waiting for batcher in self._batchers.values()))
