"""What a configuration asks of the maps: the penalty, its warm-up, mosaics and consistency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from torch import Tensor, nn

from softcam.errors import InputError
from softcam.evidence.penalty import Chosen, ElasticNet
from softcam.evidence.shaping import flip_disagreement, total_variation
from softcam.training.config import PENALTY_CLASSES, TrainConfig
from softcam.training.mosaic import Mosaic, choose_mosaic
from softcam.training.schedule import rising
from softcam.training.seeds import FLIP, derive


class Shaping:
    """The shaping of maps in a run; what a step does follows from its place in the run alone.

    Args:
        config: The run's settings.
        model: What is trained; its `info` names the classes.
        steps: Number of optimizer steps of the whole run.

    Raises:
        InputError: If the settings name a class that there is not.
    """

    def __init__(self, config: TrainConfig, model: nn.Module, steps: int) -> None:
        self.config = config
        self.steps = steps
        classes = getattr(getattr(model, "info", None), "classes", ())
        self.penalty = make_penalty(config, classes, int(getattr(model, "num_outputs", 0)))

    def mosaic(self, images: int, epoch: int, step: int) -> Mosaic | None:
        """Give the mosaics that a batch becomes, or None for a plain batch.

        Args:
            images: Number of images of the batch.
            epoch: The epoch, from 0.
            step: The batch within the epoch, from 0.
        """
        config = self.config
        return choose_mosaic(
            images, config.mosaic, config.mosaic_share, seed=config.seed, epoch=epoch, step=step
        )

    def mirrored(self, epoch: int, step: int) -> tuple[int, ...]:
        """Give the axes along which a batch is mirrored and looked at once more; mostly none."""
        config = self.config
        if not config.consistency:
            return ()
        generator = np.random.default_rng(derive(config.seed, FLIP, epoch, step))
        if generator.random() >= config.consistency_share:
            return ()
        # Only fundus photographs are mirrored top to bottom by their augmentation.
        ways = ((-1,), (-2,), (-2, -1)) if config.augment == "fundus" else ((-1,),)
        return ways[int(generator.integers(len(ways)))]

    def terms(
        self,
        evidence: Tensor,
        target: Tensor,
        step: int,
        *,
        mosaic: Mosaic | None = None,
        size: Sequence[int] = (),
        mirrored: Callable[[tuple[int, ...]], Tensor] | None = None,
        place: tuple[int, int] = (0, 0),
    ) -> Tensor | None:
        """Compute what is added to the loss of a batch.

        Args:
            evidence: The maps of the batch.
            target: The labels of its images, of its tiles in a batch of mosaics.
            step: Number of optimizer steps taken so far, for the warm-up.
            mosaic: The mosaics that the maps are of. Their tiles are penalised as images are;
                total variation and consistency look at plain batches only.
            size: Height and width of the input in pixels.
            mirrored: Gives the maps of the batch mirrored along axes, at the cost of another pass.
            place: Epoch, and batch within it.

        Returns:
            A scalar tensor; None where nothing is asked.
        """
        config = self.config
        wanted: list[Tensor] = []
        if config.l1 or config.l2:
            pool = None if mosaic is None else partial(mosaic.means, size=size)
            wanted.append(self.penalty(evidence, target, pool))
        if config.total_variation and mosaic is None:
            wanted.append(config.total_variation * total_variation(evidence))
        axes = self.mirrored(*place) if mosaic is None and mirrored is not None else ()
        if axes and mirrored is not None:
            found = flip_disagreement(evidence, mirrored(axes), axes)
            wanted.append(config.consistency * found)
        if not wanted:
            return None
        factor = rising(step, self.steps, config.penalty_warmup)
        total = wanted[0]
        for term in wanted[1:]:
            total = total + term
        return total if factor == 1 else factor * total


def make_penalty(config: TrainConfig, classes: Sequence[str], maps: int) -> ElasticNet:
    """Build the penalty that the settings describe.

    Args:
        config: The run's settings.
        classes: Class names in the order of the labels.
        maps: K, the number of maps; a single one is the second class's.

    Returns:
        The penalty.

    Raises:
        InputError: If the settings name a class that has no map.
    """
    chosen: Chosen | tuple[int, ...]
    names = config.penalty_classes
    (first, *_) = names
    if first in PENALTY_CLASSES:
        chosen = first  # type: ignore[assignment]
    else:
        owners = list(classes) if maps == len(classes) else list(classes[-maps:])
        missing = [name for name in names if name not in owners]
        if missing:
            raise InputError(
                f"penalty_classes: there is no map of {missing[0]!r}; the maps are of "
                f"{', '.join(owners)} (or take {', '.join(PENALTY_CLASSES)})."
            )
        chosen = tuple(owners.index(name) for name in names)
    return ElasticNet(
        config.l1, config.l2, form=config.penalty_form, on=config.penalty_on, classes=chosen
    )


def check_mosaic(config: TrainConfig, kind: str, map_size: Sequence[int]) -> None:
    """Refuse mosaics that a model cannot learn from.

    Args:
        config: The run's settings.
        kind: The model's `evidence_kind`.
        map_size: Size of its maps in cells at the configured image size.

    Raises:
        InputError: If tiles have no logits of their own, or no cells.
    """
    if not config.mosaic:
        return
    if kind == "concentrated":
        raise InputError(
            "mosaic: concentrated evidence weighs each place against the whole map, so that a tile "
            "has no logits of its own; leave out mosaic, or concentration and the focused recipe."
        )
    if kind != "affine":
        raise InputError(
            f"mosaic: {config.model} has a {kind} head, which reads each place by the whole image, "
            "so that a tile has no logits of its own; take mode fresh, or no mosaics."
        )
    n = max(config.mosaic)
    if min(map_size) < n:
        raise InputError(
            f"mosaic: {n} x {n} images need maps of at least {n} x {n} cells, those of "
            f"{config.model} have {' x '.join(map(str, map_size))} at this size; take a larger "
            "size, an earlier stage or smaller mosaics."
        )
