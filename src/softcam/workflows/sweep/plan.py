"""Which runs a sweep is made of: the twin, the dense model, the penalties and the variants."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from softcam.errors import InputError
from softcam.training.config import TrainConfig, make_config
from softcam.training.recipes import laid_over
from softcam.workflows.settings import changes_no_number
from softcam.workflows.sweep.settings import OWNED, SweepConfig

Kind = Literal["black box", "dense", "penalty", "variant", "plain"]

TWIN, DENSE, BASE = "black-box", "dense", "base"

_SHARED = OWNED | {"table", "images", "dataset", "split_seed"}
"""What a variant may not change: the sweep's own, and what all runs must have in common."""

_ARCHITECTURE = frozenset(
    {"model", "mode", "stages", "neck", "neck_width", "output_stride", "one_logit"}
)
"""What the black-box twin resets and a twin of the same architecture keeps."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


@dataclass(frozen=True)
class Recipe:
    """One way to train, for every seed.

    Attributes:
        name: What tables and folders call it.
        kind: The black-box twin, the dense model, a penalty, a variant, or a variant's
            architecture trained plainly.
        family: "base", or the variant whose curve it belongs to.
        config: Its settings but for seed and folder.
    """

    name: str
    kind: Kind
    family: str
    config: TrainConfig

    def run(self, out: Path, seed: int) -> TrainConfig:
        """Give the settings of one run."""
        return self.config.model_copy(
            update={"seed": seed, "out": run_folder(out, self.name, seed)}
        )


def run_folder(out: Path, name: str, seed: int) -> Path:
    """Say where the run of a recipe lies."""
    return out / "runs" / name / f"seed{seed}"


def recipes(settings: SweepConfig) -> tuple[Recipe, ...]:
    """List everything that a sweep trains, the twin first and the dense model second.

    Args:
        settings: The sweep.

    Returns:
        The recipes; no two have the same name or the same settings.

    Raises:
        InputError: If a variant or a weight makes settings that cannot be used.
    """
    base = settings.training()
    points = penalties(settings, base)
    dense = base.model_copy(update={"l1": 0.0, "l2": 0.0})
    # The twin's own reset of what only a SoftCAM has; its folder is given with the seed.
    found = [Recipe(TWIN, "black box", BASE, dense.for_twin())]
    found += _family(BASE, "dense", dense, points)
    families = {BASE: dense}
    for name, changes in settings.variants.items():
        families[name] = _variant(name, changes, dense)
        found += _family(name, "variant", families[name], points if settings.cross else ())
    for name, config in families.items() if settings.plain_twins else ():
        plain = plain_of(config)
        if all(_key(plain) != _key(other.config) for other in found):
            found.append(Recipe(f"{name}-plain", "plain", name, plain))
    return _distinct(found)


def penalties(settings: SweepConfig, base: TrainConfig) -> tuple[tuple[float, float], ...]:
    """List the pairs (l1, l2) to try, without the dense model's (0, 0), in the order given."""
    points = [(weight, 0.0) for weight in settings.l1]
    points += [(0.0, weight) for weight in settings.l2]
    points += [(base.l1, base.l2), *settings.mixes]
    if settings.full_grid:
        points += itertools.product(settings.l1, settings.l2)
    return tuple(dict.fromkeys(point for point in points if any(point)))


def penalty_name(l1: float, l2: float) -> str:
    """Name a penalty, such as "l1-0.01" or "l1-0.01-l2-0.1"."""
    given = [(name, weight) for name, weight in (("l1", l1), ("l2", l2)) if weight]
    return "-".join(f"{name}-{weight:.12g}" for name, weight in given)


def plain_of(config: TrainConfig) -> TrainConfig:
    """Take a recipe's penalty and shaping away and keep its architecture, schedule and data.

    Taken away is what a black box cannot have, see `TrainConfig.for_twin`.
    """
    twin = config.for_twin()
    reset = {
        name: getattr(twin, name)
        for name in TrainConfig.model_fields
        if name not in OWNED | _ARCHITECTURE
    }
    return config.model_copy(update=reset)


def _family(
    name: str, kind: Kind, config: TrainConfig, points: Iterable[tuple[float, float]]
) -> list[Recipe]:
    """Give a model as it stands, and with each penalty."""
    first = DENSE if name == BASE else name
    front = "" if name == BASE else f"{name}-"
    penalised = [
        Recipe(
            front + penalty_name(*point),
            "penalty",
            name,
            config.model_copy(update={"l1": point[0], "l2": point[1]}),
        )
        for point in points
        if point != (config.l1, config.l2)
    ]
    return [Recipe(first, kind, name, config), *penalised]


def _variant(name: str, changes: dict[str, Any], base: TrainConfig) -> TrainConfig:
    if not _NAME.fullmatch(name):
        raise InputError(
            f"variants: {name!r} is no name for a folder; use letters, digits and . _ + -."
        )
    for setting in changes:
        if setting in _SHARED or changes_no_number(setting):
            raise InputError(
                f"variants: {name}: {setting} is the same for all runs; give it to the sweep."
            )
    return make_config(laid_over(base.model_dump(), changes), source=f"variants: {name}")


def _key(config: TrainConfig) -> str:
    return config.model_copy(update={"out": Path(), "seed": 0}).model_dump_json()


def _distinct(found: list[Recipe]) -> tuple[Recipe, ...]:
    names: dict[str, Recipe] = {}
    settings: dict[str, Recipe] = {}
    for recipe in found:
        if recipe.name.casefold() in names:
            raise InputError(
                f"variants: two of the sweep's recipes are called {recipe.name}; give the variant "
                "another name."
            )
        if other := settings.get(_key(recipe.config)):
            raise InputError(
                f"variants: {recipe.name} has the same settings as {other.name}; leave it out."
            )
        names[recipe.name.casefold()] = settings[_key(recipe.config)] = recipe
    return tuple(found)
