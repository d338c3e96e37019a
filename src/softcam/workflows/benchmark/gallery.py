"""The images that a report shows with every method's map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from softcam.conversion.black_box import BlackBox
from softcam.data.geometry import Geometry
from softcam.data.preprocessing import Preprocessing
from softcam.evaluation.explanations.result import GalleryCase, GalleryMap, Method
from softcam.evidence.model import SoftCAM
from softcam.workflows.benchmark.choose import CaseBatch, Chosen
from softcam.workflows.inference import predict_table

Floats = npt.NDArray[np.float32]


@dataclass
class _Kept:
    pixels: Floats
    mask: npt.NDArray[np.bool_] | None
    geometry: Geometry
    maps: dict[Method, Floats] = field(default_factory=dict)


class Gallery:
    """Keeps the maps of a few images while all are measured.

    Args:
        chosen: The images.
        preprocessing: How pixels became input, to show them again.
        most: How many images are shown.
    """

    def __init__(self, chosen: Chosen, preprocessing: Preprocessing, most: int) -> None:
        self._chosen = chosen
        self._preprocessing = preprocessing
        self._wanted = set(gallery_rows(chosen, most))
        self._kept: dict[int, _Kept] = {}

    def add(self, method: Method, maps: Floats, batch: CaseBatch) -> None:
        """Keep one method's maps of those images of a batch that are shown.

        Args:
            method: The method.
            maps: Shape (B, h, w), at the method's own resolution.
            batch: The images.
        """
        for place, row in enumerate(batch.rows.tolist()):
            if row not in self._wanted:
                continue
            if row not in self._kept:
                mask = batch.lesions[place]
                self._kept[row] = _Kept(
                    batch.pixels[place].copy(),
                    mask.copy() if mask.any() else None,
                    batch.geometries[place],
                )
            # A copy: a view would hold the whole batch.
            self._kept[row].maps[method] = maps[place].copy()

    def cases(self, models: Mapping[str, SoftCAM | BlackBox]) -> list[GalleryCase]:
        """Give the images with their maps on the input grid.

        Args:
            models: Name to model, for the probability of the class.
        """
        return [self._case(row, models) for row in sorted(self._kept)]

    def _case(self, row: int, models: Mapping[str, SoftCAM | BlackBox]) -> GalleryCase:
        kept, rules = self._kept[row], self._preprocessing
        mean, std = np.array(rules.mean)[:, None, None], np.array(rules.std)[:, None, None]
        shown = ((kept.pixels * std + mean) * 255).round().clip(0, 255).astype(np.uint8)
        pixels = np.moveaxis(np.broadcast_to(shown, (3, *shown.shape[1:])), 0, -1)
        one = replace(self._chosen.table, records=(self._chosen.table.records[row],))
        index = int(self._chosen.classes[row])
        return GalleryCase(
            self._chosen.cases[row],
            np.ascontiguousarray(pixels),
            kept.mask,
            {
                name: float(predict_table(model, one, batch_size=1).probabilities[0, index])
                for name, model in models.items()
            },
            tuple(
                GalleryMap(
                    method,
                    kept.geometry.map_to_input(maps),
                    "logit" if method.name == "evidence" else "relative",
                )
                for method, maps in kept.maps.items()
            ),
        )


def gallery_rows(chosen: Chosen, most: int) -> list[int]:
    """Choose images to show, spread evenly: annotated ones, or, without any, of the class first.

    Args:
        chosen: The images.
        most: How many.

    Returns:
        Their numbers, in no certain order.
    """
    cases = chosen.cases
    marked = [row for row, case in enumerate(cases) if case.annotated]
    marked = marked or sorted(range(len(cases)), key=lambda row: not cases[row].present)
    places = np.linspace(0, len(marked) - 1, min(most, len(marked))).round().astype(int)
    return [marked[place] for place in dict.fromkeys(places.tolist())]
