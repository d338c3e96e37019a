"""What an explanation needs of a model: a batch in, logits and evidence out; torch-free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import numpy as np
import numpy.typing as npt

from softcam.evidence.info import ModelInfo

if TYPE_CHECKING:
    import torch
    from torch import nn

    from softcam.evidence.model import SoftCAM
    from softcam.evidence.output import Output


@runtime_checkable
class Predictor(Protocol):
    """Anything that gives logits and evidence: a torch model, an exported graph, a server.

    Attributes:
        info: What the model file knows: task, classes, thresholds, preprocessing.
    """

    @property
    def info(self) -> ModelInfo:
        """What the model file knows about its model."""
        ...

    def predict(
        self, batch: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Run a batch.

        Args:
            batch: Normalised input of shape (B, C, H, W), as `Preprocessing` gives it.

        Returns:
            Logits of shape (B, K) and evidence maps of shape (B, K, h, w), in logit units; the
            mean of each map is its logit.
        """
        ...


class TorchPredictor:
    """Runs a SoftCAM model on numpy batches.

    Every call runs in eval mode, without gradients and outside autocast, and leaves the model
    in the mode it was in.

    Args:
        model: The model.
        device: Where to run; the model is moved there and stays. None leaves it where it is.
    """

    def __init__(self, model: SoftCAM, *, device: str | torch.device | None = None) -> None:
        self.model = model if device is None else model.to(device)
        self._rows_only = False

    @property
    def info(self) -> ModelInfo:
        """What the model file knows about its model."""
        return self.model.info

    def predict(
        self, batch: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Run a batch of shape (B, C, H, W); see `Predictor.predict`."""
        import torch

        like = next(self.model.parameters(), torch.empty(0))
        inputs = torch.from_numpy(np.ascontiguousarray(batch, dtype=np.float32))
        with (
            evaluating(self.model),
            torch.inference_mode(),
            torch.autocast(like.device.type, enabled=False),
        ):
            output = self._run(inputs.to(device=like.device, dtype=like.dtype))
            logits, evidence = output.logits.float().cpu(), output.evidence.float().cpu()
            return logits.numpy(), evidence.contiguous().numpy()

    def _run(self, inputs: torch.Tensor) -> Output:
        """Run the model, on a processor with the channels of a position side by side.

        Convolutions are up to a quarter faster so (benchmarks/scoring.py), and none is slower. A
        module that only takes rows of pixels (it flattens by `view`) gets those.
        """
        import torch

        if inputs.device.type == "cpu" and inputs.ndim == 4 and not self._rows_only:
            try:
                return self._called(inputs.contiguous(memory_format=torch.channels_last))
            except RuntimeError:
                # Where something else is wrong, the second run says so.
                self._rows_only = True
        return self._called(inputs)

    def _called(self, inputs: torch.Tensor) -> Output:
        return cast("Output", self.model(inputs))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into eval mode and give each of its parts its own mode back afterwards."""
    training = [part for part in module.modules() if part.training]
    for part in training:
        part.training = False
    try:
        yield
    finally:
        for part in training:
            part.training = True
