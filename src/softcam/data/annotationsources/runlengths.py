"""A mask as COCO writes it: run lengths down the columns, outside and inside in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from softcam.errors import InputError

_BITS, _MORE, _SIGN = 5, 0x20, 0x10
_FIRST_CHARACTER = 48
_MOST_CHARACTERS = 7  # of one number: 35 bits


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask by its runs; the first, which may be empty, lies outside.

    Attributes:
        size: (height, width) in file pixels.
        counts: Lengths of the runs, which add up to height x width.
        name: What error messages call it.
    """

    size: tuple[int, int]
    counts: npt.NDArray[np.int64]
    name: str = "of run lengths"

    def __str__(self) -> str:
        return self.name

    def read(self) -> npt.NDArray[np.bool_]:
        """Draw the mask: a (height, width) boolean array in file pixels."""
        inside = np.arange(len(self.counts)) % 2 == 1
        flat = np.repeat(inside, self.counts)
        return np.ascontiguousarray(flat.reshape(self.size, order="F"))


def read_run_lengths(given: dict[str, Any], size: tuple[int, int], name: str) -> RunLengths:
    """Read COCO's `{"size": [height, width], "counts": ...}`, with a list or a string of counts.

    Args:
        given: The object.
        size: (height, width) of the image.
        name: What error messages call the mask.

    Raises:
        InputError: It is damaged, or for an image of another size; the message has no full stop.
    """
    told = given.get("size")
    if not (isinstance(told, list) and len(told) == 2 and all(type(side) is int for side in told)):
        raise InputError("the RLE has no size; give [height, width]")
    if tuple(told) != size:
        raise InputError(
            f"the RLE is {told[1]} x {told[0]} px, its image {size[1]} x {size[0]} px; write it in "
            "the image's size"
        )
    counts = given.get("counts")
    if isinstance(counts, str):
        numbers = _decompressed(counts)
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        numbers = counts
    else:
        raise InputError("the RLE's counts are neither a list of integers nor a string")
    whole = size[0] * size[1]
    if any(not 0 <= number <= whole for number in numbers) or sum(numbers) != whole:
        raise InputError(
            f"the RLE's counts do not add up to the {whole} px of the image; export it again"
        )
    return RunLengths(size, np.array(numbers, dtype=np.int64), name)


def _decompressed(text: str) -> list[int]:
    """COCO's packing: five bits a character, and from the fourth on each less the last but one."""
    numbers: list[int] = []
    value = place = 0
    for character in text:
        code = ord(character) - _FIRST_CHARACTER
        if not 0 <= code < 2 * _MORE or place >= _MOST_CHARACTERS:
            raise InputError("the RLE's counts are no text that COCO's packing gives")
        value |= (code & (_MORE - 1)) << (_BITS * place)
        place += 1
        if code & _MORE:
            continue
        if code & _SIGN:
            value -= 1 << (_BITS * place)
        numbers.append(value + (numbers[-2] if len(numbers) > 2 else 0))
        value = place = 0
    if place:
        raise InputError("the RLE's counts end in the middle of a number; export it again")
    return numbers
