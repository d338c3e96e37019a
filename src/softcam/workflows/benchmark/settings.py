"""How a benchmark of explanations is measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from softcam.errors import InputError
from softcam.evaluation.localisation import scaled_patch

BaselineName = Literal["mean", "blur", "local"]
BASELINES: tuple[BaselineName, ...] = ("mean", "blur", "local")

PATCH, REFERENCE = 33, 512
"""A patch has 33 px at 512 px, as in the paper, and is scaled with the image."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """How a benchmark is measured.

    Attributes:
        methods: Names of attribution methods, or of groups of them.
        maps: "own" explains the class's logit, "contrast" its difference to the others; both.
        limit: Most images; 0 for all.
        followed: Images of the class for deletion and insertion curves; 0 for all.
        probes: Images for the costly measures (ROAD, agreement, 2 x 2 game, stability, random
            weights); 0 for all.
        baselines: What stands in the place of a removed patch; the first is the one in the table,
            curves are drawn for all.
        steps: Most patches that are removed.
        every_step: Whether each number of patches up to `steps` is a point of the curve; else the
            points grow apart (1, 2, 3, 5, 7, 10, 15, ...), which takes half the time.
        curve: Most patches of the top-k curve.
        batch_size: Images per batch.
        resamples: Bootstrap resamples over patients.
        seed: Seed of the choice of images, of chance in measures and of the bootstrap.
        gallery: Images in the gallery.

    Raises:
        InputError: A value is out of its range.
    """

    methods: tuple[str, ...] = ("fast",)
    maps: tuple[Literal["own", "contrast"], ...] = ("own", "contrast")
    limit: int = 100
    followed: int = 40
    probes: int = 8
    baselines: tuple[BaselineName, ...] = ("mean",)
    steps: int = 15
    every_step: bool = False
    curve: int = 30
    batch_size: int = 16
    resamples: int = 1000
    seed: int = 0
    gallery: int = 3

    def __post_init__(self) -> None:
        for name, least in (
            ("limit", 0),
            ("followed", 0),
            ("probes", 0),
            ("gallery", 0),
            ("seed", 0),
        ):
            if getattr(self, name) < least:
                raise InputError(f"{name} is {getattr(self, name)}; give {least} or more.")
        for name in ("steps", "curve", "batch_size", "resamples"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; give 1 or more.")
        for name, known in (("baselines", BASELINES), ("maps", ("own", "contrast"))):
            given = getattr(self, name)
            strange = [item for item in given if item not in known]
            if strange or not given:
                shown = strange[0] if strange else "empty"
                raise InputError(f"{name}: {shown} is none of {', '.join(known)}.")
        if not self.methods:
            raise InputError("methods: is empty; name some, or a group such as fast.")

    def patch(self, size: tuple[int, ...]) -> int:
        """Side of a patch in pixels for images of (height, width)."""
        return scaled_patch(max(size), PATCH, REFERENCE)

    def counts(self) -> tuple[int, ...]:
        """How many patches are removed at each point of a curve, the untouched image left out."""
        if self.every_step:
            return tuple(range(1, self.steps + 1))
        points = [1, 2, 3]
        while points[-1] < self.steps:
            points.append(max(points[-1] + 2, round(points[-1] * 1.45)))
        return (*(point for point in points if point < 0.85 * self.steps), self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Give the settings for a report."""
        return asdict(self)
