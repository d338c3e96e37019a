"""What a comparison of models found: plain values, ready to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from softcam.evaluation.comparison.compare import Compared


@dataclass(frozen=True)
class Group:
    """One or several runs that make one row of a table: the same settings, one run per seed.

    Attributes:
        name: What tables call it.
        runs: Where the runs lie.
        seeds: Their training seeds; empty if that is not known.
    """

    name: str
    runs: tuple[str, ...]
    seeds: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The name, with the number of seeds where there are several."""
        return self.name if len(self.runs) == 1 else f"{self.name} ({len(self.runs)} seeds)"


@dataclass(frozen=True)
class ModelComparison:
    """Models on the same images, and their differences to one of them.

    Attributes:
        groups: The rows, in the order given.
        reference: Position of the row that the others are compared with.
        measures: One for each measure, in the order shown.
        counts: What was counted: images, patients.
        settings: How it was measured: task, classes, split, resamples, seed, level.
        absent: Classes without an example or a counter-example, which no mean holds.
    """

    groups: tuple[Group, ...]
    reference: int
    measures: tuple[Compared, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    absent: tuple[str, ...] = ()

    @property
    def comparisons(self) -> int:
        """How many differences Holm's correction counts."""
        return sum(int((one.p == one.p).sum()) for one in self.measures)  # NaN is not itself

    def to_dict(self) -> dict[str, Any]:
        """Give everything as JSON knows it; undefined numbers are None."""
        return {
            "reference": self.groups[self.reference].name,
            "models": [asdict(group) for group in self.groups],
            "measures": {one.key: self._measure(one) for one in self.measures},
            "comparisons": self.comparisons,
            "absent": list(self.absent),
            "counts": dict(self.counts),
            "settings": dict(self.settings),
        }

    def _measure(self, one: Compared) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for row, group in enumerate(self.groups):
            entry: dict[str, Any] = {
                **one.values[row].to_dict(),
                "standard_error": _known(one.errors[row]),
            }
            if len(group.runs) > 1:
                spread = asdict(one.spreads[row])
                entry["seeds"] = {
                    k: _known(v) if isinstance(v, float) else v for k, v in spread.items()
                }
            if row != self.reference:
                entry["difference"] = {
                    **one.differences[row].to_dict(),
                    "standard_error": _known(one.difference_errors[row]),
                    "p": _known(one.p[row]),
                    "p_holm": _known(one.adjusted[row]),
                }
                if one.cross_check is not None:
                    low, high = one.cross_check.interval(row)
                    entry["delong"] = {
                        "method": one.cross_check.method,
                        "difference": _known(one.cross_check.differences[row]),
                        "standard_error": _known(one.cross_check.difference_errors[row]),
                        "low": _known(low),
                        "high": _known(high),
                        "p": _known(one.cross_check.p[row]),
                    }
            found[group.name] = entry
        return found


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
