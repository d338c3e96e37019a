"""Test-time augmentation: views of an image, their maps laid back on its grid and averaged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError
from softcam.explanation.predictor import Predictor, TorchPredictor

if TYPE_CHECKING:
    from softcam.evidence.info import ModelInfo
    from softcam.evidence.model import SoftCAM

TTA = Literal["none", "flips", "rotations"]

_Kind = TypeVar("_Kind", bound=np.generic)

_Maps = npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class View:
    """An image as it is looked at: mirrored left to right or not, then turned.

    Attributes:
        mirrored: Whether it is mirrored left to right first.
        turns: Quarter turns counter-clockwise, 0 to 3.
    """

    mirrored: bool = False
    turns: int = 0

    def apply(self, array: npt.NDArray[_Kind]) -> npt.NDArray[_Kind]:
        """Look at images, or maps, of shape (..., H, W) in this way."""
        seen = array[..., ::-1] if self.mirrored else array
        return np.ascontiguousarray(np.rot90(seen, self.turns, axes=(-2, -1)))

    def undo(self, array: npt.NDArray[_Kind]) -> npt.NDArray[_Kind]:
        """Lay what was seen in this way back onto the grid of the image as it is."""
        back = np.rot90(array, -self.turns, axes=(-2, -1))
        return np.ascontiguousarray(back[..., ::-1] if self.mirrored else back)


def choose_views(tta: str, info: ModelInfo, size: Sequence[int]) -> tuple[View, ...]:
    """Choose the views that a model's training allows.

    "flips" takes the image and its mirror image, and with the fundus recipe, which mirrors both
    ways, all four. "rotations" takes those in each quarter turn, eight in all, which only the
    fundus recipe allows. A chest has its heart on one side: its recipe mirrors nothing, and has no
    views. Of a model that softcam did not train no recipe is known, and what is asked for is
    taken, "flips" being left to right.

    Args:
        tta: "none", "flips" or "rotations".
        info: What the model file knows of its training.
        size: Height and width of the model's input.

    Returns:
        The views; the image as it is comes first.

    Raises:
        InputError: If the name is wrong, the recipe does not allow it, or an input that is not
            square would have to be turned.
    """
    if tta not in get_args(TTA):
        raise InputError(f"tta: must be {', '.join(get_args(TTA))}, not {tta}.")
    if tta == "none":
        return (View(),)
    recipe = (info.training.get("config") or {}).get("augment")
    if recipe == "chest":
        raise InputError(
            f"tta: {tta} mirrors images, and this model was trained with the recipe chest, which "
            "does not since the heart has a side; use --tta none."
        )
    if tta == "flips":
        whole = recipe == "fundus"
        mirrored = (View(), View(mirrored=True))
        return (*mirrored, View(turns=2), View(mirrored=True, turns=2)) if whole else mirrored
    if recipe not in (None, "fundus"):
        raise InputError(
            f"tta: rotations turns images, and this model was trained with the recipe {recipe}, "
            "which does not; use --tta flips."
        )
    if len(set(size)) > 1:
        raise InputError(
            f"tta: rotations needs a square input, and this model's is "
            f"{'x'.join(map(str, size))}; use --tta flips."
        )
    return tuple(View(mirrored, turns) for turns in range(4) for mirrored in (False, True))


def average_views(
    run: Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.float32], _Maps]],
    pixels: npt.NDArray[np.float32],
    views: Sequence[View],
) -> tuple[npt.NDArray[np.float32], _Maps]:
    """Run each view, lay its maps back and average.

    The logits are the means of the averaged maps, which are the averages of the views' logits:
    completeness holds as for one view.

    Args:
        run: From a batch to logits (B, K) and evidence (B, K, h, w), or None for a black box.
        pixels: Normalised input of shape (B, C, H, W).
        views: The views; one alone is run as it is.

    Returns:
        Logits (B, K), and the evidence (B, K, h, w) on the grid of the image as it is, or None.
    """
    if tuple(views) == (View(),):
        return run(pixels)
    logits: Any = 0.0
    total: Any = None
    for view in views:
        answers, maps = run(view.apply(pixels))
        logits = logits + answers.astype(np.float64) / len(views)
        if maps is not None:
            laid = view.undo(maps).astype(np.float64) / len(views)
            total = laid if total is None else total + laid
    if total is None:
        return logits.astype(np.float32), None
    return total.mean(axis=(2, 3)).astype(np.float32), total.astype(np.float32)


class AveragedPredictor:
    """Predicts with the average over several views of each image.

    Args:
        model: A SoftCAM, or anything that predicts.
        tta: "flips" or "rotations", see `choose_views`.

    Raises:
        InputError: If the model's training does not allow these views.

    Example:
        >>> explain(AveragedPredictor(model, "flips"), "scan.png")  # doctest: +SKIP
    """

    def __init__(self, model: SoftCAM | Predictor, tta: str = "flips") -> None:
        self.predictor: Predictor = model if isinstance(model, Predictor) else TorchPredictor(model)
        size = (self.info.preprocessing or {}).get("size", ())
        self.views = choose_views(tta, self.info, size)

    @property
    def info(self) -> ModelInfo:
        """What the model file knows about its model."""
        return self.predictor.info

    def predict(
        self, batch: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Run a batch of shape (B, C, H, W); see `Predictor.predict`."""
        logits, evidence = average_views(self.predictor.predict, batch, self.views)
        if evidence is None:
            raise InputError("This predictor shows no evidence; pass a SoftCAM model.")
        return logits, evidence
