"""Random changes of training images, by recipe and seed."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torchvision.transforms import v2

from softcam.training.seeds import seed_torch

Augmentation = Literal["none", "light", "fundus", "oct", "chest"]


class Augment:
    """A recipe of random changes, each image's drawn from its own seed.

    - light: mirrored left to right, shifted by up to 5 %.
    - fundus: mirrored both ways (eyes are left and right), turned freely, zoomed by up to
      15 %, brightness, contrast and colour varied.
    - oct: mirrored left to right, turned by up to 8 degrees, shifted, brightness varied.
    - chest: turned by up to 10 degrees, shifted, zoomed by up to 10 %, brightness and contrast
      varied; not mirrored, since the heart has a side.

    Args:
        recipe: The recipe's name.
    """

    def __init__(self, recipe: Augmentation) -> None:
        self.recipe = recipe
        linear = v2.InterpolationMode.BILINEAR
        steps: dict[str, list[torch.nn.Module]] = {
            "none": [],
            "light": [
                v2.RandomHorizontalFlip(),
                v2.RandomAffine(0, translate=(0.05, 0.05), interpolation=linear),
            ],
            "fundus": [
                v2.RandomHorizontalFlip(),
                v2.RandomVerticalFlip(),
                v2.RandomAffine(180, scale=(0.87, 1.15), interpolation=linear),
                v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.02),
            ],
            "oct": [
                v2.RandomHorizontalFlip(),
                v2.RandomAffine(8, translate=(0.05, 0.05), interpolation=linear),
                v2.ColorJitter(brightness=0.2, contrast=0.2),
            ],
            "chest": [
                v2.RandomAffine(10, translate=(0.05, 0.05), scale=(0.9, 1.1), interpolation=linear),
                v2.ColorJitter(brightness=0.2, contrast=0.2),
            ],
        }
        self._change = v2.Compose(steps[recipe]) if steps[recipe] else None

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        """Change one image.

        Args:
            image: Shape (C, H, W), uint8 or float32 in 0..1.
            seed: Decides the change; the global random state is left alone.

        Returns:
            A tensor of the same shape and type.
        """
        if self._change is None:
            return image
        with torch.random.fork_rng(devices=[]):
            seed_torch(seed)
            changed: Tensor = self._change(image)
        return changed
