"""SoftCAM: a backbone, an evidence head, and logits that are the mean of the evidence."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from softcam.evidence.concentration import concentrate
from softcam.evidence.file import write_model_file
from softcam.evidence.geometry import ReceptiveField, map_size, receptive_field
from softcam.evidence.info import ModelInfo
from softcam.evidence.layer import EvidenceLayer, StageEvidence
from softcam.evidence.output import Output
from softcam.evidence.pooled import PooledEvidence
from softcam.evidence.windows import WindowedEvidence

Head = EvidenceLayer | StageEvidence | PooledEvidence | WindowedEvidence
"""Modules from features to evidence; each has `kind`, `dims`, `num_outputs` and `dropout`."""


class SoftCAM(nn.Module):
    """A classifier whose logits are the mean of its class evidence maps, exactly.

        features  Z = backbone(x)             (B, C, h, w)
        evidence  A = W * Z + b               (B, K, h, w)
        logits    y = mean of A over h, w     (B, K)

    Source: Djoumessi and Berens, MIDL 2026 (arXiv 2505.17748), Section 3.

    Args:
        backbone: Module from images to a feature map of shape (B, C, h, w) (or 1-D, 3-D), or to
            a list of them when the head takes several stages.
        head: Module from features to evidence; an `EvidenceLayer` or one with the same contract.
        info: What travels with the weights in a model file.

    Example:
        >>> import torch
        >>> model = SoftCAM(nn.Conv2d(3, 8, 3, padding=1), EvidenceLayer(8, 2))
        >>> output = model(torch.zeros(1, 3, 16, 16))
        >>> tuple(output.logits.shape), tuple(output.evidence.shape)
        ((1, 2), (1, 2, 16, 16))
    """

    def __init__(
        self,
        backbone: nn.Module,
        head: Head,
        *,
        info: ModelInfo | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.info = info or ModelInfo()

    @property
    def evidence_kind(self) -> str:
        """How evidence depends on the features.

        "affine" is a constant linear read-out of each position. "normalised" and "gated" heads
        are affine for each image, with factors (the scale of a normalisation, the gates of
        activations) that depend on the whole image's pooled features. "concentrated" heads read
        each position alone and weight it against the others of its map.
        """
        return self.head.kind

    @property
    def num_outputs(self) -> int:
        """K, the number of logits and of evidence maps."""
        return self.head.num_outputs

    def forward(self, x: Tensor) -> Output:
        """Classify images and show the evidence.

        Args:
            x: Images of shape (B, channels, H, W) (or 1-D, 3-D), preprocessed.

        Returns:
            Logits (B, K) and the evidence (B, K, h, w) that they are the mean of.
        """
        return self._output(self.head(self.backbone(x)))

    def forward_with_plain(
        self, x: Tensor, *, sharpness: float | None = None
    ) -> tuple[Output, Tensor]:
        """Classify images, and once more by the plain mean of what the head reads off.

        Training a concentrated head by its logits alone teaches few positions of each image; the
        plain logits teach all of them.

        Args:
            x: As in `forward`.
            sharpness: Concentrate with this sharpness instead of the head's own, as training does
                while it rises.

        Returns:
            The output, and logits (B, K): the mean of the evidence before it is concentrated.
            For other heads the two are the same.
        """
        features = self.backbone(x)
        if not isinstance(self.head, EvidenceLayer | StageEvidence):
            output = self._output(self.head(features))
            return output, output.logits
        plain = self.head.plain(features)
        output = self._output(
            concentrate(plain, self.head.concentration if sharpness is None else sharpness)
        )
        return output, self._output(plain).logits

    @staticmethod
    def _output(evidence: Tensor) -> Output:
        return Output(evidence.mean(dim=tuple(range(2, evidence.ndim))), evidence)

    def map_size(self, image_size: Sequence[int]) -> tuple[int, ...]:
        """Tell the size of the maps for an image size, without a forward pass.

        Args:
            image_size: Height and width in pixels (or length, or depth, height and width).

        Returns:
            Height and width of the maps in cells.

        Raises:
            InputError: If the model takes no image of that size.
        """
        return map_size(self, self._channels(), image_size)

    def receptive_field(self, image_size: Sequence[int]) -> ReceptiveField:
        """Measure how much of an image one cell of the map depends on.

        Where the field covers the image (attention, MLP-Mixer, squeeze-and-excitation, deep
        stages of small images), a cell's evidence may come from anywhere: its place in the map
        says where the features are, not where in the image their cause is.

        Args:
            image_size: Height and width in pixels (or length, or depth, height and width).

        Returns:
            The field of the cell in the middle; `covers_image` says whether it is the whole.

        Raises:
            InputError: If the model takes no image of that size.
        """
        return receptive_field(self.backbone, self._channels(), image_size)

    def save(self, path: Path | str) -> Path:
        """Write one safetensors file from which `softcam.load` makes the same model again.

        Args:
            path: Where to write; the file appears whole or not at all.

        Returns:
            The path.

        Raises:
            InputError: If the folder does not exist or cannot be written.
        """
        if self.info.architecture is None:
            warnings.warn(
                f"{path}: no name can rebuild this model from its file; keep the code that builds "
                "its backbone and read the file with load(path, backbone=model).",
                stacklevel=2,
            )
        self.info.dropout = self.head.dropout
        return write_model_file(
            path, self, self.info, dims=self.head.dims, channels=self._channels()
        )

    def _channels(self) -> int:
        if self.info.architecture is not None:
            return self.info.architecture.in_chans
        if self.info.in_chans:
            return self.info.in_chans
        first = next((p for p in self.backbone.parameters() if p.ndim == self.head.dims + 2), None)
        return 3 if first is None else int(first.shape[1])
