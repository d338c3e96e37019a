"""Find near-duplicates among the fingerprints of many images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from softcam.data.fingerprint import Fingerprint

HASH_BITS = 8
"""Two images are compared in detail if their hashes differ in no more bits than this."""

ALIKE, ALIKE_OWN = 0.84, 0.7
"""Two images are near-duplicates from this correlation of their fine details on, and from this
one of what is their own in them, beside what the images of the table share."""

_MANY = 20  # images, from which on their mean says what they share
_TILE = 1024  # images compared at once with as many others: some 30 MiB
_DENSE = 100  # one pair in so many


def group_similar(prints: Sequence[Fingerprint]) -> list[list[int]]:
    """Group images that are the same picture, resized, recompressed, brightened or saved anew.

    A pair is first sifted by its perceptual hashes (at most 8 of 64 bits differ) and then judged by
    the correlation of its fine details (at least 0.84) and, in a table of 20 images or more, of
    what is left of them beside the table's mean (at least 0.7): photographs of one camera share the
    edge of its field of view. Pairs that share an image join one group.

    Hashes alone do not tell copies apart: among 120 phantoms of each kind (160 px) two chests
    differ in 2 bits, copies saved as JPEG of quality 30 to 95 in up to 4, copies of half the size
    in up to 8. The details do. Among 510 fundus photographs of one camera, 792 OCT scans and 800
    chest radiographs, copies (JPEG of quality 30 and 60, half the size, dimmed) correlate by 0.97
    at least. Different pictures correlate by 0.87 at most, and none with more than 0.84 has more
    than 0.63 of its own, but for neighbouring OCT slices (0.85 and 0.78) and two photographs of
    one eye (0.97 and 0.91). Hard copies of phantoms of 128 px (0.6 times the size, JPEG of
    quality 40, dimmed) have 0.85 and 0.74. A copy shrunk to less than about 64 px a side may be
    missed, and a cropped, turned or mirrored one will be.

    Args:
        prints: The images. Those without contrast are in no group.

    Returns:
        The groups of two images or more with different files, as indices, in order. Files with the
        same bytes are in one group if there is a third that resembles them.
    """
    places: dict[tuple[str, int | None], list[int]] = defaultdict(list)
    for index, one in enumerate(prints):
        if not one.flat:
            places[one.picture].append(index)
    pictures = list(places.values())
    if len(pictures) < 2:
        return []
    hashes = np.array([prints[own[0]].hash for own in pictures], dtype=np.uint64)
    details = np.stack([prints[own[0]].detail for own in pictures])
    roots = _components(hashes, details, _own(details))
    groups: dict[int, list[list[int]]] = defaultdict(list)
    for root, own in zip(roots.tolist(), pictures, strict=True):
        groups[root].append(own)
    return [sorted(chain.from_iterable(g)) for g in groups.values() if len(g) > 1]


def _own(details: npt.NDArray[np.float16]) -> npt.NDArray[np.float16]:
    """What is left of details beside their mean, of unit length; of few, the details themselves."""
    shared = details.mean(axis=0, dtype=np.float32)
    if len(details) < _MANY or float(shared @ shared) >= ALIKE:  # or a table of one picture
        return details
    left = details.astype(np.float32) - shared
    length = np.linalg.norm(left, axis=1, keepdims=True)
    return np.asarray(left / np.maximum(length, 1e-6), dtype=np.float16)


def _components(
    hashes: npt.NDArray[np.uint64],
    details: npt.NDArray[np.float16],
    own: npt.NDArray[np.float16],
) -> npt.NDArray[np.intp]:
    """The first member of every image's group."""
    roots = np.arange(len(hashes))
    starts = range(0, len(hashes), _TILE)
    for top in starts:
        for left in starts[top // _TILE :]:
            rows, columns = slice(top, top + _TILE), slice(left, left + _TILE)
            apart = np.bitwise_count(hashes[rows, None] ^ hashes[None, columns])
            near = apart <= HASH_BITS
            if top == left:
                near = np.triu(near, 1)  # each pair once, and none of an image with itself
            near = _correlated(near, details[rows], details[columns], ALIKE)
            near = _correlated(near, own[rows], own[columns], ALIKE_OWN)
            first, second = np.nonzero(near)
            if len(first):
                _join(roots, first + top, second + left)
    return _settled(roots)


def _correlated(
    near: npt.NDArray[np.bool_],
    rows: npt.NDArray[np.float16],
    columns: npt.NDArray[np.float16],
    least: float,
) -> npt.NDArray[np.bool_]:
    """Those of the near pairs that correlate by so much."""
    first, second = np.nonzero(near)
    if len(first) * _DENSE > near.size:  # the product of all pairs is quicker than of those
        products = rows.astype(np.float32) @ columns.astype(np.float32).T
        return np.asarray(near & (products >= least))
    one, other = rows[first].astype(np.float32), columns[second].astype(np.float32)
    kept = np.einsum("ij,ij->i", one, other) >= least
    found = np.zeros_like(near)
    found[first[kept], second[kept]] = True
    return found


def _join(roots: npt.NDArray[np.intp], a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]) -> None:
    """Give the two ends of every pair the smaller of their roots, in place, until all agree."""
    while True:
        roots[:] = _settled(roots)
        one, other = roots[a], roots[b]
        if (one == other).all():
            return
        np.minimum.at(roots, np.maximum(one, other), np.minimum(one, other))


def _settled(roots: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Follow every root to the root of its own."""
    while True:
        further = roots[roots]
        if (further == roots).all():
            return further
        roots = further
