"""What can be done to an image on its way to the model: crop, resize, pad, flip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from softcam.data.resample import AxisMap
from softcam.errors import InputError

Size = tuple[int, int]
"""(height, width), as arrays have them."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Keep the rectangle of `width` x `height` whose top left corner is (x, y)."""

    x: int
    y: int
    width: int
    height: int

    def check(self, size: Size) -> None:
        """Raise an InputError unless the step fits an image of this (height, width)."""
        inside = self.x >= 0 and self.y >= 0 and self.width > 0 and self.height > 0
        if not inside or self.x + self.width > size[1] or self.y + self.height > size[0]:
            raise InputError(f"{self} does not lie inside an image of {size[1]} x {size[0]} px.")

    def output_size(self, size: Size) -> Size:
        """The (height, width) after this step."""
        return self.height, self.width

    def axes(self, size: Size) -> tuple[AxisMap, AxisMap]:
        """The maps of x and of y."""
        return (
            AxisMap(Fraction(1), Fraction(-self.x)),
            AxisMap(Fraction(1), Fraction(-self.y)),
        )


@dataclass(frozen=True, slots=True)
class Resize:
    """Scale the whole image to `width` x `height`."""

    width: int
    height: int

    def check(self, size: Size) -> None:
        """Raise an InputError unless the step fits an image of this (height, width)."""
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"{self} leaves no pixel; give a positive width and height.")

    def output_size(self, size: Size) -> Size:
        """The (height, width) after this step."""
        return self.height, self.width

    def axes(self, size: Size) -> tuple[AxisMap, AxisMap]:
        """The maps of x and of y."""
        return (
            AxisMap(Fraction(self.width, size[1]), Fraction(0)),
            AxisMap(Fraction(self.height, size[0]), Fraction(0)),
        )


@dataclass(frozen=True, slots=True)
class Pad:
    """Add so many pixels on each side."""

    left: int
    top: int
    right: int
    bottom: int

    def check(self, size: Size) -> None:
        """Raise an InputError unless the step fits an image of this (height, width)."""
        if min(self.left, self.top, self.right, self.bottom) < 0:
            raise InputError(f"{self} is negative; a Crop takes pixels away.")

    def output_size(self, size: Size) -> Size:
        """The (height, width) after this step."""
        return size[0] + self.top + self.bottom, size[1] + self.left + self.right

    def axes(self, size: Size) -> tuple[AxisMap, AxisMap]:
        """The maps of x and of y."""
        return (
            AxisMap(Fraction(1), Fraction(self.left)),
            AxisMap(Fraction(1), Fraction(self.top)),
        )


@dataclass(frozen=True, slots=True)
class Flip:
    """Mirror the image, left to right if horizontal, top to bottom if vertical."""

    horizontal: bool = False
    vertical: bool = False

    def check(self, size: Size) -> None:
        """Every image can be flipped."""

    def output_size(self, size: Size) -> Size:
        """The (height, width) after this step."""
        return size

    def axes(self, size: Size) -> tuple[AxisMap, AxisMap]:
        """The maps of x and of y."""
        same = AxisMap(Fraction(1), Fraction(0))
        return (
            AxisMap(Fraction(-1), Fraction(size[1])) if self.horizontal else same,
            AxisMap(Fraction(-1), Fraction(size[0])) if self.vertical else same,
        )


Step = Crop | Resize | Pad | Flip
STEP_KINDS: dict[str, type[Crop] | type[Resize] | type[Pad] | type[Flip]] = {
    kind.__name__.lower(): kind for kind in (Crop, Resize, Pad, Flip)
}
"""The steps by the name that a record has for them."""
