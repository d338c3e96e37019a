"""The black-box twin: the stock model, kept as it is, with the same file and description."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from softcam.conversion.families import family_of
from softcam.evidence.file import write_model_file
from softcam.evidence.info import ModelInfo


class BlackBox(nn.Module):
    """A stock classifier with its own head, to measure a SoftCAM against.

    Args:
        model: A timm or torchvision classifier.
        info: What travels with the weights in a model file.
    """

    def __init__(self, model: nn.Module, *, info: ModelInfo) -> None:
        super().__init__()
        self.model = model
        self.info = info

    @property
    def num_outputs(self) -> int:
        """K, the number of logits."""
        architecture = self.info.architecture
        return 0 if architecture is None else architecture.num_outputs

    @property
    def feature_layer(self) -> nn.Module:
        """The module whose output is the last feature map, where Grad-CAM looks."""
        return family_of(self.model).feature_layer(self.model)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (B, K) of images (B, channels, H, W)."""
        logits: Tensor = self.model(x)
        return logits

    def save(self, path: Path | str) -> Path:
        """Write one safetensors file that `load_black_box` reads.

        Args:
            path: Where to write; the file appears whole or not at all.

        Returns:
            The path.

        Raises:
            InputError: If the folder does not exist or cannot be written.
        """
        architecture = self.info.architecture
        channels = 3 if architecture is None else architecture.in_chans
        return write_model_file(path, self, self.info, channels=channels)
