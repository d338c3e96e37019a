"""The costly measures, on a few images: ROAD, agreement, 2 x 2 game, stability, random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from softcam.conversion.black_box import BlackBox
from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.evaluation.consistency.randomisation import cascade, map_similarity
from softcam.evaluation.consistency.stability import jpeg, max_sensitivity, shift, uniform_noise
from softcam.evaluation.consistency.tiles import tile_game, tile_share
from softcam.evaluation.faithfulness.agreement import agreement_with, logit_agreement
from softcam.evaluation.faithfulness.baselines import Baseline
from softcam.evaluation.faithfulness.road import road
from softcam.evaluation.faithfulness.summaries import accuracy_kept, area_under_curve
from softcam.evidence.model import SoftCAM
from softcam.explanation.attributions.base import Attribution
from softcam.explanation.attributions.subject import Subject, subject_of
from softcam.workflows.benchmark.maps import MapStore

Floats = npt.NDArray[np.float64]
Explain = Callable[[Tensor], Tensor]

NAMES = (
    "road_morf", "road_lerf", "agreement", "tile_game", "sensitivity_noise", "sensitivity_shift",
    "sensitivity_jpeg", "randomised_similarity",
)  # fmt: skip
"""What is measured on probes, in this order."""

_REMOVED = (0.1, 0.2, 0.4)  # parts of the pixels that ROAD removes
_REGIONS = 7  # the agreement looks at 7 x 7 regions
_NOISE = 0.1  # in units of the normalised input
_QUALITY = 75  # of the JPEG
_POOL = 12  # images that the tiles without the class are drawn from


@dataclass(frozen=True, eq=False)
class Probes:
    """The images that costly measures are taken on, all of the class that they are explained for.

    Attributes:
        rows: Their numbers among all cases.
        pixels: Normalised input (P, C, H, W).
        classes: Class index of each, shape (P,).
        mosaics: The 2 x 2 game's images (P, C, H, W); NaN where there are too few others.
        tiles: Where each probe is in its mosaic, shape (P,).
    """

    rows: npt.NDArray[np.intp]
    pixels: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int64]
    mosaics: npt.NDArray[np.float32]
    tiles: npt.NDArray[np.int64]

    @classmethod
    def of(
        cls,
        rows: npt.NDArray[np.intp],
        classes: npt.NDArray[np.int64],
        others: Callable[[int], npt.NDArray[np.intp]],
        load: Callable[[Sequence[int]], npt.NDArray[np.float32]],
        *,
        seed: int,
    ) -> Probes:
        """Load probes and build their mosaics.

        Args:
            rows: Numbers of the cases.
            classes: Class index of each.
            others: Class index to the numbers of the cases whose image is not of it.
            load: Numbers of cases to their normalised input.
            seed: Seed of the tiles' places and of the images beside.

        Returns:
            The probes.
        """
        pixels = load(rows.tolist())
        mosaics = np.full_like(pixels, np.nan)
        tiles = np.zeros(len(rows), dtype=np.int64)
        rng = np.random.default_rng(seed)
        even = all(side % 2 == 0 for side in pixels.shape[2:])
        for index in np.unique(classes):
            pool = others(int(index))
            if len(pool) < 3 or not even:
                continue
            drawn = np.sort(rng.choice(pool, min(_POOL, len(pool)), replace=False))
            mine = np.flatnonzero(classes == index)
            game = tile_game(
                torch.from_numpy(pixels[mine]), torch.from_numpy(load(drawn.tolist())), seed
            )
            mosaics[mine], tiles[mine] = game.images.numpy(), game.tile.numpy()
        return cls(rows, pixels, classes, mosaics, tiles)


def randomised(model: SoftCAM | BlackBox, name: str, *, seed: int) -> Subject:
    """Give a model that has lost what it learned: the values of each parameter are permuted.

    Permuting keeps their scale; deep models that are drawn anew fade to constant maps in eval mode.

    Args:
        model: The trained model; it stays as it is.
        name: What the subject is called.
        seed: Seed of the permutations.

    Returns:
        The randomised model as a subject.

    Source: Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018, section 3.
    """
    *_, (_, last) = cascade(model, seed=seed, steps=1, how="shuffle")
    if not isinstance(last, SoftCAM | BlackBox):  # a copy keeps its type
        raise TypeError(f"{type(last).__name__} is no model of ours.")
    return subject_of(last, name)


def probe(
    attribution: Attribution,
    subject: Subject,
    blank: Subject,
    probes: Probes,
    store: MapStore,
    *,
    contrast: bool,
    preprocessing: Preprocessing,
    baseline: Baseline,
    batch_size: int,
    seed: int,
    drops: dict[tuple[str, bool], Tensor],
) -> dict[str, Floats]:
    """Take the costly measures of one method.

    Args:
        attribution: The method.
        subject: The classifier.
        blank: The same with random weights.
        probes: The images.
        store: Where maps come from.
        contrast: Explain the contrast instead of the class's own score.
        preprocessing: How pixels became input, for the way through JPEG.
        baseline: What stands in the place of a region.
        batch_size: Images per forward pass.
        seed: Seed of noise, moves and imputation.
        drops: What the logit loses without each region, by subject and contrast: what is known
            from another method is used, what is new is added.

    Returns:
        Measure (one of `NAMES`) to values of shape (P,), NaN where undefined.
    """

    def explain_with(which: Subject, rows: npt.NDArray[np.intp]) -> Explain:
        def explain(images: Tensor) -> Tensor:
            parts = [
                store.maps(
                    attribution,
                    which,
                    images[start : start + batch_size].cpu().numpy(),
                    probes.classes[rows][start : start + batch_size],
                    contrast=contrast,
                )
                for start in range(0, len(images), batch_size)
            ]
            return torch.from_numpy(np.concatenate(parts))

        return explain

    everyone = np.arange(len(probes.rows))
    explain = explain_with(subject, everyone)
    images = torch.from_numpy(probes.pixels)
    classes = torch.from_numpy(probes.classes)
    maps = explain(images)
    full = _resized(maps, images)
    on_device = images.to(subject.device)
    found: dict[str, Tensor] = {}
    info = subject.info
    for key, first in (("road_morf", "most"), ("road_lerf", "least")):
        curve = road(
            subject.classifier,
            on_device,
            full.to(on_device.device),
            first=first,  # type: ignore[arg-type]
            fractions=_REMOVED,
            seed=seed,
            batch_size=batch_size,
        )
        kept = accuracy_kept(
            curve.logits, classes, subject.task, info.classes, info.positive, info.thresholds
        )
        right = kept[:, :1] == 1
        found[key] = area_under_curve(kept.masked_fill(~right, torch.nan), curve.fractions)
    side = max(1, -(-max(images.shape[2:]) // _REGIONS))
    asked = (subject.name, contrast)
    if asked not in drops:  # they do not depend on the map
        drops[asked] = logit_agreement(
            _contrasted(subject) if contrast else subject.classifier,
            on_device,
            full.to(on_device.device),
            classes,
            patch=side,
            baseline=baseline,
            batch_size=batch_size,
        ).drops
    found["agreement"] = agreement_with(drops[asked], full, patch=side)
    found["tile_game"] = torch.full((len(images),), torch.nan, dtype=torch.float64)
    playing = np.flatnonzero(~np.isnan(probes.mosaics).any(axis=(1, 2, 3)))
    if playing.size:
        mosaics = torch.from_numpy(probes.mosaics[playing])
        shares = tile_share(
            explain_with(subject, playing)(mosaics), torch.from_numpy(probes.tiles[playing])
        )
        found["tile_game"][playing] = shares.cpu()
    to_pixels, to_input = _through_pixels(preprocessing)
    for key, perturb, samples in (
        ("sensitivity_noise", uniform_noise(_NOISE), 3),
        ("sensitivity_shift", shift(max(1, min(images.shape[2:]) // 64)), 2),
        ("sensitivity_jpeg", jpeg(_QUALITY, to_pixels, to_input), 1),
    ):
        found[key] = max_sensitivity(explain, images, perturb, samples=samples, seed=seed)
    other = explain_with(blank, everyone)(images)
    found["randomised_similarity"] = map_similarity(maps, other)
    return {name: np.asarray(found[name].cpu().double().numpy()) for name in NAMES}


def _resized(maps: Tensor, images: Tensor) -> Tensor:
    """Maps on the pixels of the images, in the way of all other measures."""
    grid = Geometry.of((images.shape[2], images.shape[3]))
    return torch.from_numpy(grid.map_to_input(maps.numpy(), interpolation="bicubic"))


def _contrasted(subject: Subject) -> Callable[[Tensor], Tensor]:
    """The classifier with each logit against the others'."""

    def classify(images: Tensor) -> Tensor:
        logits: Tensor = subject.classifier(images)
        count = logits.shape[1]
        if count == 1:
            return logits
        return (logits * count - logits.sum(dim=1, keepdim=True)) / (count - 1)

    return classify


def _through_pixels(
    preprocessing: Preprocessing,
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Normalised input to 8-bit pixels, and back."""
    mean = torch.tensor(preprocessing.mean)[:, None, None]
    std = torch.tensor(preprocessing.std)[:, None, None]

    def to_pixels(images: Tensor) -> Tensor:
        values: Tensor = ((images.cpu() * std + mean) * 255).round().clamp(0, 255)
        return values.to(torch.uint8)

    def to_input(pixels: Tensor) -> Tensor:
        return (pixels.cpu().float() / 255 - mean) / std

    return to_pixels, to_input
